import filecmp
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deepcontrol.data import streets
from deepcontrol.data.streets import paint, paint_scene

# Cityscapes' label ids and the share of the valid pixels (percent) that a data set of its kind should have.
SHARES = {
    7: 37, 11: 23, 21: 16, 26: 7, 8: 6, 23: 4, 22: 1.2, 24: 1.2, 17: 1.2, 13: 0.9, 12: 0.7, 20: 0.55, 33: 0.4,
    27: 0.27, 28: 0.24, 31: 0.23, 19: 0.2, 25: 0.13, 32: 0.1,
}
SIX_LARGEST = (7, 11, 21, 26, 8, 23)
WITH_INSTANCES = (24, 25, 26, 27, 28, 31, 32, 33)
VOID = (0, 1, 4, 5)
ROAD, BUILDING, SKY, CAR, POLE = 7, 11, 23, 26, 17


def scene(number, height=64, width=128):
    return paint_scene(np.random.default_rng([0, 0, number]), height, width)


@pytest.fixture(scope="module")
def scenes():
    return [scene(number) for number in range(120)]


@pytest.fixture(scope="module")
def painting(tmp_path_factory):
    root = tmp_path_factory.mktemp("painting") / "streets"
    paint(root, 48, 96, {"train": 5, "val": 2}, seed=3, progress=False, processes=1)
    return root


def files(root):
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


def test_a_data_set_has_the_layout_of_cityscapes(painting):
    expected = []
    for split, scenes_in_split in (("train", 5), ("val", 2)):
        for number in range(scenes_in_split):
            stem = f"{split}/paintedtown/paintedtown_{number:06d}_000000"
            expected += [
                f"gtFine/{stem}_gtFine_instanceIds.png", f"gtFine/{stem}_gtFine_labelIds.png",
                f"leftImg8bit/{stem}_leftImg8bit.png",
            ]
    assert files(painting) == sorted(expected)
    modes = {"leftImg8bit.png": "RGB", "labelIds.png": "L", "instanceIds.png": "I;16"}
    for name in files(painting):
        with Image.open(painting / name) as picture:
            assert (picture.format, picture.mode, picture.size) == ("PNG", modes[name.split("_")[-1]], (96, 48))


def test_the_files_hold_the_painted_scene_exactly(painting):
    image, labels, instances = paint_scene(np.random.default_rng([3, 1, 1]), 48, 96)
    stem = "val/paintedtown/paintedtown_000001_000000"
    assert np.array_equal(np.asarray(Image.open(painting / f"leftImg8bit/{stem}_leftImg8bit.png")), image)
    assert np.array_equal(np.asarray(Image.open(painting / f"gtFine/{stem}_gtFine_labelIds.png")), labels)
    assert np.array_equal(np.asarray(Image.open(painting / f"gtFine/{stem}_gtFine_instanceIds.png")), instances)


def test_a_scene_depends_on_nothing_but_seed_split_and_number(painting, tmp_path):
    paint(tmp_path / "more", 48, 96, {"val": 2, "train": 9}, seed=3, progress=False, processes=2)
    for name in files(painting):
        assert filecmp.cmp(painting / name, tmp_path / "more" / name, shallow=False), name


def test_seeds_splits_and_numbers_give_different_scenes(painting, tmp_path):
    paint(tmp_path / "other", 48, 96, {"train": 1}, seed=4, progress=False)
    pictures = [path.read_bytes() for root in (painting, tmp_path / "other") for path in root.rglob("*leftImg8bit.png")]
    assert len(pictures) == 8 and len(set(pictures)) == 8


def test_many_scenes_are_painted_by_several_processes(monkeypatch):
    monkeypatch.setattr(streets.os, "cpu_count", lambda: 3)
    monkeypatch.setattr(streets.os, "sched_getaffinity", lambda pid: {0, 1, 2}, raising=False)
    assert [streets.suitable_processes(jobs) for jobs in (31, 32)] == [1, 3]


def test_label_ids_are_genuine_and_instances_agree_with_them(scenes):
    counted_somewhere = False
    for image, labels, instances in scenes:
        assert (image.dtype, labels.dtype, instances.dtype) == (np.uint8, np.uint8, np.uint16)
        assert np.isin(labels, [*SHARES, *VOID]).all()
        counted = np.isin(labels, WITH_INSTANCES)
        assert np.array_equal(instances[counted] // 1000, labels[counted])
        assert np.array_equal(instances[~counted], labels[~counted])
        counted_somewhere |= len(np.unique(instances[labels == CAR])) > 1
    assert counted_somewhere


def test_class_frequencies_are_near_those_of_cityscapes(scenes):
    pixels = np.bincount(np.concatenate([labels.ravel() for _, labels, _ in scenes]), minlength=256)
    valid = sum(pixels[label] for label in SHARES)
    for label, share in SHARES.items():
        factor = 2 if label in SIX_LARGEST else 3
        assert share / factor < 100 * pixels[label] / valid < share * factor, f"label {label}"
    assert 0.01 < 1 - valid / pixels.sum() < 0.15


def test_every_scene_ends_in_a_void_bonnet(scenes):
    assert all((labels[-1] == 1).mean() > 0.5 and (labels[: 64 // 2] != 1).all() for _, labels, _ in scenes)


def test_the_road_widens_towards_the_camera(scenes):
    widths = np.mean([(labels == ROAD).sum(axis=1) for _, labels, _ in scenes], axis=0)
    rows = widths[[20, 28, 32, 36, 40, 48]]
    assert rows[0] == 0 and (np.diff(rows[1:]) > 0).all() and rows[-1] > 3 * rows[1]


def test_the_sky_is_above_the_road(scenes):
    for _, labels, _ in scenes:
        rows_of = {label: np.nonzero((labels == label).any(axis=1))[0] for label in (SKY, ROAD)}
        if len(rows_of[SKY]):
            assert rows_of[SKY].max() <= rows_of[ROAD].min() + 2


def test_far_cars_are_smaller_than_near_ones(scenes):
    bottoms, areas = [], []
    for _, labels, instances in scenes:
        for car in np.unique(instances[labels == CAR]):
            rows, _ = np.nonzero(instances == car)
            bottoms.append(rows.max())
            areas.append(len(rows))
    near = np.array(bottoms) > np.median(bottoms)
    assert np.mean(np.array(areas)[near]) > 4 * np.mean(np.array(areas)[~near])


def test_haze_takes_the_contrast_of_what_is_far():
    camera = streets.Camera(focal=100, centre=64, horizon=24, height=1.5, bend=0)
    spreads = []
    for depth in (10, 90):
        street = streets.Scene(np.random.default_rng(0), camera, haze=0.03)
        for left, grey in ((-500, 40), (0, 200)):
            street.upright(left, 500, -500, 500, depth, BUILDING, (grey,) * 3, grain=0)
        image, _, _ = streets.render(street, 64, 128)
        spreads.append(image[:, 80:].mean() - image[:, :48].mean())
    assert spreads[0] > 4 * spreads[1] > 0


def test_a_nearer_part_hides_a_farther_one_whatever_the_order_of_drawing():
    camera = streets.Camera(focal=100, centre=64, horizon=24, height=1.5, bend=0)
    for order in ((10, 30), (30, 10)):
        street = streets.Scene(np.random.default_rng(0), camera)
        street.strip(-900, 900, 1, 900, ROAD, (90, 90, 90))
        for depth in order:
            street.upright(-0.9, 0.9, 0, 1.5, depth, (CAR, 26000 + depth), (200, 0, 0))
        _, labels, instances = streets.render(street, 64, 128)
        assert instances[30, 64] == 26010 and labels[30, 64] == CAR
        assert 26030 not in instances  # it stands in the same direction and looks a third as large


def test_a_pole_far_away_is_still_one_pixel_wide():
    camera = streets.Camera(focal=100, centre=64, horizon=24, height=1.5, bend=0)
    for shift in np.arange(0, 3, 0.1):
        street = streets.Scene(np.random.default_rng(0), camera)
        street.strip(-900, 900, 1, 900, ROAD, (90, 90, 90))
        street.upright(shift, shift + 0.1, 0, 6, 80, POLE, (90, 90, 90))
        columns = (streets.render(street, 64, 128)[1] == POLE).any(axis=0).sum()
        assert columns in (1, 2)


@pytest.mark.parametrize("height, width", [(32, 32), (97, 131), (33, 200), (128, 256), (256, 64)])
def test_any_size(height, width):
    image, labels, instances = scene(1, height, width)
    assert image.shape == (height, width, 3) and labels.shape == instances.shape == (height, width)
    assert {ROAD, BUILDING} <= set(np.unique(labels).tolist())


def test_the_geometry_scales_with_the_size():
    for number in range(5):
        small, large = scene(number)[1], scene(number, 256, 512)[1]
        assert (small == large[2::4, 2::4]).mean() > 0.85


def test_colour_alone_does_not_tell_the_classes(scenes):
    """The best a table of colours (16 levels a channel) learnt on half of the scenes can do on the other half."""
    def cells(part):
        image, labels = (np.stack([painted[k] for painted in part]) for k in (0, 1))
        keep = np.isin(labels, list(SHARES))
        return (image[keep] // 16).astype(int) @ (256, 16, 1), labels[keep]

    colours, labels = cells(scenes[:60])
    votes = np.zeros((4096, 34), int)
    np.add.at(votes, (colours, labels), 1)
    colours, labels = cells(scenes[60:])
    assert 0.2 < (votes.argmax(axis=1)[colours] != labels).mean() < 0.7


@pytest.mark.parametrize("height, width, counts, words", [
    (31, 64, {"train": 1}, "31x64 pixels is too small: height and width must be 32 or more"),
    (64, 31, {"train": 1}, "64x31 pixels is too small"),
    (64, 64, {"train": -1}, "cannot paint -1 scenes of split 'train'"),
    (64, 64, {"trian": 1}, "cannot paint 1 scenes of split 'trian': splits are"),
])
def test_bad_arguments_are_refused_in_one_sentence(tmp_path, height, width, counts, words):
    with pytest.raises(ValueError, match=words):
        paint(tmp_path / "streets", height, width, counts)
    assert not list(tmp_path.iterdir())


def test_paint_scene_refuses_a_small_size():
    with pytest.raises(ValueError, match="16x64 pixels is too small"):
        scene(0, 16, 64)


def test_files_already_there_are_kept(tmp_path):
    (tmp_path / "letter.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="already has files in it"):
        paint(tmp_path, 64, 128, {"train": 1})
    assert (tmp_path / "letter.txt").read_text() == "mine"


def test_an_interrupted_painting_leaves_nothing(tmp_path, monkeypatch):
    calls = count()

    def stop_at_the_third(*arguments):
        if next(calls) == 2:
            raise KeyboardInterrupt
        return scene(0, 48, 96)

    monkeypatch.setattr(streets, "paint_scene", stop_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        paint(tmp_path / "streets", 48, 96, {"train": 5}, progress=False)
    assert next(calls) == 3 and not list(Path(tmp_path).iterdir())
