"""Street scenes painted from a seed, in Cityscapes' layout on disk: a whole study runs with nothing to download.

What a scene is and how it is photographed is in `scene`, what stands in it in `things`; here they are put together,
and data sets are written.
"""

import os
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from deepcontrol.data.scene import (
    ASPHALT, BACKDROP, BARRIERS, BASE, BICYCLE, BONNET, BRICKS, BUILDING, BUS, CAR, DYNAMIC, EGO, FENCE, HOUSES,
    MOTORCYCLE, PAVING, ROAD, SIDEWALK, SKY, SLATS, STATIC, TERRAIN, THINGS, TRAIN, TRUCK, UNLABELED, WALL, WINDOWS,
    Camera, Scene, render,
)
from deepcontrol.data.things import (
    brick, crossing_car, house, lacquer, leaf, person, post, stone, tree, two_wheeler, vehicle,
)

SPLITS = ("train", "val", "test")
CITY = "paintedtown"
FAR = 140.0  # metres, where the street ends


def paint_scene(rng: np.random.Generator, height: int, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Paint one scene.

    Returns the image, uint8 (H, W, 3), Cityscapes' label ids, uint8 (H, W), and its instance ids, uint16 (H, W).
    Raises ValueError for a side below 32 pixels.
    """
    return render(compose_scene(rng, height, width), height, width)


def compose_scene(rng: np.random.Generator, height: int, width: int) -> Scene:
    """The parts of one scene, before they are rendered. Raises ValueError for a side below 32 pixels."""
    _check_size(height, width)
    scene = _new_scene(rng, height, width)
    between, chance, urban = scene.between, scene.chance, scene.between(0, 1) ** 0.7  # how built-up
    left, right = -between(4, 9), between(3, 6)
    scene.lane = (between(left, right), between(2.8, 3.8), between(0.2, 0.9))
    junction = between(15, 50) if chance(0.25) else 0.0
    scene.crossing = junction - 3 if junction and chance(0.6) else 500.0

    sheet = [(0, 0), (width, 0), (width, height), (0, height)]
    scene.add(BASE, 3, sheet, SKY, scene.sky, (0, 0, 0))
    ground = (SIDEWALK, stone(scene, 110, 180)) if chance(urban) else (TERRAIN, leaf(scene))
    scene.strip(-900, 900, 1, 900, *ground, grain=0.4)
    asphalt = stone(scene, 50, 115)
    scene.strip(left, right, 0.8, 900, ROAD, asphalt, texture=ASPHALT)
    if junction:
        scene.strip(-90, 90, junction, junction + between(6, 9), ROAD, asphalt, texture=ASPHALT)
        if chance(0.5):
            crossing_car(scene, between(-12, 8), junction + 3)
    _skyline(scene, urban)
    for side, kerb in ((-1, left), (1, right)):
        line, kerbside = _pavement(scene, side, kerb, urban)
        _frontage(scene, side, line, urban, junction)
        _kerbside(scene, side, kerb, kerbside, urban)
    _traffic(scene, left, right)

    if chance(0.3):
        u, v, size = between(0, width), between(0, height), between(0.02, 0.08) * height
        spot = [(u, v), (u + size, v + size)]
        scene.add(THINGS, FAR, spot, UNLABELED, stone(scene), (0.02, 0, 0), round=True)
    bonnet = height * between(0.02, 0.09)
    outline = [(-0.1 * width, height - bonnet), (1.1 * width, height + bonnet)]
    scene.add(BONNET, 1, outline, EGO, stone(scene, 15, 70), (1, 0, 0), round=True)
    return scene


def _new_scene(rng: np.random.Generator, height: int, width: int) -> Scene:
    """An empty scene: camera, sun, weather and time of day."""
    camera = Camera(
        focal=rng.uniform(1.4, 1.6) * (height * width) ** 0.5, centre=width * rng.uniform(0.45, 0.55),
        horizon=height * rng.uniform(0.38, 0.43), height=rng.uniform(1.3, 1.7), bend=rng.normal(0, 0.003),
    )
    scene = Scene(rng, camera)
    between, chance = scene.between, scene.chance
    scene.sun, scene.strength, scene.night = rng.normal(0, 0.8), between(0, 0.5), chance(0.04)
    scene.exposure = between(0.45, 0.65) if scene.night else between(0.88, 1.12)
    scene.haze = between(0.008, 0.02) if chance(0.1) else between(0.0005, 0.003)
    sky = between(170, 250) * (0.25 if scene.night else 1)
    scene.sky = (sky * between(0.5, 0.85), sky * between(0.75, 0.95), sky)
    return scene


def _skyline(scene: Scene, urban: float) -> None:
    """What closes the street far away."""
    for x in np.arange(-120.0, 120.0, 9.0):
        tall = scene.between(4, 22)
        if scene.chance(urban):
            look = {"layer": BACKDROP, "texture": WINDOWS, "period": 3.5}
            scene.upright(x, x + 12, 0, tall, FAR, BUILDING, brick(scene, 70, 170), **look)
        else:
            scene.foliage(x + 5, 0.3 * tall, FAR, 16, tall, leaf(scene), BACKDROP)


def _pavement(scene: Scene, side: int, kerb: float, urban: float) -> tuple[float, float]:
    """Lay the pavement; returns the sideways position of the building line and the width up to it."""
    walk = scene.between(2, 7) if scene.chance(0.5 + 0.5 * urban) else 0.0
    verge = scene.between(1, 7) if scene.chance(0.65 - 0.4 * urban) else 0.0
    if walk:
        look = {"texture": PAVING, "period": scene.between(0.8, 2)}
        scene.strip(kerb, kerb + side * walk, 1, FAR, SIDEWALK, stone(scene, 105, 185), **look)
    return kerb + side * (walk + verge + 0.3), walk + verge


def _frontage(scene: Scene, side: int, line: float, urban: float, junction: float) -> None:
    """Houses, thickets and gaps along the building line, perhaps behind a wall or a fence."""
    between, chance = scene.between, scene.chance
    z, barrier = between(1.5, 8), int(scene.rng.choice([WALL, FENCE, 0], p=[0.2, 0.23, 0.57]))
    while z < FAR:
        end = z + between(10, 40)
        if abs(z + 4 - junction) < 12 or chance(0.06):
            z += 8
            continue
        if chance(0.25 + 0.7 * urban):
            house(scene, line + side * between(0, 2), side, z, end)
        else:
            for depth in np.arange(z, end, 3.5).tolist():
                size = between(3, 11)
                scene.foliage(line + side * between(0.3, 1) * size, 0.42 * size, depth, size, size, leaf(scene), HOUSES)
        if barrier and chance(0.7):
            look = {"texture": BRICKS, "period": 0.8}
            if barrier == FENCE:
                look = {"texture": SLATS, "period": between(0.3, 1.2)}
            colour = stone(scene, 60, 180) if chance(0.7) else leaf(scene)
            scene.alongside(line, z, end, 0, between(0.9, 2.4), barrier, colour, layer=BARRIERS, **look)
        z = end


def _kerbside(scene: Scene, side: int, kerb: float, room: float, urban: float) -> None:
    """Posts, trees, people, bicycles and parked cars within `room` metres of the kerb."""
    between, chance, poisson = scene.between, scene.chance, scene.rng.poisson
    z, gap = between(4, 18), between(14, 34)
    while z < 90:
        post(scene, kerb + side * between(0.3, 0.7), z, side)
        z += gap * between(0.7, 1.4)
    if chance(0.35):
        for depth in np.arange(between(6, 18), 100, between(8, 16)).tolist():
            tree(scene, kerb + side * 0.6 * (1 + room), depth)
    for _ in range(poisson(6 * urban)):
        person(scene, kerb + side * between(0.4, room + 0.8), between(5, 35))
    for _ in range(poisson(1.0 * urban)):
        label = BICYCLE if chance(0.9) else MOTORCYCLE
        two_wheeler(scene, label, kerb + side * between(0.3, 1), between(5, 25))
    if chance(0.35):
        x, size = kerb + side * between(0.4, 2), between(0.5, 1.3)
        scene.upright(x, x + size, 0, size, between(6, 25), STATIC if chance(0.7) else DYNAMIC, lacquer(scene))
    if chance(0.35):
        for depth in np.arange(between(5, 20), 70, between(5.6, 7)).tolist():
            if chance(0.6):
                vehicle(scene, CAR, kerb - side * 1.1, depth, oncoming=side < 0)


def _traffic(scene: Scene, left: float, right: float) -> None:
    """Vehicles on both sides of the road, people riding and people crossing it."""
    between, chance, poisson = scene.between, scene.chance, scene.rng.poisson
    for x, oncoming in ((right / 2 + 0.3, False), (left / 2, True)):
        z = between(8, 50)
        while z < 110:
            label = int(scene.rng.choice([CAR, TRUCK, BUS, TRAIN], p=[0.925, 0.03, 0.025, 0.02]))
            near = z if label == CAR else max(z, 16.0)
            vehicle(scene, label, x + between(-0.4, 0.4), near, oncoming)
            z = near + between(14, 70)
    for _ in range(poisson(0.4)):
        label = BICYCLE if chance(0.65) else MOTORCYCLE
        two_wheeler(scene, label, between(left, right), between(9, 32), ridden=True)
    for _ in range(poisson(0.3)):
        person(scene, between(left, right), between(9, 40))


def _check_size(height: int, width: int) -> None:
    if min(height, width) < 32:
        raise ValueError(f"a street scene of {height}x{width} pixels is too small: height and width must be 32 or more")


def paint(
    root: Path, height: int, width: int, scenes: dict[str, int], seed: int = 0, progress: bool = True,
    processes: int | None = None,
) -> None:
    """Paint a data set into `root` in Cityscapes' layout, e.g. paint(root, 128, 256, {"train": 370, "val": 100}).

    Writes <kind>/<split>/paintedtown/paintedtown_<number>_000000_<ending>, where kind and ending are leftImg8bit and
    leftImg8bit.png, or gtFine and gtFine_labelIds.png or gtFine_instanceIds.png. A scene is seeded by the seed, its
    split and its number alone, so neither the other scenes nor `processes` change it. `root` appears when all is done.
    Raises ValueError for a side below 32, an unknown split, a negative count, FileExistsError where root has files.
    """
    root = Path(root)
    _check_size(height, width)
    for split, count in scenes.items():
        if split not in SPLITS or count < 0:
            allowed = f"splits are {', '.join(SPLITS)}, counts are 0 or more"
            raise ValueError(f"cannot paint {count} scenes of split {split!r}: {allowed}")
    if root.exists() and any(root.iterdir()):
        raise FileExistsError(f"{root} already has files in it: remove it, or paint into another folder")
    jobs = [(split, number) for split, count in scenes.items() for number in range(count)]
    root.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{root.name}-", dir=root.parent) as workshop:
        easel = Path(workshop) / "painting"
        for split in scenes:
            for kind in ("leftImg8bit", "gtFine"):
                (easel / kind / split / CITY).mkdir(parents=True)
        paint_all(partial(_write, easel, height, width, seed), jobs, processes, progress, "Painting streets")
        if root.exists():
            root.rmdir()  # empty, as checked above
        easel.rename(root)


def suitable_processes(jobs: int) -> int:
    """One for each core, up to 16, where there are jobs enough to pay for starting them."""
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return min(16, cores) if jobs >= 32 else 1


def paint_all(write: Callable, jobs: list, processes: int | None, progress: bool, title: str) -> None:
    """Call write for every job, in so many processes; left out, as many as suit the number of jobs."""
    processes = processes or suitable_processes(len(jobs))
    bar = partial(tqdm, total=len(jobs), desc=title, unit="scene", disable=None if progress else True)
    if processes == 1:
        for _ in bar(map(write, jobs)):
            pass
        return
    # A forked worker has numpy and PIL loaded already; a fresh one might import the whole of torch first.
    context = get_context("fork" if sys.platform == "linux" else None)
    with ProcessPoolExecutor(processes, context) as pool:
        for _ in bar(pool.map(write, jobs, chunksize=8)):
            pass


def _write(easel: Path, height: int, width: int, seed: int, job: tuple[str, int]) -> None:
    split, number = job
    image, labels, instances = paint_scene(np.random.default_rng([seed, SPLITS.index(split), number]), height, width)
    stem = f"{split}/{CITY}/{CITY}_{number:06d}_000000"
    for name, pixels in (
        (f"leftImg8bit/{stem}_leftImg8bit.png", image),
        (f"gtFine/{stem}_gtFine_labelIds.png", labels),
        (f"gtFine/{stem}_gtFine_instanceIds.png", instances),
    ):
        Image.fromarray(pixels).save(easel / name, compress_level=1)
