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
    assert set(names["answers"](names["results"])) and len(names["figure1"](names["curves"], "").axes) >= 8
    assert not names["chosen"].empty
