"""The Cityscapes layout (Cordts et al. 2016): fine annotations, 19 classes, instances."""

from pathlib import Path

import numpy as np

from deepcontrol.data.samples import VOID, DataError, Sample, check_split, list_files

SPLITS = ("train", "val")

# Label value in the file, name and colour of the evaluated classes, in the order of their trainId.
_EVALUATED = (
    (7, "road", (128, 64, 128)),
    (8, "sidewalk", (244, 35, 232)),
    (11, "building", (70, 70, 70)),
    (12, "wall", (102, 102, 156)),
    (13, "fence", (190, 153, 153)),
    (17, "pole", (153, 153, 153)),
    (19, "traffic light", (250, 170, 30)),
    (20, "traffic sign", (220, 220, 0)),
    (21, "vegetation", (107, 142, 35)),
    (22, "terrain", (152, 251, 152)),
    (23, "sky", (70, 130, 180)),
    (24, "person", (220, 20, 60)),
    (25, "rider", (255, 0, 0)),
    (26, "car", (0, 0, 142)),
    (27, "truck", (0, 0, 70)),
    (28, "bus", (0, 60, 100)),
    (31, "train", (0, 80, 100)),
    (32, "motorcycle", (0, 0, 230)),
    (33, "bicycle", (119, 11, 32)),
)

CLASSES: tuple[str, ...] = tuple(name for _, name, _ in _EVALUATED)
PALETTE: tuple[tuple[int, int, int], ...] = tuple(colour for _, _, colour in _EVALUATED)

TRAIN_IDS: np.ndarray = np.full(256, VOID, np.uint8)  # label value in the file -> class index
TRAIN_IDS[[label_id for label_id, _, _ in _EVALUATED]] = np.arange(len(_EVALUATED))
TRAIN_IDS.flags.writeable = False

LAYOUT = """\
    <root>/leftImg8bit/{train,val}/<city>/<name>_leftImg8bit.png
    <root>/gtFine/{train,val}/<city>/<name>_gtFine_labelIds.png
    <root>/gtFine/{train,val}/<city>/<name>_gtFine_instanceIds.png"""


def classes(_root: Path) -> tuple[str, ...]:
    return CLASSES


def find(root: Path, split: str) -> list[Sample]:
    """The samples of a split, "train" or "val", sorted by name.

    An instance id is label value * 1000 + number for a counted object, else the label value.
    Raises DataError where root or a folder is missing or empty, or an image lacks its labels or instances.
    """
    check_split(split, SPLITS)
    root = Path(root)
    ending = "_leftImg8bit.png"
    images = list_files(root, f"leftImg8bit/{split}", "*/*", (ending.lower(),), LAYOUT)
    annotations = set(list_files(root, f"gtFine/{split}", "*/*", ("ids.png",), LAYOUT))

    def annotation(image: Path, kind: str) -> Path:
        name = image.name.removesuffix(ending)
        path = root / "gtFine" / split / image.parent.name / f"{name}_gtFine_{kind}.png"
        if path not in annotations:
            raise DataError(f"The image {image} has no {path}; expected:\n{LAYOUT}")
        return path

    samples = [
        Sample(image.name.removesuffix(ending), image, annotation(image, "labelIds"), annotation(image, "instanceIds"))
        for image in images
    ]
    return sorted(samples, key=lambda sample: sample.name)
