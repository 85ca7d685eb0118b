"""Figure 1 of the paper on automatic gain control (Ruff 2017, arXiv 1706.03907), and its lambda, from tidy tables."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from deepcontrol import style
from deepcontrol.style import METHOD_COLOURS, METHOD_NAMES, NETWORK_NAMES, SMALL_SIZE, TEXT_SIZE

SCALED = [(1, 0.02), (4, 0.08), (8, 0.16)]  # (minibatch, learning rate), the rate in proportion
PANELS = {  # title, quantity, network, methods, (minibatch, learning rate)
    "a": ("BN, SegNet", "error", "segnet", ["bn"], SCALED),
    "b": ("AGC, SegNet", "error", "segnet", ["agc"], SCALED),
    "c": ("AGC vs BN, SegNet, minibatch 4, lr 0.08", "error", "segnet", ["bn", "agc"], [(4, 0.08)]),
    "d": ("AGC vs BN, ClassNet, minibatch 4, lr 0.08", "error", "classnet", ["bn", "agc"], [(4, 0.08)]),
    "e": ("AGC vs BN, SegNet, minibatch 4, lr 0.08", "loss", "segnet", ["bn", "agc"], [(4, 0.08)]),
    "f": ("AGC vs BN, ClassNet, minibatch 4, lr 0.08", "loss", "classnet", ["bn", "agc"], [(4, 0.08)]),
    "g": ("BN, SegNet, minibatch 8", "error", "segnet", ["bn"], [(8, 0.08), (8, 0.16)]),
    "h": ("AGC, SegNet, minibatch 8", "error", "segnet", ["agc"], [(8, 0.08), (8, 0.16), (8, 0.32), (8, 0.64)]),
}
SAME_RANGE = ["ab", "gh"]
Y_LABELS = {"error": "validation error\n(% of pixels wrongly labelled)", "loss": "validation loss"}
PAPER_FINAL_ERROR = {"c": {"agc": 9.73, "bn": 9.57}, "d": {"agc": 5.34, "bn": 5.53}}  # %, Cityscapes, 150 epochs
PAPER_NOTE = {"a": "paper: minibatch 1 ends about\n2 points above 4 and 8"}
LAMBDA_CELL = (4, 0.08)  # the one minibatch and learning rate that Figure 1 has for both networks


def draw(results: Path, words: str) -> dict[str, Figure]:
    """The study's figures by name, from the tables in its results folder; ``words`` is the caption."""
    curves, gains = (pd.read_csv(results / name) for name in ("curves.csv", "gains.csv.gz"))
    return {"figure1": figure1(curves, words), "lambda": lambda_figure(gains, curves, words)}


class MissingCurveError(LookupError):
    """A figure needs a curve that the table does not hold."""


class Curve(NamedTuple):
    """One cell's validation rows, and its `runs`: the panel's quantity, a row an epoch, a column a seed."""

    method: str
    minibatch: int
    lr: float
    rows: pd.DataFrame
    runs: pd.DataFrame
    diverged: int  # how many of the seeds


def select(table: pd.DataFrame, key: list[str], where: str, method: str, network: str, cell: tuple) -> pd.DataFrame:
    """The rows of one cell; raises MissingCurveError for none, ValueError when two rows share a `key`."""
    minibatch, lr = cell
    rows = table[(table.method == method) & (table.network == network)]
    rows = rows[(rows.minibatch == minibatch) & np.isclose(rows.lr, lr)]
    name = f"{METHOD_NAMES[method]}, {NETWORK_NAMES[network]}, minibatch {minibatch}, lr {lr:g}"
    if rows.empty:
        raise MissingCurveError(f"{where} needs {name}, which the table does not hold.")
    if rows.duplicated(key).any():
        cells = ", ".join(sorted(map(str, rows.cell.unique())))
        raise ValueError(f"{where} needs one row for each {', '.join(key)} of {name}, but {cells} give several.")
    return rows


def read_curve(curves: pd.DataFrame, letter: str, method: str, cell: tuple) -> Curve:
    """One curve of a panel, from the validation split, errors in %."""
    _, quantity, network, _, _ = PANELS[letter]
    rows = select(curves[curves.split == "val"], ["seed", "epoch"], f"Panel ({letter})", method, network, cell)
    runs = rows.pivot(index="epoch", columns="seed", values=quantity) * (100 if quantity == "error" else 1)
    return Curve(method, *cell, rows, runs, rows.seed[rows.status == "diverged"].nunique())


def y_range(curves: list[Curve]) -> tuple[float, float]:
    """Limits for a panel: the untrained network, spikes and diverged curves may leave it."""
    values = [style.trained_values(curve.runs) for curve in curves]
    return style.robust_range([one for one, curve in zip(values, curves) if not curve.diverged], values)


def draw_panel(ax: Axes, letter: str, curves: list[Curve], limits: tuple[float, float]) -> None:
    """One panel: its curves, its labels and the paper's numbers, beside the axes if they lie in its range."""
    title, quantity, _, methods, cells = PANELS[letter]
    shades = style.shades(methods[0], len(cells))
    beside = []
    for index, curve in enumerate(curves):
        label = f"lr {curve.lr:g}" if "minibatch" in title else f"minibatch {curve.minibatch}, lr {curve.lr:g}"
        colour, dashes = shades[index % len(cells)], style.DASHES[index]
        if len(methods) > 1:
            label, colour, dashes = (look[curve.method] for look in (METHOD_NAMES, METHOD_COLOURS, style.METHOD_DASHES))
        paper = PAPER_FINAL_ERROR.get(letter, {}).get(curve.method)
        if paper and limits[0] <= paper <= limits[1]:
            beside.append((paper, colour))
        elif paper:
            label += f" (paper: {paper} %)"
        style.draw_runs(ax, curve.runs, colour, dashes, label, curve.diverged, limits[1])
    style.mark_beside(ax, beside)
    epochs = style.epoch_label(pd.concat([curve.rows for curve in curves]))
    style.write_labels(ax, f"({letter}) {title}", epochs, Y_LABELS[quantity])
    style.write_legend(ax, PAPER_NOTE.get(letter))
    ax.set_ylim(limits)


def figure1(curves: pd.DataFrame, caption: str) -> Figure:
    """Figure 1 in the paper's arrangement, from the tidy table of curves.

    A line is the mean over seeds at the epochs that all of them reached; a band is their minimum to maximum.
    Raises MissingCurveError naming the panel and the cell when the table lacks one of the twelve.
    """
    drawn = {
        letter: [read_curve(curves, letter, method, cell) for method in methods for cell in cells]
        for letter, (_, _, _, methods, cells) in PANELS.items()
    }
    everything = [curve for panel in drawn.values() for curve in panel]
    last_epoch = max(1, max(curve.rows.epoch.max() for curve in everything))
    figure, axes = style.new_figure(10, 14, 4, 2)
    for ax, (letter, panel) in zip(axes.flat, drawn.items()):
        group = next((group for group in SAME_RANGE if letter in group), letter)
        draw_panel(ax, letter, panel, y_range([curve for member in group for curve in drawn[member]]))
        ax.set_xlim(-0.02 * last_epoch, 1.02 * last_epoch)
    seeds = [curve.runs.shape[1] for curve in everything]
    lines = f"mean over {style.between(seeds, 'seeds')}; bands: minimum to maximum" if max(seeds) > 1 else "one seed"
    cross = "A cross ends a curve where the first of its seeds diverged." * any(curve.diverged for curve in everything)
    rest = "Spikes and the untrained network may lie above an axis. Paper: final errors on Cityscapes after 150 epochs."
    style.write_caption(figure, caption, f"Lines: {lines}.", cross, rest)
    return figure


def lambda_figure(gains: pd.DataFrame, curves: pd.DataFrame, caption: str) -> Figure:
    """AGC's lambda by layer depth after the last epoch, and over training; a row of panels a network.

    Raises MissingCurveError when a network lacks the cell at minibatch 4 and learning rate 0.08.
    """
    lambdas = gains[(gains.quantity == "lambda") & (gains.method == "agc") & np.isfinite(gains["mean"])]
    diverged = set(curves.cell[curves.status == "diverged"])
    figure, axes = style.new_figure(10, 9, 2, 2)
    key, counts = ["seed", "epoch", "layer"], []
    for (by_depth, over_training), network in zip(axes, ("segnet", "classnet")):
        rows = reached_by_all(select(lambdas, key, "The lambda figure", "agc", network, LAMBDA_CELL))
        others = lambdas[(lambdas.network == network) & ~lambdas.cell.isin(diverged | set(rows.cell))]
        title = f"{NETWORK_NAMES[network]}, minibatch 4, lr 0.08" + " (diverged)" * bool(diverged & set(rows.cell))
        draw_by_depth(by_depth, rows, [reached_by_all(cell) for _, cell in others.groupby(["minibatch", "lr"])], title)
        draw_over_training(over_training, rows, title)
        counts.append(rows.seed.nunique())
    entries = axes[0, 0].get_legend_handles_labels()
    figure.legend(*entries, loc="outside upper left", ncols=2, fontsize=SMALL_SIZE, frameon=False)
    over = f"a layer's channels and {style.between(counts, 'seeds')}"
    style.write_caption(figure, caption, f"Dots and lines: mean over {over}; bars: minimum to maximum.")
    return figure


def reached_by_all(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows up to the last epoch that all seeds reached."""
    return rows[rows.epoch <= rows.groupby("seed").epoch.max().min()]


def draw_by_depth(ax: Axes, rows: pd.DataFrame, others: list[pd.DataFrame], title: str) -> None:
    """Each layer's lambda after the last epoch, its range over channels and seeds, and the paper's words about it."""
    ax.axhspan(0, 2, color="0.955", zorder=0, label="paper: observed range 0 to 2")
    ax.axhspan(0.7, 0.9, color="0.85", zorder=0, label="paper: mid-depth mean 0.7 to 0.9")
    ax.plot([], [], " ", label="paper: near 0 at the classifier; near 1 deepest")
    for number, cell in enumerate(others):
        mean = cell[cell.epoch == cell.epoch.max()].groupby("depth")["mean"].mean()
        label = "mean at other minibatches and rates" if number == 0 else None
        ax.plot(mean.index, mean, color="0.45", linewidth=0.8, label=label)
    final = rows[rows.epoch == rows.epoch.max()].groupby(["depth", "layer"], as_index=False)
    layers = final.agg({"mean": "mean", "min": "min", "max": "max"})
    colour = METHOD_COLOURS["agc"]
    ax.vlines(layers["depth"], layers["min"], layers["max"], color=colour, alpha=0.45, linewidth=2)
    ax.plot(layers["depth"], layers["mean"], "o", color=colour, markersize=5, label="mean, range after the last epoch")
    ax.set_ylim(min(-0.1, layers["min"].min() - 0.1), max(2.1, layers["max"].max() + 0.1))
    style.write_labels(ax, title, "layer depth (0 = nearest the image)", "λ")


def draw_over_training(ax: Axes, rows: pd.DataFrame, title: str) -> None:
    """Each layer's mean lambda against the epoch, coloured by its depth."""
    shade = ScalarMappable(Normalize(rows.depth.min(), rows.depth.max()), style.DEPTH_COLOURS)
    for (depth, _), layer in rows.groupby(["depth", "layer"]):
        mean = layer.groupby("epoch")["mean"].mean()
        ax.plot(mean.index, mean, color=shade.to_rgba(depth), linewidth=1.2)
    ax.figure.colorbar(shade, ax=ax).set_label("layer depth", fontsize=TEXT_SIZE)
    style.write_labels(ax, title, style.epoch_label(rows), "λ, mean of a layer")
