"""The notebooks run from the committed results alone, and are committed without outputs."""

import json
from pathlib import Path

import matplotlib
import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(notebook, monkeypatch):
    monkeypatch.chdir(notebook.parent)
    matplotlib.use("Agg")
    cells = [cell for cell in json.loads(notebook.read_text())["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells)
    names: dict = {}
    for cell in cells:
        exec("".join(cell["source"]), names)
    SHOWN[notebook.stem](names)


def of_figure1(names):
    assert set(names["answers"](names["results"])) and len(names["figure1"](names["curves"], "").axes) >= 8
    assert not names["chosen"].empty


def of_other_papers(names):
    assert set(names["figures"]) == {"scale", "momentum", "zero_mean", "bn"}
    assert all(answers for answers in names["answers"].values())
    assert len(names["alpha"]) == 15 and (names["alpha"] > 0).all()


SHOWN = {"figure1": of_figure1, "other_papers": of_other_papers}
