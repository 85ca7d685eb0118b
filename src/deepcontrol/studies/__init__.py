"""The studies, one a paper: what each draws from its results folder, and what its paper claims.

Of a results folder ``results/<study>/<data>-<preset>``, ``draw`` makes the figures, ``table`` a Markdown table with the
paper's values beside ours, ``answers`` a sentence with a verdict for each claim.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from deepcontrol.studies import (
    bn,
    bn_claims,
    figure1,
    figure1_claims,
    scale,
    scale_claims,
    zero_mean,
    zero_mean_claims,
)


@dataclass(frozen=True)
class Study:
    draw: Callable[[Path, str], dict[str, Figure]]
    table: Callable[[list[Path]], str]
    answers: Callable[[Path], list[str]]
    by_step: bool = False  # whether they need the loss of every step, which makes a large table


STUDIES = {
    "figure1": Study(figure1.draw, figure1_claims.table, figure1_claims.answers),
    "scale": Study(scale.draw, scale_claims.table, scale_claims.answers, by_step=True),
    "zero_mean": Study(zero_mean.draw, zero_mean_claims.table, zero_mean_claims.answers),
    "bn": Study(bn.draw, bn_claims.table, bn_claims.answers),
}
