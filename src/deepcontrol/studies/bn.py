"""The notes on batch normalisation: rates, recipe, saturation, the growing bias, inference, and all methods."""

from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from deepcontrol import style
from deepcontrol.studies.bias_growth import bias_growth
from deepcontrol.studies.cells import curve_of, diverged, draw_cross, draw_curves, final_errors, lines_are
from deepcontrol.style import METHOD_COLOURS, METHOD_NAMES

RATES = {"none": {0.01: "bn_none_relu_lr001", 0.1: "bn_none_relu_lr01"},
         "bn": {0.01: "bn_bn_relu_lr001", 0.1: "bn_bn_relu_lr01", 1.0: "bn_bn_relu_lr1"}}  # fmt: skip
SATURATING = {  # learning rate: what is shown: the cells without normalisation and with BN
    0.1: {
        "VGG-16, tanh": ("bn_none_tanh_lr01", "bn_bn_tanh_lr01"),
        "VGG-16, sigmoid": ("bn_none_sigmoid_lr01", "bn_bn_sigmoid_lr01"),
    },
    0.01: {
        "VGG-16, sigmoid": ("bn_none_sigmoid_lr001", "bn_bn_sigmoid_lr001"),
        "small CNN, sigmoid": ("bn_none_small_cnn_sigmoid_lr001", "bn_bn_small_cnn_sigmoid_lr001"),
    },
}
RECIPE = {"before": "bn_recipe_before", "after": "bn_recipe_after"}
INFERENCE = {mode: f"bn_inference_{mode}_minibatch4" for mode in ("running", "population", "batch")}
METHODS = ("none", "bn", "agc", "scale", "zero_mean", "group_norm", "instance_norm", "layer_norm", "weight_norm", "selu")
SIDE_BY_SIDE = {method: f"bn_{method}_relu_lr001" for method in METHODS}
Y_LABEL = "validation error (%)"


def draw(results: Path, words: str) -> dict[str, Figure]:
    """The study's figure, from the tables in its results folder; ``words`` is the caption."""
    curves, summary = (pd.read_csv(results / f"{name}.csv") for name in ("curves", "summary"))
    figure, axes = style.new_figure(12, 16, 4, 2)
    draw_rates(axes[0, 0], curves)
    draw_recipe(axes[0, 1], curves)
    for ax, letter, (rate, pairs) in zip(axes[1], "cd", SATURATING.items()):
        draw_saturation(ax, curves, pairs)
        style.write_labels(ax, f"({letter}) saturating activations, lr {rate:g}", "epoch", Y_LABEL)
    draw_bias(axes[2, 0])
    draw_points(axes[2, 1], summary, INFERENCE, dict.fromkeys(INFERENCE, METHOD_COLOURS["bn"]))
    style.write_labels(axes[2, 1], "(f) minibatch 4, by statistics of evaluation", "", "final validation error (%)")
    whole_row = style.join_row(figure, axes[3])
    colours = {method: METHOD_COLOURS.get(method, "0.35") for method in METHODS}
    draw_points(whole_row, summary, SIDE_BY_SIDE, colours)
    style.write_labels(whole_row, "(g) all methods, lr 0.01", "", "final validation error (%)")
    style.write_caption(
        figure, words, lines_are(summary), "Dots: seeds; bars: their mean; a cross at the top: a seed diverged. Panel (e) "
        "is computed: 200 steps on one bias below a normalisation.",
    )  # fmt: skip
    return {"bn": figure}


def draw_rates(ax: Axes, curves: pd.DataFrame) -> None:
    lines = []
    for method, cells in RATES.items():
        for (rate, cell), shade, dashes in zip(cells.items(), style.shades(method, len(cells)), style.DASHES):
            label = f"{METHOD_NAMES[method]}, lr {rate:g}"
            lines.append((curve_of(curves, cell, "error"), shade, dashes, label, diverged(curves, cell)))
    draw_curves(ax, lines)
    style.write_labels(ax, "(a) higher learning rates, ReLU", "epoch", Y_LABEL)


def draw_recipe(ax: Axes, curves: pd.DataFrame) -> None:
    labels = {"before": "before", "after": "accelerated: 10 times the rate, no\ndropout, less decay and distortion"}
    lines = [
        (curve_of(curves, cell, "error"), shade, dashes, labels[when], diverged(curves, cell))
        for (when, cell), shade, dashes in zip(RECIPE.items(), style.shades("bn", 2), style.DASHES)
    ]
    draw_curves(ax, lines)
    style.write_labels(ax, "(b) the recipe for accelerating a BN network", "epoch", Y_LABEL)


def draw_saturation(ax: Axes, curves: pd.DataFrame, pairs: dict[str, tuple[str, str]]) -> None:
    lines = []
    for (shown, cells), dashes in zip(pairs.items(), ("-", (0, (4, 1.6)))):
        for method, cell in zip(("none", "bn"), cells):
            runs, lost = curve_of(curves, cell, "error"), diverged(curves, cell)
            lines.append((runs, METHOD_COLOURS[method], dashes, f"{METHOD_NAMES[method]}, {shown}", lost))
    draw_curves(ax, lines)


def draw_bias(ax: Axes) -> None:
    for ignore, scaled, label, look in (
        (True, True, "statistics ignored, mean and deviation", {"color": "0.35", "linestyle": (0, (4, 1.6))}),
        (True, False, "statistics ignored, mean alone", {"color": "0.35"}),
        (False, True, "whole gradient, as BN takes it", {"color": METHOD_COLOURS["bn"]}),
    ):
        ax.plot(bias_growth(ignore, scaled)["bias"], label=label, linewidth=1.8, **look)
    style.write_legend(ax, "the loss stays the same in all three")
    style.write_labels(ax, "(e) a bias below a normalisation", "step", "bias")


def draw_points(ax: Axes, summary: pd.DataFrame, cells: dict[str, str], colours: dict[str, str]) -> None:
    for place, (name, cell) in enumerate(cells.items()):
        errors, lost = final_errors(summary, cell), diverged(summary, cell)
        if lost:
            draw_cross(ax, place, colours[name])
            continue
        ax.plot([place] * len(errors), errors, "o", color=colours[name], alpha=0.6, markersize=5)
        ax.plot(place, errors.mean(), "_", color=colours[name], markersize=22, markeredgewidth=2.5)
    labels = [METHOD_NAMES.get(name, name) for name in cells]
    ax.set_xticks(range(len(cells)), labels)
