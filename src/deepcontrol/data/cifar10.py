"""CIFAR-10 (Krizhevsky 2009) as torchvision reads it: 50,000 + 10,000 images of 32x32 pixels in ten classes."""

from pathlib import Path

from deepcontrol.data import imagefolder
from deepcontrol.data.samples import DataError, Sample, check_split

SPLITS = ("train", "val")  # the validation split is the test batch
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
PALETTE = imagefolder.PALETTE
TRAIN_IDS = imagefolder.TRAIN_IDS


def classes(_root: Path) -> tuple[str, ...]:
    return CLASSES


def find(root: Path, split: str) -> list[Sample]:
    """The samples of a split in the order of the original files, downloaded into root where they are not there yet.

    torchvision holds every file against its checksum. DataError where the download fails or a file is damaged.
    """
    from torchvision.datasets import CIFAR10  # a second to import, which the other data sets need not wait for

    check_split(split, SPLITS)
    try:
        batch = CIFAR10(str(root), train=split == "train", download=True)
    except (OSError, RuntimeError, EOFError) as fault:  # no network or a refusal; a checksum; a torn archive
        raise DataError(
            f"CIFAR-10 is not in {root} and could not be downloaded from {CIFAR10.url}, or is damaged ({fault}). "
            f"Put {CIFAR10.filename} there by hand, or remove what is damaged."
        ) from fault
    return [
        Sample(f"{CLASSES[label]}/{index:05d}", image, int(label))
        for index, (image, label) in enumerate(zip(batch.data, batch.targets))
    ]
