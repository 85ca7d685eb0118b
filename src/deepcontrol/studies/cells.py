"""A cell's runs out of a study's tidy tables, by the cell's name: what the three classification studies share."""

import pandas as pd
from matplotlib.axes import Axes

from deepcontrol import style
from deepcontrol.curves import MissingCell

TRAINS = 80  # % final error below which a network has learnt; ten classes by chance: 90


def rows_of(table: pd.DataFrame, cell: str) -> pd.DataFrame:
    rows = table[table["cell"] == cell]
    if rows.empty:
        raise MissingCell(f"cell {cell}: the results do not hold it")
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


def errors_or_lost(summary: pd.DataFrame, cell: str) -> pd.Series:
    """The last validation error of each seed, in %; 100 for all if one of them diverged."""
    errors = final_errors(summary, cell)
    return pd.Series(100.0, errors.index) if diverged(summary, cell) else errors


def mean_error(summary: pd.DataFrame, cell: str) -> float:
    """The last validation error in %, averaged over seeds; 100 if one of them diverged."""
    return errors_or_lost(summary, cell).mean()


def lower(one: pd.Series, other: pd.Series) -> str:
    """The verdict on 'one is lower than the other', both a value a seed: unknown where their ranges overlap."""
    if one.max() < other.min():
        return verdict(True)
    return verdict(False) if one.min() > other.max() else "**cannot tell**, the seeds overlap"


def verdict(holds: bool) -> str:
    return "**yes**" if holds else "**no**"


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


def draw_cross(ax: Axes, x: float, colour: str) -> None:
    """A cross at the top: what diverged has no error."""
    ax.plot(x, 0.97, "x", color=colour, markersize=9, markeredgewidth=2, clip_on=False, transform=ax.get_xaxis_transform())


def lines_are(summary: pd.DataFrame) -> str:
    seeds = summary["seed"].nunique()
    return f"Lines: mean over {seeds} seeds; bands: minimum to maximum." if seeds > 1 else "Lines: one seed."
