"""Training as people start it: real command lines, real processes, also killed ones."""

import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from deepcontrol.entry import cells

ROOT = Path(__file__).parents[1]
TINY = ["preset=smoke", "data.scenes=[10,4]", "threads=1"]


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    """One cache of painted and packed scenes for all commands here."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def command(scenes, tmp_path):
    def make(*arguments, script="train", runs="runs", logger="none", tiny=TINY):
        prefix = [sys.executable, str(ROOT / "scripts" / f"{script}.py")]
        sweep = [argument for argument in arguments if argument.startswith("--")]
        others = [argument for argument in arguments if not argument.startswith("--")]
        return [*prefix, *sweep, *tiny, f"logger={logger}", f"runs={tmp_path / runs}", f"data.cache={scenes}", *others]

    return make


def run(command, expected=0):
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=ROOT)
    assert done.returncode == expected, done.stdout + done.stderr
    return done


def only_folder(runs: Path) -> Path:
    (folder,) = [path for path in runs.glob("*/*") if path.is_dir()]
    return folder


REPEATABLE = ("curve.csv", "steps.csv", "gains.csv")


def records(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in REPEATABLE}


def test_killed_and_resumed_equals_uninterrupted_byte_for_byte(command, tmp_path):
    arguments = ("method=bn", "minibatch=2", "epochs=6")
    run(command(*arguments, runs="whole"))
    whole = only_folder(tmp_path / "whole")

    process = subprocess.Popen(command(*arguments, runs="killed"), cwd=ROOT, stdout=subprocess.DEVNULL)
    curve = tmp_path / "killed" / whole.relative_to(tmp_path / "whole") / "curve.csv"
    deadline = time.monotonic() + 120
    while not (curve.exists() and curve.read_text().count("\n") >= 6):  # header, epoch 0 and two epochs
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    killed = curve.parent
    assert records(killed) != records(whole)
    with curve.open("a") as file:
        file.write("4,9999,val,torn")  # as a crash in the middle of a write would leave it

    run(command(*arguments, runs="killed"))
    assert records(killed) == records(whole)
    before = {path: path.stat().st_mtime_ns for path in killed.rglob("*")}
    assert "finished already" in run(command(*arguments, runs="killed")).stdout
    assert {path: path.stat().st_mtime_ns for path in killed.rglob("*")} == before


def test_the_same_command_gives_the_same_bytes_and_another_seed_does_not(command, tmp_path):
    for runs, seed in (("one", 3), ("two", 3), ("three", 4)):
        run(command(f"seed={seed}", runs=runs, tiny=[*TINY, "epochs=1"]))
    one, two, three = (records(only_folder(tmp_path / runs)) for runs in ("one", "two", "three"))
    assert one == two and all(one[name] != three[name] for name in REPEATABLE)


def test_two_devices_in_a_sweep_equal_one(command, tmp_path):
    """AGC has no batch statistics and BN may synchronise its own: shared out, both give one process's curve."""
    run(command("--multirun", "method=bn,agc", "devices=2", runs="two"))
    run(command("method=agc", runs="one"))
    folders = {path.name.split("-")[1]: path for path in (tmp_path / "two").glob("*/*") if path.is_dir()}
    assert set(folders) == {"bn", "agc"}
    assert all('"finished"' in (folder / "status.json").read_text() for folder in folders.values())
    one = only_folder(tmp_path / "one")
    assert_curves_close(folders["agc"], one)
    assert_same_picture(folders["agc"] / "examples.png", one / "examples.png")
    assert not children_left(tmp_path)

    # one epoch: normalising a handful of values magnifies the last bits of a sum a little more with every step
    synchronised = ("method=bn", "method.synchronised=true", "epochs=1")
    run(command(*synchronised, "devices=2", runs="two_synchronised"))
    run(command(*synchronised, runs="one_synchronised"))
    assert_curves_close(*(only_folder(tmp_path / runs) for runs in ("two_synchronised", "one_synchronised")))


def assert_curves_close(one: Path, other: Path) -> None:
    one, other = (pd.read_csv(folder / "curve.csv") for folder in (one, other))
    pd.testing.assert_frame_equal(one[["epoch", "samples_seen", "split"]], other[["epoch", "samples_seen", "split"]])
    assert (one["loss"] - other["loss"]).abs().max() < 1e-5


def assert_same_picture(one: Path, other: Path) -> None:
    """All but single pixels alike: image, truth and prediction of the same samples."""
    one, other = (np.asarray(Image.open(path)).astype(int) for path in (one, other))
    assert one.shape == other.shape and (one != other).mean() < 0.01


def children_left(tmp_path: Path) -> list[str]:
    listing = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    return [line for line in listing.splitlines() if str(tmp_path) in line]


def test_divergence_is_a_result(command, tmp_path):
    done = run(command("method=none", "lr=1e6"))
    folder = only_folder(tmp_path / "runs")
    assert '"diverged"' in (folder / "status.json").read_text()
    curve, steps = (pd.read_csv(folder / f"{name}.csv") for name in ("curve", "steps"))
    assert curve["epoch"].max() == 0 and len(steps) >= 1
    assert "diverged" in done.stdout
    assert "diverged already" in run(command("method=none", "lr=1e6")).stdout


def test_bf16_on_cpu_trains(command, tmp_path):
    run(command("precision=bf16", "network=classnet", "method=agc", "epochs=1"))
    curve = pd.read_csv(only_folder(tmp_path / "runs") / "curve.csv")
    assert curve["loss"].notna().all() and (curve["loss"] < 10).all()


def test_killed_after_the_last_checkpoint_only_the_status_is_written(command, tmp_path):
    run(command("epochs=1"))
    folder = only_folder(tmp_path / "runs")
    before, status = records(folder), (folder / "status.json").read_text()
    (folder / "status.json").write_text('{"status": "running"}')
    run(command("epochs=1"))
    assert records(folder) == before and (folder / "status.json").read_text() == status


def test_one_validation_image_is_enough(command, tmp_path):
    run(command("epochs=1", "data.scenes=[4,1]"))
    assert len(pd.read_csv(only_folder(tmp_path / "runs") / "curve.csv")) == 3


def test_a_folder_in_use_is_refused(command, tmp_path):
    """While another process holds the folder's lock, one sentence and nothing touched."""
    run(command("epochs=1"))
    folder = only_folder(tmp_path / "runs")
    (folder / "status.json").write_text('{"status": "running"}')
    before = records(folder)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stderr = run(command("epochs=1"), expected=1).stderr
    assert f"{folder}: another process is training this cell" in stderr and "Traceback" not in stderr
    assert records(folder) == before


def test_a_damaged_checkpoint_is_named(command, tmp_path):
    run(command("epochs=1"))
    folder = only_folder(tmp_path / "runs")
    (folder / "status.json").write_text('{"status": "running"}')
    whole = (folder / "checkpoint.pt").read_bytes()
    (folder / "checkpoint.pt").write_bytes(whole[: len(whole) // 2])
    stderr = run(command("epochs=1"), expected=1).stderr
    assert "record of this run is damaged; remove the folder" in stderr and folder.name in stderr


def test_wrong_commands_end_in_a_sentence(command, tmp_path):
    for arguments, sentence in (
        (["method=gain"], "Available options in 'method'"),
        (["lrr=1"], "allowed keys: method"),
        (["--multirun", "minibatch=4,0"], "minibatch: 0 is out of range"),
        (["minibatch=11"], "allowed are 1 to the 10 training samples"),
        (["device=cuda"], "cuda is not available"),
    ):  # fmt: skip
        if arguments == ["device=cuda"] and os.path.exists("/dev/nvidia0"):
            continue
        done = run(command(*arguments), expected=1)
        assert sentence in done.stderr and "Traceback" not in done.stderr, done.stderr
        assert not (tmp_path / "runs").exists() or not list((tmp_path / "runs").glob("*/*/*")), arguments


@pytest.mark.parametrize("data", ["cityscapes", "camvid"])
def test_missing_data_ends_at_once_with_the_layout(command, tmp_path, data):
    """No more than two seconds above what importing takes, which is most of the five there are on a quiet machine."""
    arguments = command(f"data={data}", f"data.root={tmp_path}/nowhere", tiny=["preset=smoke"])
    waits = []
    for _ in range(2):
        began = time.monotonic()
        subprocess.run([sys.executable, "-c", "import hydra, deepcontrol.training"], check=True)
        imported = time.monotonic()
        done = run(arguments, expected=1)
        waits.append((time.monotonic() - imported) - (imported - began))
        assert f"{tmp_path}/nowhere is missing; expected:" in done.stderr and "<root>/" in done.stderr
    assert min(waits) < 2


def test_smoke_reproduction_end_to_end(scenes, tmp_path):
    """Every cell of Figure 1 through the real command line, to tables and figures; a second call trains nothing."""
    command = [
        sys.executable, str(ROOT / "scripts" / "reproduce.py"), "figure1", "--preset", "smoke",
        "--runs", str(tmp_path / "runs"), "--results", str(tmp_path / "results"),
        "logger=none", "epochs=1", "data.scenes=[10,4]", f"data.cache={scenes}",
    ]  # fmt: skip
    done = run(command)
    results = tmp_path / "results" / "figure1" / "streets-smoke"
    for name in ("figure1", "lambda"):
        for ending in ("png", "svg", "pdf"):
            assert (results / f"{name}.{ending}").stat().st_size > 5000
    summary, curves = pd.read_csv(results / "summary.csv"), pd.read_csv(results / "curves.csv")
    assert list(summary["cell"]) == cells("figure1") and (summary["status"] == "finished").all()
    for cell in cells("figure1"):
        validation = curves[(curves["cell"] == cell) & (curves["split"] == "val")]
        assert list(validation["epoch"]) == [0, 1]
        row = summary[summary["cell"] == cell].iloc[0]
        assert row["final_error"] == validation["error"].iloc[-1]
        assert f"{row['final_error']:.2%}" in done.stdout
    tables = {path.name: path.read_bytes() for path in results.iterdir()}
    run(command)
    assert {path.name: path.read_bytes() for path in results.iterdir()} == tables
