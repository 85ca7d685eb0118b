"""A cell's runs out of a study's tidy tables, by the cell's name."""

import pandas as pd
from matplotlib.axes import Axes

from deepcontrol import style


class MissingCell(LookupError):
    """A figure or table needs a cell that the results do not hold."""


def rows_of(table: pd.DataFrame, cell: str) -> pd.DataFrame:
    rows = table[table["cell"] == cell]
    if rows.empty:
        raise MissingCell(f"the results do not hold the cell {cell}")
    return rows


def curve_of(curves: pd.DataFrame, cell: str, quantity: str, split: str = "val") -> pd.DataFrame:
    """The quantity, errors in %: a row an epoch, a column a seed."""
    rows = rows_of(curves, cell)
    runs = rows[rows["split"] == split].pivot(index="epoch", columns="seed", values=quantity)
    return runs * 100 if quantity == "error" else runs


def diverged(table: pd.DataFrame, cell: str) -> int:
    """How many of the cell's seeds diverged."""
    rows = rows_of(table, cell)
    return rows["seed"][rows["status"] == "diverged"].nunique()


def final_errors(summary: pd.DataFrame, cell: str) -> pd.Series:
    """The last validation error of each seed, in %."""
    return 100 * rows_of(summary, cell).set_index("seed")["final_error"]


def final_error(runs: pd.DataFrame) -> str:
    """Mean and range over the seeds of a cell; or how many of them diverged."""
    lost = (runs["status"] == "diverged").sum()
    if lost:
        return f"diverged ({lost} of {len(runs)})"
    if len(runs) == 1:
        return f"{runs['final_error'].iloc[0]:.1%}"
    low, high = runs["final_error"].min(), runs["final_error"].max()
    return f"{runs['final_error'].mean():.1%} ({low:.1%} to {high:.1%})"


def draw_curves(ax: Axes, lines: list[tuple[pd.DataFrame, str, object, str, int]]) -> None:
    """Lines (runs, colour, dashes, label, seeds diverged) within a range that spikes do not set."""
    values = [style.trained_values(runs) for runs, *_ in lines]
    limits = style.robust_range([one for one, (*_, lost) in zip(values, lines) if not lost], values)
    for runs, colour, dashes, label, lost in lines:
        style.draw_runs(ax, runs, colour, dashes, label, lost, limits[1])
    ax.set_ylim(limits)
    style.write_legend(ax, None)


def lines_are(summary: pd.DataFrame) -> str:
    seeds = summary["seed"].nunique()
    return f"Lines: mean over {seeds} seeds; bands: minimum to maximum." if seeds > 1 else "Lines: one seed."
