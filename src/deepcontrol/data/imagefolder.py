"""A folder of images a class: the layout of torchvision's ImageFolder, and of any data set unpacked that way."""

from pathlib import Path

import numpy as np

from deepcontrol.data.samples import VOID, DataError, Sample, check_split, list_files

SPLITS = ("train", "val")
ENDINGS = (".png", ".jpg", ".jpeg")
PALETTE = ()  # a class of a whole image has no picture

TRAIN_IDS: np.ndarray = np.arange(256, dtype=np.uint8)  # labels are class indices already
TRAIN_IDS.flags.writeable = False

LAYOUT = """\
    <root>/train/<class>/<name>.png or .jpg
    <root>/val/<class>/<name>.png or .jpg, or test/ where there is no val/"""


def classes(root: Path) -> tuple[str, ...]:
    """The names of the classes, those of the folders in train/, sorted. DataError for fewer than 2 or over 255."""
    return _class_folders(Path(root), "train")


def find(root: Path, split: str) -> list[Sample]:
    """The samples of a split, "train" or "val", by class and name; without a folder val/, test/ is the validation.

    Raises DataError where a folder is missing or empty, or the classes of the two splits differ.
    """
    check_split(split, SPLITS)
    root = Path(root)
    folder = "test" if split == "val" and not (root / "val").is_dir() and (root / "test").is_dir() else split
    names = classes(root)
    found = _class_folders(root, folder)
    if found != names:
        differing = ", ".join(sorted(set(found) ^ set(names)))
        raise DataError(f"The classes in {root / folder} differ from those in {root / 'train'}: {differing}.")
    samples = []
    for label, name in enumerate(names):
        for path in sorted(list_files(root, f"{folder}/{name}", "*", ENDINGS, LAYOUT)):
            samples.append(Sample(f"{name}/{path.stem}", path, label))
    return samples


def _class_folders(root: Path, folder: str) -> tuple[str, ...]:
    for needed in (root, root / folder):
        if not needed.is_dir():
            raise DataError(f"The folder {needed} is missing; expected:\n{LAYOUT}")
    names = sorted(path.name for path in (root / folder).iterdir() if path.is_dir() and not path.name.startswith("."))
    if not 2 <= len(names) <= VOID:
        raise DataError(f"The folder {root / folder} has {len(names)} classes; allowed: 2 to {VOID}.")
    return tuple(names)
