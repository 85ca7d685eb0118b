"""What Deep Control claims of its Figure 1, held against a results folder."""

from pathlib import Path

import pandas as pd

from deepcontrol.style import METHOD_NAMES, NETWORK_NAMES
from deepcontrol.studies.cells import final_error

SEGNET_CURVES = [("bn", 1), ("bn", 4), ("bn", 8), ("agc", 1), ("agc", 4), ("agc", 8)]  # panels (a) and (b)
# Final validation error in percent: Cityscapes, 150 epochs (Deep Control, section 3.3)
PAPER = {("segnet", "agc"): 9.73, ("segnet", "bn"): 9.57, ("classnet", "agc"): 5.34, ("classnet", "bn"): 5.53}


def table(folders: list[Path]) -> str:
    """Markdown: a row a cell, linked to its configuration; a column a folder, final error as mean and range."""
    header = [
        "cell",
        *(f"{folder.name}: final error" for folder in folders),
        *(f"{folder.name}: best" for folder in folders),
    ]
    rows = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    summaries = [pd.read_csv(folder / "summary.csv") for folder in folders]
    for cell in summaries[0]["cell"].unique():
        runs = [summary[summary["cell"] == cell] for summary in summaries]
        first = runs[0].iloc[0]
        name = f"{NETWORK_NAMES[first.network]} {METHOD_NAMES[first.method]}, minibatch {first.minibatch}, lr {first.lr:g}"
        row = [
            f"[{name}](configs/cell/{cell}.yaml)",
            *map(final_error, runs),
            *(f"{run.best_error.mean():.1%}" for run in runs),
        ]
        rows.append("| " + " | ".join(row) + " |")
    return "\n".join(rows)


def answers(folder: Path) -> list[str]:
    """The paper's claims about Figure 1 held against a results folder, each with its verdict and numbers.

    The rules: errors are final errors, averaged over seeds; a seed that diverged counts with the last error it had.
    """
    summary = pd.read_csv(folder / "summary.csv")
    gains = pd.read_csv(folder / "gains.csv.gz")
    return [
        *(close_to_bn(summary, network) for network in ("segnet", "classnet")),
        worst_of_six(summary), same_shape(summary), by_learning_rate(summary), lambda_by_depth(gains),
    ]  # fmt: skip


def mean_error(summary: pd.DataFrame, network: str, method: str, minibatch: int, lr: float) -> float:
    """In percent; the mean over seeds."""
    rows = summary.query("network == @network and method == @method and minibatch == @minibatch and lr == @lr")
    return 100 * rows["final_error"].mean()


def close_to_bn(summary: pd.DataFrame, network: str) -> str:
    agc, bn = (mean_error(summary, network, method, 4, 0.08) for method in ("agc", "bn"))
    verdict = "yes" if abs(agc - bn) <= 2 else "no"
    return (
        f"Is AGC within two points of BN at minibatch 4, {NETWORK_NAMES[network]}? **{verdict}**: AGC {agc:.1f}%, BN {bn:.1f}% "
        f"({agc - bn:+.1f} points; the paper: {PAPER[network, 'agc']}% and {PAPER[network, 'bn']}%)"
    )


def worst_of_six(summary: pd.DataFrame) -> str:
    errors = {key: mean_error(summary, "segnet", *key, 0.02 * key[1]) for key in SEGNET_CURVES}
    worst = max(errors, key=errors.get)
    verdict = "yes" if worst == ("bn", 1) else "no"
    others = "; ".join(f"{METHOD_NAMES[method]} {minibatch}: {error:.1f}%" for (method, minibatch), error in errors.items())
    return (
        f"Is BN at minibatch 1 the worst of the six SegNet curves of (a) and (b)? **{verdict}**, the worst is "
        f"{METHOD_NAMES[worst[0]]} at {worst[1]} ({others}; the paper: BN 1 about 2 points above the rest)"
    )


def same_shape(summary: pd.DataFrame) -> str:
    errors = [mean_error(summary, "segnet", "agc", minibatch, 0.02 * minibatch) for minibatch in (1, 4, 8)]
    spread = max(errors) - min(errors)
    verdict = "yes" if spread <= 2 else "no"
    return (
        f"Do AGC's curves end within two points of each other at minibatch 1, 4 and 8, the learning rate scaled? "
        f"**{verdict}**: {spread:.1f} points between the best and the worst (the paper: the same final error)"
    )


def by_learning_rate(summary: pd.DataFrame) -> str:
    rates = (0.08, 0.16, 0.32, 0.64)
    errors = {rate: mean_error(summary, "segnet", "agc", 8, rate) for rate in rates}
    best = min(errors, key=errors.get)
    verdict = "yes" if best == 0.16 else "no"
    listed = ", ".join(f"{rate:g}: {error:.1f}%" for rate, error in errors.items())
    return (
        f"Is 0.16 the best learning rate of AGC-SegNet at minibatch 8? **{verdict}**, {best:g} is ({listed}; the paper "
        "calls 0.16 optimal)"
    )


def lambda_by_depth(gains: pd.DataFrame) -> str:
    chosen = gains.query("network == 'segnet' and minibatch == 4 and lr == 0.08 and quantity == 'lambda'")
    final = chosen[chosen["epoch"] == chosen["epoch"].max()].groupby("depth")["mean"].mean()
    last, deepest = final.iloc[-1], final.iloc[10:16].mean()  # units 10 to 15 see the smallest maps
    verdict = "yes" if last < deepest else "no"
    return (
        f"Is lambda smaller by the classifier than in the deepest layers (SegNet, minibatch 4)? **{verdict}**: "
        f"{last:.2f} in the last unit, {deepest:.2f} on average at the bottom (all began at 1, so a value "
        "of 1 may only be one that has not moved; the paper: near 0, and near 1)"
    )
