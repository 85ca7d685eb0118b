"""What a sample is, and how its files are listed and read."""

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

VOID = 255

# What Pillow raises on a file that is cut short, is of another format, or has a broken header.
UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, Image.DecompressionBombError)


class DataError(Exception):
    """The data cannot be used; one clear sentence says what is wrong, where, and what is expected."""


@dataclass(frozen=True)
class Sample:
    """One picture: the image, its map of label values and, where the layout has one, of instance ids.

    The image is a file or pixels, uint8 (H, W, 3); the label a file, or the class index of the whole image.
    """

    name: str
    image: Path | np.ndarray
    label: Path | int
    instance: Path | None = None

    @property
    def files(self) -> list[Path]:
        return [part for part in (self.image, self.label, self.instance) if isinstance(part, Path)]


def list_files(root: Path, folder: str, pattern: str, endings: tuple[str, ...], layout: str) -> list[Path]:
    """The files root/folder/pattern with one of the lower-case endings, whatever their own case; hidden ones left out.

    Raises DataError, with the expected layout drawn, where root or the folder is missing or no file matches.
    """
    for needed in (root, root / folder):
        if not needed.is_dir():
            raise DataError(f"The folder {needed} is missing; expected:\n{layout}")
    found = (root / folder).glob(pattern)
    files = [path for path in found if path.name.lower().endswith(endings) and not path.name.startswith(".")]
    if not files:
        raise DataError(f"The folder {root / folder} has no file *{' or *'.join(endings)}; expected:\n{layout}")
    return files


def check_split(split: str, allowed: Sequence[str]) -> None:
    """Raise DataError unless split is one of the allowed ones."""
    if split not in allowed:
        raise DataError(f"There is no split {split!r}; allowed: {', '.join(allowed)}.")


def decode(
    sample: Sample, train_ids: np.ndarray, size: tuple[int, int] | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Read a sample and resize it to size = (height, width): the image bilinear with antialiasing, the maps nearest.

    Returns the image (height, width, 3) uint8, the class indices (height, width) uint8 with void 255, and the
    instance ids (height, width) int32 or None. The class of a whole image is a map of one pixel, (1, 1). Without a size
    the files' own is kept. Raises DataError, naming the file, where one cannot be read, is not a single-channel map, or
    differs in size from its image.
    """
    image = _read(sample.image).convert("RGB") if isinstance(sample.image, Path) else Image.fromarray(sample.image)
    paths = [path for path in (sample.label, sample.instance) if isinstance(path, Path)]
    maps = [_read_map(path, image.size, sample.image) for path in paths]
    if size is not None:
        width_first = (size[1], size[0])
        image = image.resize(width_first, Image.Resampling.BILINEAR)
        maps = [ids.resize(width_first, Image.Resampling.NEAREST) for ids in maps]
    if isinstance(sample.label, int):
        return np.asarray(image), np.full((1, 1), sample.label, np.uint8), None
    values, *instances = (np.asarray(ids) for ids in maps)
    labels = train_ids[np.minimum(values, VOID)]  # a value beyond the table is void, as 255 itself is
    return np.asarray(image), labels, instances[0] if instances else None


def _read(path: Path) -> Image.Image:
    try:
        with Image.open(path) as image:
            image.load()
            return image
    except UNREADABLE as fault:
        raise DataError(f"The image file {path} cannot be read: {fault}.") from fault


def _read_map(path: Path, image_size: tuple[int, int], image_path: Path) -> Image.Image:
    """A map of whole numbers; 8-bit, 16-bit and palette files alike become one 32-bit channel."""
    values = np.asarray(_read(path))
    if values.ndim != 2:
        raise DataError(f"The label map {path} has {values.shape[2]} channels; allowed: one, of label values.")
    if values.shape != image_size[::-1]:
        sizes = f"{values.shape[1]}x{values.shape[0]} pixels, its image {image_path} {image_size[0]}x{image_size[1]}"
        raise DataError(f"The label map {path} has {sizes}; they must be equal.")
    return Image.fromarray(values.astype(np.int32))
