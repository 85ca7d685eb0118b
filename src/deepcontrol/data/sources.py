"""The data sets by name: where each lies, which layout it has, and its two splits packed."""

from dataclasses import dataclass
from pathlib import Path

from deepcontrol.data import camvid, cifar10, cityscapes, imagefolder
from deepcontrol.data.cache import Packed, pack
from deepcontrol.data.street_objects import paint_objects
from deepcontrol.data.streets import paint

LAYOUTS = {
    "streets": cityscapes, "cityscapes": cityscapes, "camvid": camvid,
    "street_objects": imagefolder, "cifar10": cifar10, "imagefolder": imagefolder,
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Splits:
    train: Packed
    validation: Packed
    class_names: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]


def open_data(options, progress: bool = False) -> Splits:
    """The packed splits that ``config.Data`` describes; painted (streets, street objects) and packed if they are
    not there yet.

    Raises DataError in one sentence where the data is missing, does not fit its layout, or cannot be read.
    """
    layout, size, root = LAYOUTS[options.name], tuple(options.size), Path(options.root)
    if options.name == "streets":
        train, validation = options.scenes
        root = root / f"{size[0]}x{size[1]}-{train}-{validation}"
        if not root.exists():
            paint(root, *size, {"train": train, "val": validation}, progress=progress)
    if options.name == "street_objects":
        train, validation = options.objects
        root = root / f"{size[0]}x{size[1]}-{train}-{validation}"
        if not root.exists():
            paint_objects(root, size, {"train": train, "val": validation}, progress=progress)
    for split in ("train", "val"):  # both, before the long work on either
        layout.find(root, split)
    packed = [
        pack(layout, root, split, size, Path(options.cache), subset, progress=progress)
        for split, subset in (("train", options.train_size), ("val", options.validation_size))
    ]
    return Splits(*packed, layout.classes(root), layout.PALETTE)
