"""A study's results folder, read back: its figures, its caption and its summary table."""

import json
from pathlib import Path

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from deepcontrol.figures import figure1, lambda_figure
from deepcontrol.style import save

DATA_NAMES = {
    "streets": "painted street scenes (synthetic, 19 Cityscapes classes)",
    "cityscapes": "Cityscapes",
    "camvid": "CamVid photographs (11 classes)",
}


def draw_study(results: Path) -> list[Path]:
    """Draw figure1 and lambda (PNG, SVG, PDF) from the tables in the folder; returns the files."""
    curves, gains = (pd.read_csv(results / name) for name in ("curves.csv", "gains.csv.gz"))
    words = caption(results, curves)
    drawn = save(figure1(curves, words), results / "figure1")
    return drawn + save(lambda_figure(gains, curves, words), results / "lambda")


def caption(results: Path, curves: pd.DataFrame) -> str:
    provenance = json.loads((results / "provenance.json").read_text())["all"]
    data, preset = provenance["data"], results.name.rpartition("-")[2]
    height, width = data["size"]
    seeds = ", ".join(str(seed) for seed in sorted(curves["seed"].unique()))
    return (
        f"Data: {DATA_NAMES[data['name']]}, {data['samples']['train']} training and {data['samples']['validation']} "
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
