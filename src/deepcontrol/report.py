"""A study's results folder, read back: its figures, its caption and its summary table."""

import json
from pathlib import Path

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from deepcontrol.studies import STUDIES
from deepcontrol.style import save

DATA_NAMES = {
    "streets": "painted street scenes (synthetic, 19 Cityscapes classes)",
    "cityscapes": "Cityscapes",
    "camvid": "CamVid photographs (11 classes)",
    "street_objects": "objects cut from painted street scenes (synthetic, 10 classes)",
    "cifar10": "CIFAR-10",
    "cifar10-jpeg": "cifar10-jpeg (CIFAR-10, every image once through JPEG)",
}


def draw_study(results: Path) -> list[Path]:
    """Draw the study's figures (PNG, SVG, PDF) from the tables in results = .../<study>/<data>-<preset>."""
    figures = STUDIES[results.parent.name].draw(results, caption(results, pd.read_csv(results / "curves.csv")))
    return [path for name, figure in figures.items() for path in save(figure, results / name)]


def caption(results: Path, curves: pd.DataFrame) -> str:
    provenance = json.loads((results / "provenance.json").read_text())["all"]
    data, preset = provenance["data"], results.name.rpartition("-")[2]
    height, width = data["size"]
    seeds = ", ".join(str(seed) for seed in sorted(curves["seed"].unique()))
    return (
        f"Data: {DATA_NAMES.get(data['name'], data['name'])}, {data['samples']['train']} training and {data['samples']['validation']} "
        f"validation images at {height}x{width}. Preset: {preset}, {curves['epoch'].max()} epochs, "
        "fixed learning rate. "
        f"Seed{'s' if ',' in seeds else ''} {seeds}. Device: {provenance['device']}."
    )


def print_summary(results: Path) -> None:
    """One table: cell, seed, final error, best error, seconds, images/s, status; also kept as summary.md."""
    summary = pd.read_csv(results / "summary.csv")
    columns = ("cell", "seed", "final error", "best error", "seconds", "images/s", "status")
    study = results.parent.name
    rows = [
        (
            row.cell.removeprefix(f"{study}_"), str(row.seed), f"{row.final_error:.2%}", f"{row.best_error:.2%}",
            f"{row.seconds:.0f}", f"{row.images_per_s:.1f}", row.status,
        )
        for row in summary.itertuples()
    ]  # fmt: skip
    table = Table(*columns, title=f"{study}, {results.name}", box=SIMPLE_HEAD)
    for row in rows:
        table.add_row(*row)
    Console(width=max(Console().width, 100)).print(table)
    lines = [" | ".join(cells) for cells in (columns, ["---"] * len(columns), *rows)]
    (results / "summary.md").write_text("".join(f"| {line} |\n" for line in lines))
