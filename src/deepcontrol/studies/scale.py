"""The Scale report's figures 2 to 11, and the search over alpha's momentum that it left out."""

from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from deepcontrol import style
from deepcontrol.studies.cells import curve_of, diverged, draw_curves, final_errors, lines_are, rows_of
from deepcontrol.style import METHOD_COLOURS, METHOD_DASHES, METHOD_NAMES, NETWORK_NAMES

# network, activation: the report's figures of loss, precision and alpha ("-": it has none)
PAIRS = {
    ("small_cnn", "tanh"): ("3", "-", "4"), ("small_cnn", "relu"): ("2", "-", "6"),
    ("vgg16", "tanh"): ("10", "8", "7"), ("vgg16", "relu"): ("11", "5", "9"),
}  # fmt: skip
MOMENTA = {
    0.0: "scale_small_cnn_tanh_momentum0", 0.5: "scale_small_cnn_tanh_momentum05", 0.9: "scale_small_cnn_tanh_scale",
    0.99: "scale_small_cnn_tanh_momentum099", 0.999: "scale_small_cnn_tanh_momentum0999",
}  # fmt: skip
DETACHED = "scale_small_cnn_tanh_detach"
SPAN = 50  # steps
ACTIVATION_NAMES = {"tanh": "tanh", "relu": "ReLU"}


def draw(results: Path, words: str) -> dict[str, Figure]:
    """The study's figures by name, from the tables in its results folder; ``words`` is the caption."""
    tables = {name: pd.read_csv(results / name) for name in ("curves.csv", "gains.csv.gz", "steps.csv.gz")}
    summary = pd.read_csv(results / "summary.csv")
    gains = tables["gains.csv.gz"]
    return {
        "scale": phases(tables["curves.csv"], gains, summary, words),
        "momentum": momentum_figure(gains, tables["steps.csv.gz"], summary, words),
    }


def phases(curves: pd.DataFrame, gains: pd.DataFrame, summary: pd.DataFrame, words: str) -> Figure:
    """A row a network and activation: training loss, test error and the first layer's alpha."""
    figure, axes = style.new_figure(13.5, 15, 4, 3)
    for row, ((network, activation), (loss, precision, alpha)) in zip(axes, PAIRS.items()):
        name = f"{NETWORK_NAMES[network]}, {ACTIVATION_NAMES[activation]}"
        cells = {method: f"scale_{network}_{activation}_{method}" for method in ("bn", "scale")}
        for ax, quantity, split, label in (
            (row[0], "loss", "train", "training loss"), (row[1], "error", "val", "test error (%)"),
        ):  # fmt: skip
            draw_curves(ax, [
                (curve_of(curves, cell, quantity, split), METHOD_COLOURS[method], METHOD_DASHES[method],
                 METHOD_NAMES[method], diverged(curves, cell))
                for method, cell in cells.items()
            ])  # fmt: skip
            number = loss if quantity == "loss" else precision
            style.write_labels(ax, f"{name}{f' (report: {number})' * (number != '-')}", "epoch", label)
        draw_alpha(row[2], [(first_alpha(gains, cells["scale"]), METHOD_COLOURS["scale"], "-", "first layer")])
        style.write_labels(row[2], f"{name} (report: {alpha})", "epoch", "α, first layer")
    style.write_caption(
        figure, words, lines_are(summary), "In brackets: the number of the report's own figure. Its precision is 100 % "
        "less the test error. α is drawn at every step.",
    )  # fmt: skip
    return figure


def first_alpha(gains: pd.DataFrame, cell: str) -> pd.DataFrame:
    """The first layer's alpha: a row a step, indexed by epochs passed; a column a seed."""
    rows = rows_of(gains, cell)
    rows = rows[(rows["quantity"] == "alpha") & (rows["depth"] == 0)]
    runs = rows.pivot(index="samples_seen", columns="seed", values="mean")
    an_epoch = runs.index.max() / rows["epoch"].max()
    return runs.set_index(runs.index / an_epoch)


def draw_alpha(ax: Axes, lines: list[tuple[pd.DataFrame, str, object, str]]) -> None:
    for runs, colour, dashes, label in lines:
        style.draw_runs(ax, runs, colour, dashes, label, 0, float("inf"))
    if len(lines) > 1:
        style.write_legend(ax, None)


def worst_losses(steps: pd.DataFrame) -> pd.DataFrame:
    """The greatest loss in each SPAN steps, where a spike cannot hide: a row a span, a column a seed."""
    span = (steps["step"] - 1) // SPAN
    return steps.groupby([(span + 1) * SPAN, "seed"])["loss"].max().unstack()


def momentum_figure(gains: pd.DataFrame, steps: pd.DataFrame, summary: pd.DataFrame, words: str) -> Figure:
    """Test error and alpha by momentum; training loss with alpha in the gradient and out of it."""
    figure, (row,) = style.new_figure(13.5, 5.6, 1, 3)
    for place, (momentum, cell) in enumerate(MOMENTA.items()):
        errors = final_errors(summary, cell)
        row[0].plot([place] * len(errors), errors, "o", color=METHOD_COLOURS["scale"], alpha=0.5, markersize=5)
        row[0].plot(place, errors.mean(), "_", color=METHOD_COLOURS["scale"], markersize=22, markeredgewidth=2.5)
    row[0].set_xticks(range(len(MOMENTA)), [f"{momentum:g}" for momentum in MOMENTA])
    style.write_labels(row[0], "small CNN, tanh: final error", "momentum of α", "test error (%); dots: seeds")

    shades = style.shades("scale", len(MOMENTA))
    lines = [
        (first_alpha(gains, cell), shade, dashes, f"momentum {momentum:g}")
        for (momentum, cell), shade, dashes in zip(MOMENTA.items(), shades, [*style.DASHES, "-"])
    ]
    draw_alpha(row[1], lines)
    style.write_labels(row[1], "small CNN, tanh: α", "epoch", "α, first layer")

    for cell, colour, dashes, label in (
        (DETACHED, "0.35", (0, (5, 1.6)), "left out (the first version)"),
        (MOMENTA[0.9], METHOD_COLOURS["scale"], "-", "in the gradient"),
    ):  # fmt: skip
        style.draw_runs(row[2], worst_losses(rows_of(steps, cell)), colour, dashes, label, 0, float("inf"))
    style.write_legend(row[2], "std(x) is")
    title = f"small CNN, tanh: worst of {SPAN} steps"
    style.write_labels(row[2], title, "step", "greatest training loss of a step")
    style.write_caption(figure, words, lines_are(summary))
    return figure
