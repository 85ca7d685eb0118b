"""What the notes on batch normalisation claim, held against a results folder."""

from pathlib import Path

import pandas as pd

from deepcontrol.studies.bias_growth import bias_growth
from deepcontrol.studies.bn import INFERENCE, RATES, RECIPE, SATURATING, SIDE_BY_SIDE
from deepcontrol.studies.cells import TRAINS, curve_of, errors_or_lost, final_error, lower, mean_error, rows_of, verdict
from deepcontrol.style import METHOD_NAMES


def table(folders: list[Path]) -> str:
    """Markdown: a row a method, a column a folder. The notes have no numbers to put beside ours."""
    lines = ["| method | paper | " + " | ".join(f"{folder.name}: final error" for folder in folders) + " |"]
    lines.append("|" + "---|" * (2 + len(folders)))
    for method, cell in SIDE_BY_SIDE.items():
        name = METHOD_NAMES[method]
        errors = (final_error(rows_of(pd.read_csv(folder / "summary.csv"), cell)) for folder in folders)
        lines.append(f"| [{name}](configs/cell/{cell}.yaml) | no number | {' | '.join(errors)} |")
    return "\n".join(lines)


def answers(folder: Path) -> list[str]:
    """Verdicts by rule, on final errors averaged over seeds."""
    summary, curves = pd.read_csv(folder / "summary.csv"), pd.read_csv(folder / "curves.csv")
    return [
        higher_rates(summary), accelerated(curves), 
        *(saturating(summary, rate, *pair) for rate, pairs in SATURATING.items() for pair in pairs.items()),
        bias(), inference(summary),
    ]  # fmt: skip


def higher_rates(summary: pd.DataFrame) -> str:
    errors = {method: {rate: mean_error(summary, cell) for rate, cell in cells.items()} for method, cells in RATES.items()}
    best = {method: min(rates, key=rates.get) for method, rates in errors.items()}
    gains = best["bn"] > best["none"] and errors["bn"][best["bn"]] < errors["none"][best["none"]]
    listed = "; ".join(
        f"{METHOD_NAMES[method]} " + ", ".join(f"{rate:g}: {error:.1f}%" for rate, error in rates.items())
        for method, rates in errors.items()
    )
    return f"Is BN's best learning rate higher than that of no normalisation, and its error lower? {verdict(gains)} ({listed})"


def accelerated(curves: pd.DataFrame) -> str:
    before, after = (curve_of(curves, cell, "error").mean(axis=1) for cell in RECIPE.values())
    reached = after.index[(after.index > 0) & (after <= before.iloc[-1])]
    when = f"it is there after {reached[0]} of {after.index[-1]} epochs" if len(reached) else "it never is"
    return (
        "Does the recipe reach the error of the BN network it accelerates in fewer steps? "
        f"{verdict(len(reached) > 0 and reached[0] < after.index[-1])}: {when} ({before.iloc[-1]:.1f}% before, "
        f"{after.iloc[-1]:.1f}% with the recipe at the end)"
    )


def saturating(summary: pd.DataFrame, rate: float, shown: str, cells: tuple[str, str]) -> str:
    none, bn = (mean_error(summary, cell) for cell in cells)
    return (
        f"Does a saturating activation train with BN, and not without, {shown}, lr {rate:g}? "
        f"{verdict(bn < TRAINS <= none)}: {bn:.1f}% and {none:.1f}% (trains: below {TRAINS}%)"
    )


def bias() -> str:
    ignored, whole = bias_growth(ignore_statistics=True), bias_growth(ignore_statistics=False)
    grows = ignored["bias"][-1] > 10 and max(map(abs, whole["bias"])) < 1e-9
    return (
        f"Does a bias grow without end where the gradient ignores the mean? {verdict(grows)}: to {ignored['bias'][-1]:.1f} "
        f"in 200 steps with the loss at {ignored['loss'][0]:.3f} throughout; with the whole gradient it stays at 0"
    )


def inference(summary: pd.DataFrame) -> str:
    errors = {mode: mean_error(summary, cell) for mode, cell in INFERENCE.items()}
    listed = ", ".join(f"{mode}: {error:.1f}%" for mode, error in errors.items())
    best = min(("running", "population"), key=errors.get)
    return (
        "At minibatch 4, are fixed statistics (running, population) more accurate in evaluation than each minibatch's own? "
        f"{lower(errors_or_lost(summary, INFERENCE[best]), errors_or_lost(summary, INFERENCE['batch']))} ({listed})"
    )
