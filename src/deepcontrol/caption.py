"""Which data, at which size, a results folder was made of: the sentence under every figure and table."""

import json
from fractions import Fraction
from pathlib import Path

import pandas as pd

from deepcontrol.style import NETWORK_NAMES

DATA_NAMES = {
    "streets": "painted street scenes (synthetic, 19 Cityscapes classes)",
    "cityscapes": "Cityscapes",
    "camvid": "CamVid photographs (11 classes)",
    "street_objects": "objects cut from painted street scenes (synthetic, 10 classes)",
    "cifar10": "CIFAR-10",
    "cifar10-jpeg": "cifar10-jpeg (CIFAR-10, every image once through JPEG)",
}


def caption(results: Path) -> str:
    """Data, images, preset, widths, epochs, seeds and device of results = .../<study>/<data>-<preset>."""
    provenance = json.loads((results / "provenance.json").read_text())["all"]
    curves, data, preset = pd.read_csv(results / "curves.csv"), provenance["data"], results.name.rpartition("-")[2]
    height, width = data["size"]
    epochs = curves["epoch"].max()
    seeds = ", ".join(str(seed) for seed in sorted(curves["seed"].unique()))
    return (
        f"Data: {DATA_NAMES.get(data['name'], data['name'])}, {data['samples']['train']:,} training and "
        f"{data['samples']['validation']:,} validation images at {height}x{width}. Preset: {preset}, {widths(curves)}, "
        f"{epochs} epoch{'s' if epochs > 1 else ''}, fixed learning rate. "
        f"Seed{'s' if ',' in seeds else ''} {seeds}. Device: {provenance['device']}."
    )


def widths(curves: pd.DataFrame) -> str:
    """'SegNet and ClassNet at 1/8 width', or each at its own."""
    networks: dict[float, list[str]] = {}
    for network, width in curves[["network", "width"]].drop_duplicates().itertuples(index=False):
        networks.setdefault(width, []).append(NETWORK_NAMES[network])
    return ", ".join(
        f"{' and '.join(names)} at {'full' if width == 1 else Fraction(width).limit_denominator(1000)} width"
        for width, names in networks.items()
    )
