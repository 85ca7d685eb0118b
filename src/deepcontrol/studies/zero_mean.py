"""Mean Shift Rejection against batch normalisation: by learning rate, by minibatch, and the condition it maintains."""

from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from deepcontrol import style
from deepcontrol.studies.cells import (
    curve_of, diverged, draw_cross, draw_curves, final_errors, lines_are, mean_error, rows_of,
)  # fmt: skip
from deepcontrol.style import METHOD_COLOURS, METHOD_NAMES

SERIES = [(method, noise) for method in ("bn", "zero_mean") for noise in (0.0, 0.1)]
MARKERS = {0.0: "o", 0.1: "^"}
DASHES = {0.0: "-", 0.1: (0, (4, 1.6))}


def name(method: str, noise: float) -> str:
    return METHOD_NAMES[method] + " with noise" * bool(noise)


def by_rate(summary: pd.DataFrame, method: str, noise: float, minibatch: int = 128) -> dict[float, str]:
    """The cells of a series by learning rate."""
    rows = summary[(summary["method"] == method) & (summary["noise"] == noise) & (summary["minibatch"] == minibatch)]
    return dict(sorted(zip(rows["lr"], rows["cell"])))


def best(summary: pd.DataFrame, method: str, noise: float, minibatch: int = 128) -> tuple[float, str]:
    """Learning rate and cell of the least final error, averaged over seeds; one in which a seed diverged comes last."""
    cells = by_rate(summary, method, noise, minibatch)
    rate = min(cells, key=lambda rate: mean_error(summary, cells[rate]))
    return rate, cells[rate]


def draw(results: Path, words: str) -> dict[str, Figure]:
    """The study's figure, from the tables in its results folder; ``words`` is the caption."""
    curves, gains = (pd.read_csv(results / table) for table in ("curves.csv", "gains.csv.gz"))
    summary = pd.read_csv(results / "summary.csv")
    figure, axes = style.new_figure(12, 12.5, 3, 2)
    draw_by_rate(axes[0, 0], summary)
    draw_best(axes[0, 1], curves, summary)
    draw_by_minibatch(axes[1, 0], summary)
    draw_condition(axes[1, 1], gains, summary)
    draw_shift(axes[2, 0], gains, summary)
    draw_gain(axes[2, 1], gains, summary)
    style.write_caption(
        figure, words, lines_are(summary), "A cross at the top: at least one seed diverged. Noise: every map times "
        "U(0.9, 1.1) in training. The last two layers of (e) are linear: their kernels have no mean over positions.",
    )  # fmt: skip
    return {"zero_mean": figure}


def draw_by_rate(ax: Axes, summary: pd.DataFrame) -> None:
    for method, noise in SERIES:
        cells = by_rate(summary, method, noise)
        lost = [rate for rate, cell in cells.items() if diverged(summary, cell)]
        errors = {rate: final_errors(summary, cell) for rate, cell in cells.items() if rate not in lost}
        colour, look = METHOD_COLOURS[method], {"linestyle": DASHES[noise], "marker": MARKERS[noise], "markersize": 5}
        ax.plot(list(errors), [runs.mean() for runs in errors.values()], color=colour, label=name(method, noise), **look)
        ax.fill_between(
            list(errors), [runs.min() for runs in errors.values()], [runs.max() for runs in errors.values()],
            color=colour, alpha=0.13, linewidth=0,
        )  # fmt: skip
        for rate in lost:
            draw_cross(ax, rate * 1.12 ** (noise > 0), colour)  # beside the one without noise, not on it
    ax.set_xscale("log")
    style.write_legend(ax, None)
    style.write_labels(ax, "(a) minibatch 128, by learning rate", "learning rate", "final validation error (%)")


def draw_best(ax: Axes, curves: pd.DataFrame, summary: pd.DataFrame) -> None:
    lines = []
    for method, noise in SERIES:
        rate, cell = best(summary, method, noise)
        label = f"{name(method, noise)}, lr {rate:g}"
        lost = diverged(summary, cell)
        lines.append((curve_of(curves, cell, "error"), METHOD_COLOURS[method], DASHES[noise], label, lost))
    draw_curves(ax, lines)
    style.write_labels(ax, "(b) each at its best rate of (a)", "epoch", "validation error (%)")


def draw_by_minibatch(ax: Axes, summary: pd.DataFrame) -> None:
    ones = summary[summary["minibatch"] == 1]
    series = [one for one in SERIES if one in set(zip(ones["method"], ones["noise"]))]
    for place, (method, noise) in enumerate(series):
        for minibatch, shift in ((128, -0.15), (1, 0.15)):
            rate, cell = best(summary, method, noise, minibatch)
            errors, filled = final_errors(summary, cell), minibatch == 128
            colour = METHOD_COLOURS[method]
            if diverged(summary, cell):
                draw_cross(ax, place + shift, colour)
                continue
            look = {"color": colour, "markerfacecolor": colour if filled else "white", "markersize": 6}
            ax.plot([place + shift] * len(errors), errors, "o", **look)
            ax.plot(place + shift, errors.mean(), "_", color=colour, markersize=24, markeredgewidth=2.5)
            ax.annotate(f"{minibatch}\nlr {rate:.2g}", (place + shift, errors.max()), xytext=(0, 8), ha="center",
                        textcoords="offset points", fontsize=style.SMALL_SIZE)  # fmt: skip
    ax.set_xticks(range(len(series)), [name(*one) for one in series])
    ax.set_xlim(-0.5, len(series) - 0.5)
    ax.margins(y=0.25)
    style.write_labels(ax, "(c) minibatch 128 and 1, same samples seen", "", "final validation error (%); dots: seeds")


def draw_condition(ax: Axes, gains: pd.DataFrame, summary: pd.DataFrame) -> None:
    for noise in MARKERS:
        rate, cell = best(summary, "zero_mean", noise)
        rows = rows_of(gains, cell)
        largest = rows[rows["quantity"] == "kernel_mean"].groupby("epoch")["max"].max()
        label = f"{name('zero_mean', noise)}, lr {rate:g}"
        ax.plot(largest.index, largest, color=METHOD_COLOURS["zero_mean"], linestyle=DASHES[noise], label=label)
    ax.set_yscale("log")
    ax.axhline(1e-6, color="0.4", linewidth=1, linestyle=":")
    style.write_legend(ax, None)
    style.write_labels(ax, "(d) the condition, worst kernel of layers and seeds", "epoch", "largest |mean| of a kernel")


def draw_shift(ax: Axes, gains: pd.DataFrame, summary: pd.DataFrame) -> None:
    for method, noise in SERIES:
        rate, cell = best(summary, method, noise)
        shifts = last_shifts(gains, cell)
        ax.plot(shifts.index, shifts, color=METHOD_COLOURS[method], linestyle=DASHES[noise], marker=MARKERS[noise],
                markersize=4, label=f"{name(method, noise)}, lr {rate:g}")  # fmt: skip
    style.write_legend(ax, None)
    style.write_labels(ax, "(e) mean shift of each unit's output, at the end", "layer depth (0 = nearest the image)",
                       "share of mean in the output (rms)")  # fmt: skip


def last_shifts(gains: pd.DataFrame, cell: str) -> pd.Series:
    """The mean shift by depth after the last epoch, averaged over seeds."""
    rows = rows_of(gains, cell)
    rows = rows[(rows["quantity"] == "mean_shift") & (rows["epoch"] == rows["epoch"].max())]
    return rows.groupby("depth")["mean"].mean()


def draw_gain(ax: Axes, gains: pd.DataFrame, summary: pd.DataFrame) -> None:
    for noise in MARKERS:
        rate, cell = best(summary, "zero_mean", noise)
        rows = rows_of(gains, cell)
        rows = rows[(rows["quantity"] == "gain") & (rows["epoch"] == rows["epoch"].max())]
        layers = rows.groupby("depth").agg({"mean": "mean", "min": "min", "max": "max"})
        label, colour = f"{name('zero_mean', noise)}, lr {rate:g}", METHOD_COLOURS["zero_mean"]
        ax.plot(layers.index, layers["mean"], MARKERS[noise], linestyle=DASHES[noise], color=colour, label=label)
        ax.vlines(layers.index, layers["min"], layers["max"], color=colour, alpha=0.3)
    style.write_legend(ax, None)
    style.write_labels(ax, "(f) zero-mean kernels: gain, at the end", "layer depth (0 = nearest the image)",
                       "gain: mean, and range over filters")  # fmt: skip
