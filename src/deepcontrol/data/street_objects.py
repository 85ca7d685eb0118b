"""The things that stand in our painted streets, cut out one by one: images for classification, of CIFAR's shape."""

import tempfile
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from deepcontrol.data.scene import (
    BICYCLE, BUS, CAR, LIGHT, MOTORCYCLE, PERSON, RIDER, SIGN, TRAIN, TRUCK, Scene, render,
)  # fmt: skip
from deepcontrol.data.streets import compose_scene, paint_all
from deepcontrol.data.things import lacquer, person, stone, two_wheeler, vehicle

SPLITS = ("train", "val")
CLASSES = {  # label id: the folder's name
    PERSON: "person", RIDER: "rider", CAR: "car", TRUCK: "truck", BUS: "bus", TRAIN: "train", MOTORCYCLE: "motorcycle",
    BICYCLE: "bicycle", LIGHT: "traffic-light", SIGN: "traffic-sign",
}  # fmt: skip
SCENE = (96, 208)  # pixels, height and width of the scenes that objects are cut from
DEPTHS = {PERSON: (5, 14), RIDER: (6, 14), CAR: (8, 22), TRUCK: (10, 26), BUS: (10, 26), TRAIN: (10, 26),
          MOTORCYCLE: (5, 12), BICYCLE: (5, 12), LIGHT: (4, 12), SIGN: (4, 12)}  # fmt: skip
VISIBLE = 60  # pixels of an object in its scene, at least
AT_ONCE = 5  # objects in one scene


def paint_objects(
    root: Path, size: tuple[int, int], objects: dict[str, int], seed: int = 0, progress: bool = True,
    processes: int | None = None,
) -> None:
    """Paint a data set into ``root`` as an image folder, e.g. paint_objects(root, (32, 32), {"train": 2000, "val": 200}).

    Writes <split>/<class>/<number>.png, so many of each of the ten classes, at size = (height, width) pixels. Each is
    cut from a scene of its own street, light and neighbours, which may hide part of it. Numbered images are seeded by
    seed, split and number alone. ``root`` appears when all is done. Raises ValueError for a side below 8, an unknown
    split or a count below 1, FileExistsError where root has files.
    """
    root = Path(root)
    if min(size) < 8:
        raise ValueError(f"street objects of {size[0]}x{size[1]} pixels are too small: height and width must be 8 or more")
    for split, count in objects.items():
        if split not in SPLITS or count < 1:
            allowed = f"splits are {', '.join(SPLITS)}, counts are 1 or more"
            raise ValueError(f"cannot paint {count} objects a class of split {split!r}: {allowed}")
    if root.exists() and any(root.iterdir()):
        raise FileExistsError(f"{root} already has files in it: remove it, or paint into another folder")
    jobs = [(split, number) for split, count in objects.items() for number in range(count)]
    root.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{root.name}-", dir=root.parent) as workshop:
        easel = Path(workshop) / "painting"
        for split in objects:
            for name in CLASSES.values():
                (easel / split / name).mkdir(parents=True)
        paint_all(partial(_write, easel, size, seed), jobs, processes, progress, "Painting street objects")
        if root.exists():
            root.rmdir()  # empty, as checked above
        easel.rename(root)


def _write(easel: Path, size: tuple[int, int], seed: int, job: tuple[str, int]) -> None:
    split, number = job
    rng = np.random.default_rng([seed, SPLITS.index(split), number])
    for label, (image, seen) in cut_objects(rng).items():
        picture = Image.fromarray(image).resize(size[::-1], Image.Resampling.BILINEAR, box=_frame(rng, seen))
        picture.save(easel / split / CLASSES[label] / f"{number:05d}.png", compress_level=1)


def cut_objects(rng: np.random.Generator) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """A scene for each class with an object of it in sight: image (H, W, 3) and which pixels are the object's (H, W)."""
    cut: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    while missing := [label for label in CLASSES if label not in cut]:
        chosen = rng.permutation(missing)[:AT_ONCE].tolist()
        scene = compose_scene(rng, *SCENE)
        placed = {label: _put(scene, label, place / len(chosen)) for place, label in enumerate(chosen)}
        image, _, instances = render(scene, *SCENE)
        for label, instance in placed.items():
            seen = instances == instance
            if seen.sum() >= VISIBLE:  # else hidden by others or out of sight: it is put into the next scene
                cut[label] = image, seen
    return {label: cut[label] for label in CLASSES}


def _put(scene: Scene, label: int, place: float) -> int:
    """Put an object of the class into the scene, ``place`` of the way from left to right; returns its instance id."""
    between, camera, (_, width) = scene.between, scene.camera, SCENE
    z = between(*DEPTHS[label])
    column = width * (0.06 + 0.88 * (place + between(0, 0.18)))
    x = (column - camera.centre) * z / camera.focal - camera.bend * z * z / 2
    if label == PERSON:
        person(scene, x, z)
    elif label == RIDER:
        two_wheeler(scene, BICYCLE if scene.chance(0.65) else MOTORCYCLE, x, z, ridden=True)
    elif label in (BICYCLE, MOTORCYCLE):
        two_wheeler(scene, label, x, z, ridden=scene.chance(0.25))
    elif label == LIGHT:
        _light(scene, x, z)
    elif label == SIGN:
        _sign(scene, x, z)
    else:
        vehicle(scene, label, x, z, oncoming=scene.chance(0.5))
    return label * 1000 + scene.counts[label]


def _light(scene: Scene, x: float, z: float) -> None:
    between, what, low = scene.between, scene.one_of(LIGHT), scene.between(0.8, 2.2)
    scene.upright(x - 0.08, x + 0.08, 0, low, z, what, stone(scene, 45, 150))
    scene.upright(x - 0.22, x + 0.22, low, low + 1.1, z - 0.1, what, stone(scene, 20, 60))
    lamp = int(scene.rng.integers(3))
    colour, low = ((60, 220, 120), (240, 180, 40), (235, 40, 30))[lamp], low + 0.08 + 0.33 * lamp
    scene.upright(x - 0.14, x + 0.14, low, low + 0.28, z - 0.1, what, colour, round=True, grain=between(0, 0.2))


def _sign(scene: Scene, x: float, z: float) -> None:
    between, what = scene.between, scene.one_of(SIGN)
    size, low, round_ = between(0.25, 0.65), between(0.9, 2.2), scene.chance(0.5)
    scene.upright(x - 0.06, x + 0.06, 0, low, z, what, stone(scene, 45, 150))
    scene.upright(x - size, x + size, low, low + 1.6 * size, z - 0.1, what, lacquer(scene), round=round_)
    scene.upright(x - size / 2, x + size / 2, low + 0.5 * size, low + size, z - 0.1, what, stone(scene, 90, 235))


def _frame(rng: np.random.Generator, seen: np.ndarray) -> tuple[float, float, float, float]:
    """A square around the pixels seen, wider by a random margin and off its middle, within the scene."""
    rows, columns = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    side = min(max(bottom - top, right - left) * rng.uniform(1.05, 1.5), SCENE[0])
    v = (top + bottom) / 2 + rng.uniform(-0.12, 0.12) * side
    u = (left + right) / 2 + rng.uniform(-0.12, 0.12) * side
    v, u = np.clip(v, side / 2, SCENE[0] - side / 2), np.clip(u, side / 2, SCENE[1] - side / 2)
    return u - side / 2, v - side / 2, u + side / 2, v + side / 2
