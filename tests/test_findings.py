"""Tables and verdicts are what the numbers say; the README holds what the committed results give."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from deepcontrol.caption import caption
from deepcontrol.entry import cells, compose_cell
from deepcontrol.findings import findings, print_findings, write_readme
from deepcontrol.studies.figure1_claims import answers, table as summary_table

ROOT = Path(__file__).parents[1]
COMMITTED = sorted((ROOT / "results").glob("*/*-*"))


@pytest.fixture
def folder(tmp_path):
    """A results folder in which everything goes as in the paper."""
    folder = tmp_path / "figure1" / "streets-desk"
    folder.mkdir(parents=True)
    rows, gains = [], []
    for cell in cells("figure1"):
        config = compose_cell([f"cell={cell}"])
        method, network = config.method["name"], config.network.name
        error = 0.10 + 0.02 * ((method, config.minibatch) == ("bn", 1)) + 0.01 * (config.lr / config.minibatch != 0.02)
        for seed in (0, 1):
            settings = {
                "cell": cell,
                "method": method,
                "network": network,
                "width": config.network.width,
                "minibatch": config.minibatch,
                "lr": config.lr,
            }
            offset = 0.004 * seed
            rows.append(
                {**settings, "seed": seed, "status": "finished", "seconds": 90.0}
                | {"final_error": error + offset, "best_error": error}
            )
            layer = {**settings, "seed": seed, "quantity": "lambda"}
            gains += [
                {**layer, "epoch": epoch, "depth": depth, "mean": 1 - epoch * depth / 100}
                for epoch in (0, 1) for depth in range(25)
            ]  # fmt: skip
    pd.DataFrame(rows).to_csv(folder / "summary.csv", index=False)
    pd.DataFrame(rows).assign(epoch=15).to_csv(folder / "curves.csv", index=False)
    data = {"name": "streets", "size": [48, 96], "samples": {"train": 3200, "validation": 80}}
    (folder / "provenance.json").write_text(json.dumps({"all": {"data": data, "device": "cpu (x86_64)"}}))
    pd.DataFrame(gains).to_csv(folder / "gains.csv.gz", index=False)
    return folder


def change(folder, query, **values):
    summary = pd.read_csv(folder / "summary.csv")
    for column, value in values.items():
        summary.loc[summary.query(query).index, column] = value
    summary.to_csv(folder / "summary.csv", index=False)


def verdicts(folder):
    return ["**yes**" in answer for answer in answers(folder)]


def test_the_papers_own_outcome_gives_six_times_yes(folder):
    assert verdicts(folder) == [True] * 6
    assert "AGC 10.2%, BN 10.2% (+0.0 points; the paper: 9.73% and 9.57%)" in answers(folder)[0]


@pytest.mark.parametrize("place, query, error", [
    (0, "network == 'segnet' and method == 'agc' and minibatch == 4", 0.125),
    (1, "network == 'classnet' and method == 'bn'", 0.07),
    (2, "network == 'segnet' and method == 'agc' and minibatch == 8 and lr == 0.16", 0.2),
    (3, "network == 'segnet' and method == 'agc' and minibatch == 1", 0.075),
    (4, "network == 'segnet' and method == 'agc' and lr == 0.64", 0.05),
])  # fmt: skip
def test_each_claim_can_fail(folder, place, query, error):
    change(folder, query, final_error=error)
    assert not verdicts(folder)[place]


def test_lambda_claim_can_fail(folder):
    gains = pd.read_csv(folder / "gains.csv.gz")
    gains["mean"] = 2 - gains["mean"]
    gains.to_csv(folder / "gains.csv.gz", index=False)
    assert not verdicts(folder)[5]


def test_table_gives_mean_and_range_and_counts_divergence(folder):
    change(folder, "method == 'agc' and lr == 0.64 and seed == 1", status="diverged")
    table = summary_table([folder]).splitlines()
    assert len(table) == 2 + 12
    (line,) = [line for line in table if "SegNet BN, minibatch 1," in line]
    assert (
        "| 12.2% (12.0% to 12.4%) | 12.0% |" in line
        and "(configs/cell/figure1_segnet_bn_minibatch1_lr002.yaml)" in line
    )
    (line,) = [line for line in table if "lr 0.64" in line]
    assert "| diverged (1 of 2) |" in line


def test_the_caption_says_data_sizes_and_seeds(folder):
    assert caption(folder) == (
        "Data: painted street scenes (synthetic, 19 Cityscapes classes), 3,200 training and 80 validation images at 48x96. "
        "Preset: desk, ClassNet and SegNet at 1/8 width, 15 epochs, fixed learning rate. Seeds 0, 1. Device: cpu (x86_64)."
    )
    curves = pd.read_csv(folder / "curves.csv")
    curves.loc[curves["network"] == "segnet", "width"] = 1.0
    curves[curves["seed"] == 1].to_csv(folder / "curves.csv", index=False)
    assert "ClassNet at 1/8 width, SegNet at full width, 15 epochs, fixed learning rate. Seed 1. " in caption(folder)


def test_findings_are_printed_and_kept_without_links(folder, capsys):
    print_findings(folder)
    kept = (folder / "findings.md").read_text()
    assert "| ClassNet BN, minibatch 4, lr 0.08 | 10.2% (10.0% to 10.4%) | 10.0% |" in kept and "](" not in kept
    shown = " ".join(capsys.readouterr().out.split())
    assert "Is AGC within two points of BN at minibatch 4, SegNet? yes: AGC 10.2%, BN 10.2%" in shown


def test_the_readme_is_rewritten_between_its_markers_only(folder, tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text("before\n<!-- findings: figure1 -->\nold\n<!-- /findings: figure1 -->\nafter\n")
    write_readme(readme, [folder])
    assert readme.read_text() == f"before\n<!-- findings: figure1 -->\n{findings('figure1', [folder])}<!-- /findings: figure1 -->\nafter\n"
    readme.write_text("no markers")
    with pytest.raises(ValueError, match="markers"):
        write_readme(readme, [folder])


@pytest.mark.skipif(not COMMITTED, reason="no committed results")
def test_the_readme_holds_what_the_committed_results_give(tmp_path):
    copy = tmp_path / "README.md"
    shutil.copy(ROOT / "README.md", copy)
    write_readme(copy, COMMITTED)
    assert copy.read_text() == (ROOT / "README.md").read_text()


@pytest.mark.parametrize("folder", COMMITTED, ids=lambda folder: f"{folder.parent.name}-{folder.name}")
def test_committed_tables_are_of_one_piece(folder):
    """All the study's cells, every seed, from clean commits; the summary's final errors are the curves' last."""
    summary, curves = pd.read_csv(folder / "summary.csv"), pd.read_csv(folder / "curves.csv")
    assert set(summary["cell"]) == set(cells(folder.parent.name))
    assert (summary.groupby("cell")["seed"].nunique() == summary["seed"].nunique()).all()
    final = summary.set_index(["cell", "seed"])["final_error"].sort_index()
    last = curves[(curves["split"] == "val") & (curves["epoch"] > 0)].groupby(["cell", "seed"])["error"].last()
    pd.testing.assert_series_equal(final, last.reindex(final.index), check_names=False)  # none: diverged in epoch 1
    assert set(summary["status"][summary["final_error"].isna()]) <= {"diverged"}
    provenance = json.loads((folder / "provenance.json").read_text())
    for run in summary["run"]:
        git = (provenance["all"] | provenance[run])["git"]
        assert git["commit"] and git["changed"] is False
