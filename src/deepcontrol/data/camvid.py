"""CamVid (Brostow et al. 2009) in the layout of the SegNet tutorial: 11 classes, no instances."""

from pathlib import Path

import numpy as np

from deepcontrol.data.samples import VOID, DataError, Sample, check_split, list_files

SPLITS = ("train", "val", "test")

# In the order of their label values, with CamVid's own colours.
_EVALUATED = (
    ("sky", (128, 128, 128)),
    ("building", (128, 0, 0)),
    ("pole", (192, 192, 128)),
    ("road", (128, 64, 128)),
    ("pavement", (0, 0, 192)),
    ("tree", (128, 128, 0)),
    ("sign-symbol", (192, 128, 128)),
    ("fence", (64, 64, 128)),
    ("car", (64, 0, 128)),
    ("pedestrian", (64, 64, 0)),
    ("bicyclist", (0, 128, 192)),
)

CLASSES: tuple[str, ...] = tuple(name for name, _ in _EVALUATED)
PALETTE: tuple[tuple[int, int, int], ...] = tuple(colour for _, colour in _EVALUATED)

TRAIN_IDS: np.ndarray = np.full(256, VOID, np.uint8)  # label value in the file -> class index; 11 is void
TRAIN_IDS[: len(_EVALUATED)] = np.arange(len(_EVALUATED))
TRAIN_IDS.flags.writeable = False

LAYOUT = """\
    <root>/{train,val,test}/<name>.png or .jpg
    <root>/{train,val,test}annot/<name>.png"""


def classes(_root: Path) -> tuple[str, ...]:
    return CLASSES


def find(root: Path, split: str) -> list[Sample]:
    """The samples of a split, "train", "val" or "test", sorted by name: an image and its label share the file stem.

    Raises DataError where root or a folder is missing or empty, an image has no label, or two share a stem.
    """
    check_split(split, SPLITS)
    root = Path(root)
    images = list_files(root, split, "*", (".png", ".jpg", ".jpeg"), LAYOUT)
    labels = {path.stem: path for path in list_files(root, f"{split}annot", "*", (".png",), LAYOUT)}

    samples = {}
    for image in images:
        if image.stem not in labels:
            label = root / f"{split}annot" / f"{image.stem}.png"
            raise DataError(f"The image {image} has no label {label}; expected:\n{LAYOUT}")
        if image.stem in samples:
            raise DataError(f"The images {samples[image.stem].image} and {image} share one label; allowed: one image.")
        samples[image.stem] = Sample(image.stem, image, labels[image.stem], None)
    return [samples[stem] for stem in sorted(samples)]
