"""Cells several at a time: a failing one is named and stops no other, and a missing one is named by the tables."""

import json
import sys
import threading

import pytest

from deepcontrol.curves import MissingCell, read_runs
from deepcontrol.entry import compose_cell
from deepcontrol.sweep import Job, SweepError, train_all

FINISH = (
    "import json, pathlib, sys, time; folder = pathlib.Path(sys.argv[1]); folder.mkdir(parents=True, exist_ok=True); "
)


def job(tmp_path, seed, program):
    config = compose_cell([f"runs={tmp_path}", f"seed={seed}", "device=cpu"])
    made = Job(f"cell{seed}", (), config)
    return Job(made.cell, (sys.executable, "-c", FINISH + program, str(made.folder)), config)


def finish(status):
    return f"(folder / 'status.json').write_text(json.dumps({{'status': '{status}'}}))"


def test_a_failing_cell_is_named_and_stops_no_other(tmp_path):
    jobs = [
        job(tmp_path, 0, "print('all well'); " + finish("finished")),
        job(tmp_path, 1, "sys.exit('the disk is full')"),
        job(tmp_path, 2, finish("diverged")),
        job(tmp_path, 3, finish("running")),
    ]
    with pytest.raises(
        SweepError, match=r"2 of 4 cells failed:\n  cell1, seed 1: the disk is full .*\n  cell3, seed 3:"
    ):
        train_all(jobs, at_once=2)
    assert jobs[0].ended and jobs[2].ended
    assert jobs[0].log.read_text() == "all well\n"


def test_ended_cells_are_not_started_again(tmp_path):
    once = job(tmp_path, 0, "(folder / 'count').open('a').write('x'); " + finish("finished"))
    for _ in range(2):
        train_all([once])
    assert (once.folder / "count").read_text() == "x"


def test_no_more_run_at_once_than_asked(tmp_path):
    program = (
        "mark = folder.parent / f'running-{folder.name}'; mark.touch(); time.sleep(0.4); "
        "(folder / 'seen').write_text(str(len(list(folder.parent.glob('running-*'))))); mark.unlink(); "
        + finish("finished")
    )
    jobs = [job(tmp_path, seed, program) for seed in range(5)]
    train_all(jobs, at_once=2)
    seen = [int((each.folder / "seen").read_text()) for each in jobs]
    assert max(seen) == 2
    assert threading.active_count() < 10


def test_a_missing_cell_is_named(tmp_path):
    unfinished = job(tmp_path, 0, finish("running"))
    with pytest.raises(MissingCell, match="cell cell0: no finished run in .*status: new"):
        read_runs([(unfinished.cell, unfinished.folder)])
    unfinished.folder.mkdir(parents=True)
    (unfinished.folder / "status.json").write_text(json.dumps({"status": "running"}))
    with pytest.raises(MissingCell, match="status: running"):
        read_runs([(unfinished.cell, unfinished.folder)])
