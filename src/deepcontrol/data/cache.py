"""The packed cache: a split decoded and resized once, then memory-mapped, so that training never waits for files."""

import fcntl
import hashlib
import json
import multiprocessing
import os
import shutil
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType

import numpy as np
from numpy.lib.format import open_memmap
from tqdm import tqdm

from deepcontrol.data.samples import VOID, DataError, Sample, decode

FORMAT_VERSION = 1  # raise it whenever the packed bytes of the same files would change
BAND_RADIUS = 4  # pixels
PARALLEL_FROM = 64  # samples; below, starting processes costs more than it saves
CHANNELS = {"images": (3,), "labels": (), "contours": ()}  # the shape of a pixel in each array


@dataclass(frozen=True, eq=False)
class Packed:
    """A packed split of N samples at H x W pixels; the arrays are memory-mapped; what is written to
    them never reaches the files.

    images: uint8 (N, H, W, 3). labels: uint8 (N, H, W), class indices, void 255; (N, 1, 1) where an image has one.
    contours: uint8, as labels, 0 outside the band, 1 in the band, 2 on a contour (see `draw_contours`).
    class_counts: int64 (classes,), the valid pixels of each class. mean, std: per channel, of the images in [0, 1].
    has_instances: whether contours come from instance ids; if not, from class indices.
    checksum: sha256 over all of the above.
    """

    images: np.ndarray
    labels: np.ndarray
    contours: np.ndarray
    names: list[str]
    classes: int
    class_counts: np.ndarray
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    has_instances: bool
    checksum: str


def pack(
    layout_module: ModuleType,
    root: Path,
    split: str,
    size: tuple[int, int],
    cache_root: Path,
    subset: int | None = None,
    seed: int = 0,
    progress: bool = True,
) -> Packed:
    """The split at size = (height, width), from its cache below cache_root, which is built where it is not yet there.

    With `subset`, a random choice of that many samples, drawn by `seed`, kept in sorted order. A cache belongs to its
    layout, size, choice and source files (names, sizes, modification times). Its checksum is verified at every load,
    and a torn or altered one is built again. Raises DataError where the files do not fit the layout, cannot be read,
    are fewer than `subset`, or need more room than the disk has; no part of a cache is left behind.
    """
    root, cache_root = Path(root), Path(cache_root)
    if min(size) < 1:
        raise DataError(f"The size {size} is too small; allowed: (height, width) of at least 1 pixel.")
    samples = layout_module.find(root, split)
    if subset is not None:
        samples = _choose(samples, subset, seed, f"{root}, split {split}")
    layout = layout_module.__name__.rpartition(".")[2]
    identity = [FORMAT_VERSION, layout, size, subset, seed if subset is not None else None, _file_list(samples, root)]
    digest = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:12]
    folder = cache_root / f"{layout}-{split}-{size[0]}x{size[1]}-{digest}"

    if packed := _load(folder):  # the common case takes no lock, so a finished cache may lie on a read-only disk
        return packed
    cache_root.mkdir(parents=True, exist_ok=True)
    with _locked(cache_root / f"{folder.name}.lock"):
        if packed := _load(folder):  # another process built it while this one waited
            return packed
        if folder.exists():
            print(f"The packed cache {folder} is torn or altered: building it again.", file=sys.stderr)
            shutil.rmtree(folder)
        _build(samples, layout_module.TRAIN_IDS, len(layout_module.classes(root)), size, folder, progress)
    if packed := _load(folder):
        return packed
    raise DataError(f"The packed cache {folder} was altered while it was built; is its disk sound?")


def draw_contours(ids: np.ndarray, void: np.ndarray) -> np.ndarray:
    """Contours and the band around them: uint8 (H, W), 2 on a contour, 1 elsewhere in the band, 0 outside.

    A pixel is on a contour when one of its four neighbours has another id; pairs that touch void do not count. The
    band is every pixel within BAND_RADIUS rows and columns of a contour. ids (H, W) of any integer type, void (H, W)
    bool. (Ruff 2017, Deep Control, appendix A: the targets of ClassNet's contour loss.)
    """
    contour = np.zeros(ids.shape, bool)
    for here, there in (np.s_[1:, :], np.s_[:-1, :]), (np.s_[:, 1:], np.s_[:, :-1]):
        differ = (ids[here] != ids[there]) & ~void[here] & ~void[there]
        contour[here] |= differ
        contour[there] |= differ
    band = contour
    for axis in (0, 1):  # the square is separable: dilate down the columns, then along the rows
        margin = [(BAND_RADIUS, BAND_RADIUS) if along == axis else (0, 0) for along in (0, 1)]
        windows = np.lib.stride_tricks.sliding_window_view(np.pad(band, margin), 2 * BAND_RADIUS + 1, axis)
        band = windows.any(axis=-1)
    return band.astype(np.uint8) + contour


def _choose(samples: list[Sample], subset: int, seed: int, place: str) -> list[Sample]:
    if not 1 <= subset <= len(samples):
        raise DataError(
            f"A subset of {subset} samples is not possible in {place}; allowed: 1 to {len(samples)}, or null for all "
            "(data.train_size, data.validation_size)."
        )
    chosen = np.random.default_rng(seed).permutation(len(samples))[:subset]
    return [samples[index] for index in sorted(chosen)]


def _file_list(samples: list[Sample], root: Path) -> list[tuple[str, int, int]]:
    files = (path for sample in samples for path in sample.files)
    return [(path.relative_to(root).as_posix(), path.stat().st_size, path.stat().st_mtime_ns) for path in files]


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock; the file stays, since removing it would let two processes lock two files."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _build(
    samples: list[Sample], train_ids: np.ndarray, classes: int, size: tuple[int, int], folder: Path, progress: bool
) -> None:
    unfinished = folder.with_name(f".{folder.name}.unfinished")
    if unfinished.exists():  # left by a process that was killed: the lock is ours, so nobody writes there
        shutil.rmtree(unfinished)
    needed, free = len(samples) * size[0] * size[1] * 5, shutil.disk_usage(folder.parent).free
    if needed > free:  # found out later, a full disk kills the process that writes to mapped memory
        raise DataError(f"The packed cache {folder} needs {needed:,} bytes, and its disk has {free:,} left.")
    unfinished.mkdir()
    try:
        label_size = (1, 1) if isinstance(samples[0].label, int) else size
        for array, channels in CHANNELS.items():
            pixels = size if array == "images" else label_size
            open_memmap(unfinished / f"{array}.npy", "w+", np.uint8, (len(samples), *pixels, *channels))
        pack_one = partial(_pack_one, unfinished, train_ids, size)
        counts, sums, squares = _pack_all(pack_one, samples, folder.name, progress)
        pixels = len(samples) * size[0] * size[1]
        record = {
            "names": [sample.name for sample in samples],
            "classes": classes,
            "class_counts": counts[:classes].tolist(),
            "mean": (sums / (255 * pixels)).tolist(),
            "std": [(pixels * int(s2) - int(s1) ** 2) ** 0.5 / (255 * pixels) for s1, s2 in zip(sums, squares)],
            "has_instances": all(sample.instance for sample in samples),
        }
        record["checksum"] = _checksum(unfinished, record)
        (unfinished / "manifest.json").write_text(json.dumps(record, indent=1))
        unfinished.rename(folder)
    except BaseException:
        shutil.rmtree(unfinished)
        raise


def _pack_all(pack_one: partial, samples: list[Sample], name: str, progress: bool) -> list[np.ndarray]:
    """Pack every sample, in parallel where it pays; returns the totals of what pack_one returns."""
    bar = partial(tqdm, total=len(samples), desc=f"Packing {name}", unit="image", disable=None if progress else True)
    tasks = range(len(samples)), samples
    if len(samples) < PARALLEL_FROM:
        return [sum(parts) for parts in zip(*bar(map(pack_one, *tasks)))]
    # A fork starts from the modules in memory; a fresh interpreter would run the user's script again.
    context = multiprocessing.get_context("fork" if "fork" in multiprocessing.get_all_start_methods() else None)
    workers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    executor = ProcessPoolExecutor(min(workers, 32), context, initializer=_leave_with_parent)
    try:
        return [sum(parts) for parts in zip(*bar(executor.map(pack_one, *tasks, chunksize=4)))]
    finally:
        executor.shutdown(cancel_futures=True)


def _leave_with_parent() -> None:
    """End this worker when its parent is killed: a fork holds the parent's lock for as long as it lives."""

    def leave() -> None:
        multiprocessing.parent_process().join()
        os._exit(1)

    threading.Thread(target=leave, daemon=True).start()


def _pack_one(
    folder: Path, train_ids: np.ndarray, size: tuple[int, int], index: int, sample: Sample
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Write one sample; returns its pixels per label value and, per channel, the sum and the sum of squares."""
    image, labels, instances = decode(sample, train_ids, size)
    contours = draw_contours(labels if instances is None else instances, labels == VOID)
    for array, values in zip(CHANNELS, (image, labels, contours)):
        open_memmap(folder / f"{array}.npy", "r+")[index] = values
    channels = image.reshape(-1, 3).astype(np.int64)
    return np.bincount(labels.ravel(), minlength=256), channels.sum(axis=0), (channels**2).sum(axis=0)


def _checksum(folder: Path, record: dict) -> str:
    """sha256 over the record, less its checksum, and the bytes of the array files."""
    digest = hashlib.sha256(json.dumps(record, sort_keys=True).encode())
    for array in CHANNELS:
        with (folder / f"{array}.npy").open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def _load(folder: Path) -> Packed | None:
    """The cache in the folder; None where it is missing, torn or altered."""
    try:
        record = json.loads((folder / "manifest.json").read_text())
        checksum = record.pop("checksum")
        if checksum != _checksum(folder, record):
            return None
        arrays = {array: open_memmap(folder / f"{array}.npy", "c") for array in CHANNELS}  # copy on write
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # a missing file, or a manifest out of shape
        return None
    counts = np.array(record.pop("class_counts"), np.int64)
    mean, std = tuple(record.pop("mean")), tuple(record.pop("std"))
    return Packed(**arrays, **record, class_counts=counts, mean=mean, std=std, checksum=checksum)
