"""What the abstract of Mean Shift Rejection claims, held against a results folder."""

from pathlib import Path

import pandas as pd

from deepcontrol.studies.cells import TRAINS, diverged, errors_or_lost, final_error, final_errors, lower, rows_of, verdict
from deepcontrol.studies.zero_mean import SERIES, best, by_rate, last_shifts, name


def table(folders: list[Path]) -> str:
    """Markdown: a row a series and minibatch, at its best rate. The abstract has no numbers to put beside ours."""
    lines = ["| series | paper | results | minibatch | learning rate | final error |", "|" + "---|" * 6]
    for folder in folders:
        summary = pd.read_csv(folder / "summary.csv")
        for minibatch in (128, 1):
            for method, noise in SERIES:
                if not by_rate(summary, method, noise, minibatch):
                    continue
                rate, cell = best(summary, method, noise, minibatch)
                tried = len(by_rate(summary, method, noise, minibatch))
                lines.append(
                    f"| [{name(method, noise)}](configs/cell/{cell}.yaml) | no number | {folder.name} | {minibatch} | "
                    f"{rate:.3g}, {f'best of {tried}' if tried > 1 else 'alone'} | {final_error(rows_of(summary, cell))} |"
                )
    return "\n".join(lines)


def answers(folder: Path) -> list[str]:
    """Verdicts by rule, on final errors averaged over seeds, each series at its best learning rate."""
    summary, gains = pd.read_csv(folder / "summary.csv"), pd.read_csv(folder / "gains.csv.gz")
    return [
        more_accurate(summary), *(noise_helps(summary, method) for method in ("zero_mean", "bn")), high_rates(summary),
        no_minibatch(summary), against_bn_at_1(summary), keeps_condition(gains), less_shift(summary, gains),
    ]  # fmt: skip


def errors(summary: pd.DataFrame, method: str, noise: float, minibatch: int = 128) -> pd.Series:
    """Of each seed, in %, at the best rate."""
    return errors_or_lost(summary, best(summary, method, noise, minibatch)[1])


def more_accurate(summary: pd.DataFrame) -> str:
    zero_mean, bn = errors(summary, "zero_mean", 0.1), errors(summary, "bn", 0.0)
    return (
        f"Are zero-mean kernels with noise more accurate than BN, each at its best rate? {lower(zero_mean, bn)}: "
        f"{zero_mean.mean():.1f}% and {bn.mean():.1f}% ({zero_mean.mean() - bn.mean():+.1f} points; the paper: 'higher "
        "accuracy')"
    )


def noise_helps(summary: pd.DataFrame, method: str) -> str:
    without, with_noise = errors(summary, method, 0.0), errors(summary, method, 0.1)
    return (
        f"Does noise lower the error of {name(method, 0)}? {lower(with_noise, without)}: {with_noise.mean():.1f}% with and "
        f"{without.mean():.1f}% without (the paper: it 'improves generalization')"
    )


def largest_rate(summary: pd.DataFrame, method: str, noise: float) -> float:
    """The largest rate at which no seed diverged and all end below TRAINS; 0 if there is none."""
    cells = by_rate(summary, method, noise)
    return max(
        (rate for rate, cell in cells.items()
         if not diverged(summary, cell) and final_errors(summary, cell).max() < TRAINS), default=0.0,
    )  # fmt: skip


def high_rates(summary: pd.DataFrame) -> str:
    rates = {one: largest_rate(summary, *one) for one in SERIES}
    best_of = {method: max(rates[method, 0.0], rates[method, 0.1]) for method in ("zero_mean", "bn")}
    tried = max(max(by_rate(summary, "zero_mean", noise)) for noise in (0.0, 0.1))
    holds = best_of["zero_mean"] >= best_of["bn"]
    word = verdict(holds) if holds or best_of["zero_mean"] < tried else "**not known**, higher rates were not tried"
    if not best_of["bn"]:
        word = "**not known**, BN trains at none"
    listed = ", ".join(f"{name(*one)}: {rate:g}" for one, rate in rates.items())
    return (
        f"Do zero-mean kernels train at rates as high as BN does? {word}: the largest rates tried at which every "
        f"seed ends below {TRAINS}% are {listed}"
    )


def no_minibatch(summary: pd.DataFrame) -> str:
    one, many = (errors(summary, "zero_mean", 0.1, minibatch).mean() for minibatch in (1, 128))
    return (
        f"Do zero-mean kernels with noise train as well without a minibatch, within two points? {verdict(one <= many + 2)}: "
        f"{one:.1f}% at minibatch 1 and {many:.1f}% at 128, the same samples seen (the paper: 'minibatches and "
        "normalization are unnecessary')"
    )


def against_bn_at_1(summary: pd.DataFrame) -> str:
    zero_mean, bn = errors(summary, "zero_mean", 0.1, 1), errors(summary, "bn", 0.0, 1)
    return (
        f"At minibatch 1, are zero-mean kernels with noise more accurate than BN? {lower(zero_mean, bn)}: "
        f"{zero_mean.mean():.1f}% and {bn.mean():.1f}% (they must be: in BN's hidden linear layers a minibatch of 1 is a single "
        "value a channel, which gives beta whatever the image)"
    )


def keeps_condition(gains: pd.DataFrame) -> str:
    largest = gains[gains["quantity"] == "kernel_mean"]["max"].max()
    return (
        f"Do all kernels stay on zero mean through training, within 1e-6? {verdict(largest < 1e-6)}: the largest mean of "
        f"any kernel in any run and epoch is {largest:.1e} (gradients projected, and rounding put right after each step)"
    )


def less_shift(summary: pd.DataFrame, gains: pd.DataFrame) -> str:
    shifts = {
        method: last_shifts(gains, best(summary, method, 0.0)[1]).mean() for method in ("zero_mean", "bn")
    }
    return (
        f"Is there less mean shift in the units' outputs than with BN? {verdict(shifts['zero_mean'] < shifts['bn'])}: "
        f"{shifts['zero_mean']:.2f} and {shifts['bn']:.2f} of the output's rms, averaged over layers (the paper: it "
        "'prevents the onset of mean shift')"
    )
