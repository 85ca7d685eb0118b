"""The packed cache against independent formulas, broken files, changed files and a second process."""

import json
import multiprocessing
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from deepcontrol.data import cache, camvid, cityscapes
from deepcontrol.data.cache import draw_contours, pack
from deepcontrol.data.samples import DataError, decode

HEIGHT, WIDTH = 24, 32
ONE_EDGE = [0] * 5 + [1] * 4 + [2] * 2 + [1] * 4 + [0] * 5  # twenty columns with an edge in the middle


def write(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)


def write_camvid(root: Path, count: int, split: str = "train") -> Path:
    random = np.random.default_rng(count)
    for number in range(count):
        write(root / split / f"{number:03}.png", random.integers(256, size=(HEIGHT, WIDTH, 3), dtype=np.uint8))
        blocks = random.choice([0, 3, 8, 11], size=(HEIGHT // 4, WIDTH // 4)).astype(np.uint8)
        write(root / f"{split}annot" / f"{number:03}.png", blocks.repeat(4, axis=0).repeat(4, axis=1))
    return root


def read(root: Path, kind: str, name: str) -> np.ndarray:
    return np.asarray(Image.open(root / kind / f"{name}.png"))


def folders(cache_root: Path) -> list[Path]:
    """The caches, finished or not; the lock files beside them stay."""
    return sorted(path for path in cache_root.glob("*") if path.suffix != ".lock")


def content(cache_root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in cache_root.glob("*/*")}


def pack_here(source: Path, cache_root: Path, size: tuple[int, int] = (HEIGHT, WIDTH), **options) -> cache.Packed:
    return pack(camvid, source, "train", size, cache_root, progress=False, **options)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_camvid(tmp_path / "camvid", 3)


def slow_contours(ids: np.ndarray, void: np.ndarray) -> np.ndarray:
    """The definition, pixel by pixel."""
    inside = set(np.ndindex(ids.shape))
    contour = {
        (row, column)
        for row, column in inside
        for other in {(row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)} & inside
        if ids[row, column] != ids[other] and not void[row, column] and not void[other]
    }
    drawn = np.zeros(ids.shape, np.uint8)
    for row, column in inside:
        near = any(max(abs(row - r), abs(column - c)) <= 4 for r, c in contour)
        drawn[row, column] = 2 if (row, column) in contour else near
    return drawn


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_contours_follow_the_definition(data: st.DataObject) -> None:
    shape = data.draw(st.tuples(st.integers(1, 14), st.integers(1, 14)))
    others, background = st.sampled_from([7, 26002, 33999]), st.just(26001)
    ids = data.draw(hnp.arrays(np.int32, shape, elements=others, fill=background))
    void = data.draw(hnp.arrays(bool, shape, elements=st.just(True), fill=st.just(False)))
    np.testing.assert_array_equal(draw_contours(ids, void), slow_contours(ids, void), strict=True)


def test_at_its_own_size_the_cache_holds_the_files(source: Path, tmp_path: Path) -> None:
    packed = pack_here(source, tmp_path / "cache")
    assert packed.names == ["000", "001", "002"] and packed.classes == 11 and packed.has_instances is False
    for array in packed.images, packed.labels, packed.contours:
        assert isinstance(array, np.memmap) and array.dtype == np.uint8
    images = np.stack([read(source, "train", name) for name in packed.names])
    values = np.stack([read(source, "trainannot", name) for name in packed.names])
    np.testing.assert_array_equal(packed.images, images)
    np.testing.assert_array_equal(packed.labels, np.where(values == 11, 255, values))
    for labels, contours in zip(packed.labels, packed.contours):
        np.testing.assert_array_equal(contours, slow_contours(labels, labels == 255))
    assert packed.class_counts.dtype == np.int64
    assert packed.class_counts.tolist() == [(values == index).sum() for index in range(11)]
    np.testing.assert_allclose(packed.mean, (images / 255).mean(axis=(0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(packed.std, (images / 255).std(axis=(0, 1, 2)), rtol=1e-12)


def test_instances_separate_two_cars_that_touch(tmp_path: Path) -> None:
    ids = np.where(np.arange(20) < 10, 26001, 26002).astype(np.uint16)[None].repeat(12, axis=0)
    ids[:2] = 7  # road above the cars, without a number
    gt = tmp_path / "gtFine/val/bonn"
    write(tmp_path / "leftImg8bit/val/bonn/bonn_0_0_leftImg8bit.png", np.zeros((12, 20, 3), np.uint8))
    write(gt / "bonn_0_0_gtFine_labelIds.png", np.where(ids > 1000, 26, 7).astype(np.uint8))
    write(gt / "bonn_0_0_gtFine_instanceIds.png", ids)
    packed = pack(cityscapes, tmp_path, "val", (12, 20), tmp_path / "cache", progress=False)
    assert packed.has_instances is True and packed.classes == 19 and np.unique(packed.labels).tolist() == [0, 13]
    assert packed.contours[0, 11].tolist() == ONE_EDGE
    np.testing.assert_array_equal(packed.contours[0], slow_contours(ids, ids == 0))


def flip_a_byte(path: Path) -> None:
    values = bytearray(path.read_bytes())
    values[-5] ^= 1
    path.write_bytes(values)


def alter_the_mean(path: Path) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | {"mean": [0.5, 0.5, 0.5]}))


@pytest.mark.parametrize(("name", "damage"), [
    *((f"{array}.npy", flip_a_byte) for array in cache.CHANNELS),
    ("labels.npy", Path.unlink), ("images.npy", lambda path: os.truncate(path, 1000)),
    ("manifest.json", alter_the_mean), ("manifest.json", Path.unlink),
    *(("manifest.json", lambda path, text=text: path.write_text(text)) for text in ("", "{", "[]", "null", "{}")),
])
def test_damage_is_found_and_rebuilt(source, tmp_path, capsys, monkeypatch, name: str, damage: Callable) -> None:
    first = pack_here(source, tmp_path / "cache")
    before, (folder,) = content(tmp_path / "cache"), folders(tmp_path / "cache")
    damage(folder / name)
    assert capsys.readouterr().err == ""
    assert pack_here(source, tmp_path / "cache").checksum == first.checksum and content(tmp_path / "cache") == before
    assert (said := capsys.readouterr().err).count("\n") == 1 and str(folder) in said
    monkeypatch.setattr(cache, "_build", None)  # from here on it is only loaded
    again = pack_here(source, tmp_path / "cache", seed=7)  # without a subset the seed chooses nothing
    assert (again.checksum, again.mean, again.std) == (first.checksum, first.mean, first.std)
    assert capsys.readouterr().err == ""


def test_the_checksum_is_of_pixels_and_names_not_of_place_or_time(source: Path, tmp_path: Path) -> None:
    checksum = pack_here(source, tmp_path / "cache").checksum
    copy = write_camvid(tmp_path / "copy", 3)
    assert pack_here(copy, tmp_path / "elsewhere").checksum == checksum
    for kind in "train", "trainannot":
        (copy / kind / "002.png").rename(copy / kind / "9.png")
    assert pack_here(copy, tmp_path / "elsewhere").checksum != checksum


def test_every_choice_and_every_change_of_a_file_has_its_own_folder(source: Path, tmp_path: Path) -> None:
    write_camvid(source, 3, "val")
    pack(camvid, source, "val", (HEIGHT, WIDTH), tmp_path / "cache", progress=False)
    pack_here(source, tmp_path / "cache", (12, 16))
    for options in {}, {"subset": 2}, {"subset": 2, "seed": 1}, {"subset": 3}:
        pack_here(source, tmp_path / "cache", **options)
    label = source / "trainannot" / "001.png"
    then = label.stat().st_mtime_ns + 1
    os.utime(label, ns=(then, then))  # as many bytes, another time
    pack_here(source, tmp_path / "cache")
    write(label, np.zeros((HEIGHT, WIDTH), np.uint8))
    os.utime(label, ns=(then, then))  # the same time, fewer bytes
    assert not pack_here(source, tmp_path / "cache").labels[1].any()
    names = [folder.name.rpartition("-")[0] for folder in folders(tmp_path / "cache")]
    assert names == ["camvid-train-12x16"] + ["camvid-train-24x32"] * 6 + ["camvid-val-24x32"]


def test_a_subset_is_seeded_and_sorted(tmp_path: Path) -> None:
    source = write_camvid(tmp_path / "camvid", 20)
    chosen = [pack_here(source, tmp_path / "cache", subset=8, seed=seed).names for seed in range(4)]
    again = pack_here(source, tmp_path / "another", subset=8, seed=2)
    assert again.names == chosen[2] and len(set(map(tuple, chosen))) == 4
    assert all(names == sorted(set(names)) and len(names) == 8 for names in chosen)
    np.testing.assert_array_equal(again.images[5], read(source, "train", again.names[5]))


@pytest.mark.parametrize(("folder", "options", "sentence"), [
    ("nowhere", {}, "nowhere is missing"),
    ("camvid", {"subset": 4}, "subset of 4 samples .* allowed: 1 to 3"),
    ("camvid", {"subset": 0}, "subset of 0 samples .* allowed: 1 to 3"),
    ("camvid", {"size": (0, 8)}, r"size \(0, 8\) is too small"),
    ("camvid", {"size": (10**7, 10**8)}, "needs 15,000,000,000,000,000 bytes"),
])
def test_the_impossible_is_refused_at_once(source: Path, tmp_path: Path, folder, options, sentence) -> None:
    began = time.monotonic()
    with pytest.raises(DataError, match=sentence):
        pack_here(tmp_path / folder, tmp_path / "cache", **options)
    assert time.monotonic() - began < 1 and folders(tmp_path / "cache") == []


@pytest.mark.parametrize("parallel_from", [0, 1000])
@pytest.mark.parametrize("kind", ["train", "trainannot"])
def test_a_truncated_file_is_named_and_nothing_is_left(tmp_path, monkeypatch, kind: str, parallel_from: int) -> None:
    monkeypatch.setattr(cache, "PARALLEL_FROM", parallel_from)
    broken = write_camvid(tmp_path / "camvid", 5) / kind / "003.png"
    os.truncate(broken, broken.stat().st_size * 2 // 3)
    with pytest.raises(DataError, match=rf"{kind}/003\.png cannot be read"):
        pack_here(tmp_path / "camvid", tmp_path / "cache")
    assert folders(tmp_path / "cache") == [] and multiprocessing.active_children() == []


def noting(notes: Path, seconds: float = 0) -> Callable:
    """Decode as ever, but leave a note of the process that does, and take so many seconds."""
    def decode_slowly(*arguments):
        (notes / f"decoded-by.{os.getpid()}").touch()
        time.sleep(seconds)
        return decode(*arguments)

    return decode_slowly


def test_parallel_and_serial_builds_give_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write_camvid(tmp_path / "camvid", 11)
    pack_here(source, tmp_path / "serial")
    monkeypatch.setattr(cache, "PARALLEL_FROM", 11)
    monkeypatch.setattr(cache, "decode", noting(tmp_path))
    pack_here(source, tmp_path / "parallel")
    assert content(tmp_path / "parallel") == content(tmp_path / "serial") and len(content(tmp_path / "serial")) == 4
    decoders = {path.suffix for path in tmp_path.glob("decoded-by.*")}
    assert decoders and f".{os.getpid()}" not in decoders


def test_after_a_killed_build_two_at_once_both_end_well(source: Path, tmp_path: Path, monkeypatch) -> None:
    def start(seconds: float, parallel_from: int) -> multiprocessing.Process:
        monkeypatch.setattr(cache, "PARALLEL_FROM", parallel_from)
        monkeypatch.setattr(cache, "decode", noting(tmp_path, seconds))
        builder = multiprocessing.get_context("fork").Process(target=pack_here, args=(source, tmp_path / "cache"))
        builder.start()
        return builder

    killed = start(seconds=60, parallel_from=0)
    deadline = time.monotonic() + 20
    while not (notes := list(tmp_path.glob("decoded-by.*"))) and time.monotonic() < deadline:
        time.sleep(0.01)
    killed.kill()
    killed.join()
    assert len(notes) == 1 and folders(tmp_path / "cache")[0].name.endswith(".unfinished")
    builders = [start(seconds=0.1, parallel_from=1000) for _ in range(2)]
    for builder in builders:
        builder.join(timeout=20)  # not for ever: the killed one's worker has let go of the lock
    assert [builder.exitcode for builder in builders] == [0, 0]
    assert len(list(tmp_path.glob("decoded-by.*"))) == 2  # one of the two built it; the other found it built
    monkeypatch.undo()
    pack_here(source, tmp_path / "fresh")
    assert content(tmp_path / "cache") == content(tmp_path / "fresh") and len(folders(tmp_path / "cache")) == 1
