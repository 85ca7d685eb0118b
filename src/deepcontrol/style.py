"""The look that all figures share: a colour for each method, lines with bands, limits, captions, saved files."""

import textwrap
import threading
from collections.abc import Iterable
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

# Okabe and Ito's colours, which colour-blind readers can tell apart; a method keeps its colour in every figure.
METHOD_COLOURS = {"bn": "#0072B2", "agc": "#D55E00", "none": "#6E6E6E", "scale": "#009E73", "zero_mean": "#7B4FA3"}
METHOD_NAMES = {
    "bn": "BN", "agc": "AGC", "none": "none", "scale": "Scale", "zero_mean": "Zero-mean", "group_norm": "GroupNorm",
    "instance_norm": "InstanceNorm", "layer_norm": "LayerNorm", "weight_norm": "WeightNorm", "selu": "SELU",
}  # fmt: skip
METHOD_DASHES = {"bn": "-", "agc": (0, (5, 1.6)), "none": ":", "scale": "-.", "zero_mean": (0, (3, 1, 1, 1, 1, 1))}
NETWORK_NAMES = {"segnet": "SegNet", "classnet": "ClassNet", "vgg16": "VGG-16", "small_cnn": "small CNN"}
# From the lightest shade, which gets the line with most ink, to the darkest.
DASHES = ["-", (0, (5, 1.6)), (0, (6, 1.6, 1.2, 1.6)), (0, (1.2, 1.3))]
# Viridis without its yellow end, which white paper swallows.
DEPTH_COLOURS = ListedColormap(matplotlib.colormaps["viridis"](np.linspace(0, 0.88, 128)), "depth")

TITLE_SIZE, TEXT_SIZE, SMALL_SIZE = 11, 10, 9.5
CAPTION_LETTERS_PER_INCH = 12.8  # at TEXT_SIZE, a little fewer than fit

# Matplotlib reads the salt of SVG identifiers from its global settings only, so one save at a time changes them.
_saving = threading.Lock()


def shades(method: str, count: int) -> list[str]:
    """`count` colours of the method's hue from light to dark; a single one is the method's own colour."""
    if count == 1:
        return [METHOD_COLOURS[method]]
    base = np.array(to_rgb(METHOD_COLOURS[method]))
    # Mixing with white alone (tint > 0) or with black alone (tint < 0) keeps the hue.
    tints = np.linspace(0.45, -0.55, count)
    return [to_hex(base + tint * (1 - base) if tint > 0 else base * (1 + tint)) for tint in tints]


def finite_for_all(runs: pd.DataFrame) -> pd.DataFrame:
    """The epochs (rows) that every seed (column) reached with a finite value."""
    return runs[np.isfinite(runs).all(axis=1)]


def trained_values(runs: pd.DataFrame) -> np.ndarray:
    """The drawn values but for the untrained network's, unless there are no others."""
    common = finite_for_all(runs)
    trained = common[common.index > 0]
    return (common if trained.empty else trained).to_numpy().ravel()


def robust_range(finished: list[np.ndarray], everything: list[np.ndarray]) -> tuple[float, float]:
    """Limits, with a margin, that show every finished curve though it spikes or another diverges.

    The top is the highest, over finished curves, of the lower of the curve's 98% quantile and Tukey's far fence,
    Q3 + 3 (Q3 - Q1). The bottom is the least value of all, diverged curves included.
    """
    everything = [values for values in everything if values.size]
    finished = [values for values in finished if values.size] or everything
    if not finished:
        return 0.0, 1.0
    quantiles = [np.quantile(values, [0.25, 0.75, 0.98]) for values in finished]
    top = max(min(high, third + 3 * (third - first)) for first, third, high in quantiles)
    low = min(values.min() for values in everything)
    margin = 0.05 * (top - low) or 0.05 * abs(top) or 0.5
    return low - margin, top + margin


def draw_runs(ax: Axes, runs: pd.DataFrame, colour: str, dashes, label: str, diverged: int, top: float) -> None:
    """Draw `runs` (a row an epoch, a column a seed): the mean, and a min to max band if there are several.

    Only epochs that all seeds reached with finite values count. If some seeds diverged, the label says so and a cross
    ends the mean, on the edge at `top` if the mean has left the axes.
    """
    common, count = finite_for_all(runs), runs.shape[1]
    mean = common.mean(axis=1)
    if diverged:
        label += " (diverged)" if count == 1 else f" ({diverged} of {count} seeds diverged)"
        epoch, height = (mean.index[-1], min(mean.iloc[-1], top)) if len(mean) else (runs.index[0], top)
        ax.plot(epoch, height, "x", color=colour, markersize=9, markeredgewidth=2.2, clip_on=False, zorder=6)
    marker = "o" if len(mean) == 1 else None  # a line needs two points to be seen
    ax.plot(mean.index, mean, color=colour, linestyle=dashes, linewidth=1.8, marker=marker, markersize=4, label=label)
    if count > 1:
        # A filled shape keeps its unseen corners in the file, and a diverging one's break PDF and SVG readers.
        band = common.min(axis=1), common.max(axis=1).clip(upper=100 * top)
        ax.fill_between(common.index, *band, color=colour, alpha=0.16, linewidth=0, zorder=1.9)


def mark_beside(ax: Axes, values: list[tuple[float, str]]) -> None:
    """Mark the paper's final errors, at most two (value in %, colour), as labelled ticks at the right edge."""
    across = ax.get_yaxis_transform()
    for (value, colour), side in zip(sorted(values), ["top", "bottom"] if len(values) > 1 else ["center"]):
        ax.plot([0.98, 1.02], [value, value], color=colour, linewidth=1.8, transform=across, clip_on=False)
        ax.text(1.03, value, f"paper\n{value} %", color=colour, fontsize=SMALL_SIZE, va=side, transform=across)


def new_figure(width: float, height: float, rows: int, columns: int) -> tuple[Figure, np.ndarray]:
    """An empty figure, in inches, and its (rows, columns) axes, free of pyplot's state."""
    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    figure.get_layout_engine().set(h_pad=0.08, w_pad=0.08, hspace=0.03, wspace=0.03)
    axes = figure.subplots(rows, columns, squeeze=False)
    for ax in axes.flat:
        dress(ax)
    return figure, axes


def dress(ax: Axes) -> None:
    """A light grid behind the lines, no frame, round numbers on both axes."""
    ax.grid(color="0.9", linewidth=0.7)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(labelsize=SMALL_SIZE)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    ax.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))


def join_row(figure: Figure, row: np.ndarray) -> Axes:
    """One panel as wide as the row, in the place of the row's own."""
    whole = figure.add_subplot(row[0].get_gridspec()[row[0].get_subplotspec().rowspan.start, :])
    for ax in row:
        ax.remove()
    dress(whole)
    return whole


def write_labels(ax: Axes, title: str, x: str, y: str) -> None:
    """Title at the left, then what the axes measure."""
    ax.set_title(title, loc="left", fontsize=TITLE_SIZE, fontweight="bold")
    ax.set_xlabel(x, fontsize=TEXT_SIZE)
    ax.set_ylabel(y, fontsize=TEXT_SIZE)


def write_legend(ax: Axes, note: str | None) -> None:
    """The legend where it hides least, seen through where curves pass under it, with a note on top."""
    sizes = {"fontsize": SMALL_SIZE, "title_fontsize": SMALL_SIZE}
    ax.legend(title=note, alignment="left", handlelength=3.2, framealpha=0.75, **sizes)


def epoch_label(rows: pd.DataFrame) -> str:
    """'epoch (1 epoch = N samples)', or N's range where minibatches of several sizes drop different remainders."""
    trained = rows[rows.epoch > 0]
    samples = (trained.samples_seen / trained.epoch).round().astype(int)
    if samples.empty:
        return "epoch"
    return f"epoch (1 epoch = {between(samples, 'samples')})"


def between(counts: Iterable[int], what: str) -> str:
    """'367 samples', '360 to 367 samples' or 'one sample'."""
    low, high = min(counts), max(counts)
    if high == 1:
        return f"one {what.removesuffix('s')}"
    return f"{high:,} {what}" if low == high else f"{low:,} to {high:,} {what}"


def write_caption(figure: Figure, *sentences: str) -> None:
    """The caption, wrapped to the figure's width and set under it."""
    text = " ".join(sentence for sentence in sentences if sentence)
    text = textwrap.fill(text, int(figure.get_figwidth() * CAPTION_LETTERS_PER_INCH))
    figure.supxlabel(text, x=0.012, ha="left", fontsize=TEXT_SIZE, linespacing=1.35, parse_math=False)


def save(figure: Figure, stem: Path) -> list[Path]:
    """Write `stem`.png (150 dpi), .svg and .pdf, byte for byte the same at every call, and return the three paths."""
    undated = {"png": {}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}
    paths = [Path(f"{stem}.{kind}") for kind in undated]
    paths[0].parent.mkdir(parents=True, exist_ok=True)
    with _saving, matplotlib.rc_context({"svg.hashsalt": "deepcontrol"}):
        for path, metadata in zip(paths, undated.values()):
            figure.savefig(path, dpi=150, metadata=metadata)
    return paths
