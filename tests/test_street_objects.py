"""Street objects: balanced, repeatable, in sight, and not told apart by their colour alone."""

import numpy as np
import pytest
from PIL import Image

from deepcontrol.data import imagefolder, street_objects
from deepcontrol.data.samples import decode
from deepcontrol.data.street_objects import CLASSES, SCENE, VISIBLE, _frame, cut_objects, paint_objects

COUNTS = {"train": 6, "val": 2}


@pytest.fixture(scope="module")
def painted(tmp_path_factory):
    root = tmp_path_factory.mktemp("objects") / "painted"
    paint_objects(root, (32, 32), COUNTS, progress=False, processes=1)
    return root


def contents(root):
    return {path.relative_to(root): path.read_bytes() for path in root.rglob("*.png")}


def test_every_class_has_its_share_in_the_layout_of_an_image_folder(painted):
    assert set(imagefolder.classes(painted)) == set(CLASSES.values()) and len(CLASSES) == 10
    for split, count in COUNTS.items():
        samples = imagefolder.find(painted, split)
        assert np.bincount([sample.label for sample in samples]).tolist() == [count] * 10
        assert all(decode(sample, imagefolder.TRAIN_IDS)[0].shape == (32, 32, 3) for sample in samples)
    assert len(set(contents(painted).values())) == 80  # no two alike


def test_images_depend_on_seed_split_and_number_alone(painted, tmp_path):
    paint_objects(tmp_path / "more", (32, 32), {"val": 3, "train": 7}, progress=False, processes=2)
    more, fewer = contents(tmp_path / "more"), contents(painted)
    assert {path: more[path] for path in fewer} == fewer
    paint_objects(tmp_path / "other", (32, 32), {"val": 1}, seed=1, progress=False)
    assert not set(contents(tmp_path / "other").values()) & set(fewer.values())


def test_the_object_is_in_sight_and_within_its_frame():
    rng = np.random.default_rng(3)
    for _ in range(3):
        cut = cut_objects(rng)
        assert list(cut) == list(CLASSES)
        for image, seen in cut.values():
            assert image.shape == (*SCENE, 3) and seen.sum() >= VISIBLE
            left, top, right, bottom = _frame(rng, seen)
            assert right - left == pytest.approx(bottom - top)
            assert 0 <= left and right <= SCENE[1] + 1e-6 and 0 <= top and bottom <= SCENE[0] + 1e-6
            inside = seen[int(top) : int(np.ceil(bottom)), int(left) : int(np.ceil(right))]
            assert inside.sum() > 0.4 * seen.sum()  # a bus that passes close by is longer than the scene is high


def test_mean_colour_does_not_tell_the_classes(painted):
    means = {split: [] for split in COUNTS}
    for split in COUNTS:
        for sample in imagefolder.find(painted, split):
            means[split].append((sample.label, np.asarray(Image.open(sample.image)).mean((0, 1))))
    centres = np.array([np.mean([mean for label, mean in means["train"] if label == index], 0) for index in range(10)])
    right = [np.argmin(((centres - mean) ** 2).sum(1)) == label for label, mean in means["val"]]
    assert np.mean(right) < 0.4


def test_nothing_is_left_of_a_painting_that_fails(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError("no room")

    monkeypatch.setattr(street_objects, "cut_objects", fail)
    with pytest.raises(OSError, match="no room"):
        paint_objects(tmp_path / "new", (32, 32), {"train": 1}, progress=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size, objects, fault", [
    ((4, 32), {"train": 1}, "4x32 pixels are too small.*8 or more"),
    ((32, 32), {"test": 1}, "split 'test': splits are train, val"),
    ((32, 32), {"train": 0}, "0 objects a class.*1 or more"),
])  # fmt: skip
def test_wrong_arguments_are_named(size, objects, fault, tmp_path):
    with pytest.raises(ValueError, match=fault):
        paint_objects(tmp_path / "new", size, objects)


def test_files_are_never_painted_over(painted):
    before = contents(painted)
    with pytest.raises(FileExistsError, match="already has files"):
        paint_objects(painted, (32, 32), {"train": 1}, progress=False)
    assert contents(painted) == before
