"""A study's results folder, read back: its figures and its summary table."""

from pathlib import Path

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from deepcontrol.caption import caption
from deepcontrol.studies import STUDIES
from deepcontrol.style import save

def draw_study(results: Path) -> list[Path]:
    """Draw the study's figures (PNG, SVG, PDF) from the tables in results = .../<study>/<data>-<preset>."""
    figures = STUDIES[results.parent.name].draw(results, caption(results))
    return [path for name, figure in figures.items() for path in save(figure, results / name)]


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
    # A run that diverged in its first epoch has neither errors nor speed.
    rows = [tuple("-" if cell.startswith("nan") else cell for cell in row) for row in rows]
    table = Table(*columns, title=f"{study}, {results.name}", box=SIMPLE_HEAD)
    for row in rows:
        table.add_row(*row)
    Console(width=max(Console().width, 100)).print(table)
    lines = [" | ".join(cells) for cells in (columns, ["---"] * len(columns), *rows)]
    (results / "summary.md").write_text(f"{caption(results)}\n\n" + "".join(f"| {line} |\n" for line in lines))
