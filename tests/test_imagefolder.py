"""A folder of images a class: found in order, packed with one label an image, and refused in one sentence."""

import os
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deepcontrol.data import imagefolder
from deepcontrol.data.cache import pack
from deepcontrol.data.samples import DataError
from deepcontrol.data.sources import open_data
from deepcontrol.entry import compose_cell
from deepcontrol.records import RunError
from deepcontrol.training import train_cell

REAL = Path(os.environ.get("DATA_ROOT", "missing")) / "cifar10-jpeg.zip"


@pytest.fixture
def root(tmp_path):
    """Two classes; three and two images to train on, one each to validate; sizes and endings differ."""
    rng = np.random.default_rng(0)
    for place, size in {
        "train/ship/b.png": (40, 30), "train/ship/a.PNG": (8, 8), "train/cat/2.jpg": (16, 16), "train/cat/10.jpeg": (9, 8),
        "train/cat/3.jpg": (8, 9), "val/cat/x.png": (8, 8), "val/ship/y.png": (8, 8),
    }.items():  # fmt: skip
        path = tmp_path / "pets" / place
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(256, size=(*size, 3), dtype=np.uint8)).save(path)
    return tmp_path / "pets"


def test_samples_come_by_class_and_name(root):
    (root / "train" / "ship" / ".hidden.png").write_bytes(b"")
    (root / "train" / "ship" / "notes.txt").write_text("not an image")
    found = imagefolder.find(root, "train")
    assert imagefolder.classes(root) == ("cat", "ship")
    assert [(sample.name, sample.label) for sample in found] == [
        ("cat/10", 0), ("cat/2", 0), ("cat/3", 0), ("ship/a", 1), ("ship/b", 1),
    ]  # fmt: skip


def test_images_of_any_size_are_packed_at_one_with_one_label_each(root, tmp_path):
    packed = pack(imagefolder, root, "train", (8, 8), tmp_path / "cache", progress=False)
    assert packed.images.shape == (5, 8, 8, 3) and packed.labels.ravel().tolist() == [0, 0, 0, 1, 1]
    assert packed.class_counts.tolist() == [3, 2] and not packed.contours.any() and not packed.has_instances
    expected = np.asarray(Image.open(root / "train/ship/b.png").resize((8, 8), Image.Resampling.BILINEAR))
    assert np.array_equal(packed.images[4], expected)
    assert np.array_equal(packed.images[3], np.asarray(Image.open(root / "train/ship/a.PNG")))  # at its own size: untouched


def test_test_stands_in_for_a_missing_val(root):
    (root / "val").rename(root / "test")
    assert [sample.name for sample in imagefolder.find(root, "val")] == ["cat/x", "ship/y"]


def test_grey_and_transparent_images_become_three_channels(root, tmp_path):
    Image.fromarray(np.full((8, 8), 200, np.uint8)).save(root / "val/cat/x.png")
    Image.fromarray(np.full((8, 8, 4), 100, np.uint8)).save(root / "val/ship/y.png")
    packed = pack(imagefolder, root, "val", (8, 8), tmp_path / "cache", progress=False)
    assert (packed.images[0] == 200).all() and (packed.images[1] == 100).all()


def remove(root):
    for path in sorted(root.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    root.rmdir()


def rename_class(root):
    (root / "val" / "ship").rename(root / "val" / "boat")


def empty_class(root):
    (root / "train" / "dog").mkdir()
    (root / "val" / "dog").mkdir()


def only_one_class(root):
    for split in ("train", "val"):
        remove(root / split / "ship")


def too_many_classes(root):
    for number in range(256):
        (root / "train" / f"{number}").mkdir()


@pytest.mark.parametrize("damage, sentence", [
    (remove, "The folder .*pets is missing; expected:\n.*train/<class>"),
    (rename_class, "The classes in .*val differ from those in .*train: boat, ship"),
    (empty_class, r"The folder .*train/dog has no file \*.png or \*.jpg or \*.jpeg"),
    (only_one_class, "has 1 classes; allowed: 2 to 255"),
    (too_many_classes, "has 258 classes; allowed: 2 to 255"),
    (lambda root: (root / "val").rename(root / "valid"), "The folder .*val is missing"),
])  # fmt: skip
def test_what_does_not_fit_is_refused_at_once(root, tmp_path, damage, sentence):
    damage(root)
    options = compose_cell(["data=imagefolder", f"data.root={root}", f"data.cache={tmp_path / 'cache'}", "network=vgg16"]).data
    start = time.monotonic()
    with pytest.raises(DataError, match=sentence):
        open_data(options)
    assert time.monotonic() - start < 3 and not (tmp_path / "cache").exists()


def test_a_torn_image_is_named(root, tmp_path):
    path = root / "train/ship/b.png"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataError, match="ship/b.png cannot be read"):
        pack(imagefolder, root, "train", (8, 8), tmp_path / "cache", progress=False)


def test_subsets_are_seeded_and_of_the_size_asked(root, tmp_path):
    options = compose_cell([
        "data=imagefolder", f"data.root={root}", f"data.cache={tmp_path / 'cache'}", "network=vgg16",
        "data.train_size=3", "data.validation_size=1",
    ]).data  # fmt: skip
    splits = open_data(options)
    assert len(splits.train.names) == 3 and len(splits.validation.names) == 1 and splits.class_names == ("cat", "ship")
    assert open_data(options).train.checksum == splits.train.checksum


def test_a_finished_run_is_not_taken_for_one_of_other_images(root, tmp_path):
    overrides = [
        "data=imagefolder", f"data.root={root}", f"data.cache={tmp_path / 'cache'}", "data.label=pets", "network=small_cnn",
        "method=none", "minibatch=2", "preset=smoke", "epochs=1", f"runs={tmp_path / 'runs'}", "logger=none", "threads=1",
    ]  # fmt: skip
    train_cell(compose_cell(overrides))
    train_cell(compose_cell(overrides))  # finished already
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(root / "val/cat/x.png")
    with pytest.raises(RunError, match="this run is of other data with the same name; remove the folder .*data.label"):
        train_cell(compose_cell(overrides))


@pytest.mark.skipif(not REAL.is_file(), reason="needs cifar10-jpeg.zip in DATA_ROOT")
def test_real_cifar10_images(tmp_path):
    """The archive's first images of two classes: 32x32, decoded pixel for pixel."""
    import zipfile

    with zipfile.ZipFile(REAL) as archive:
        names = [name for name in archive.namelist() if name.endswith((".jpg", ".jpeg", ".png"))]
        split_of = lambda name: Path(name).parts[-3]  # noqa: E731
        chosen = [
            name for split in ("train", "test") for label in ("frog", "truck")
            for name in [n for n in names if split_of(n) == split and Path(n).parts[-2] == label][:5]
        ]  # fmt: skip
        archive.extractall(tmp_path, chosen)
    (train,) = [path for path in tmp_path.rglob("train") if path.is_dir()]
    for split, count in (("train", 10), ("val", 10)):
        packed = pack(imagefolder, train.parent, split, (32, 32), tmp_path / "cache", progress=False)
        assert packed.images.shape == (count, 32, 32, 3) and packed.labels.ravel().tolist() == [0] * 5 + [1] * 5
        sample = imagefolder.find(train.parent, split)[7]
        assert np.array_equal(packed.images[7], np.asarray(Image.open(sample.image)))
        assert 0.2 < np.mean(packed.mean) < 0.8
