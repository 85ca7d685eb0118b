"""W&B as a mirror: an offline run read back with W&B's own reader, and the ways W&B can fail."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from deepcontrol.logger import STEPS_MIRRORED

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


def train(scenes, runs, *arguments, **environment):
    command = [
        sys.executable, str(ROOT / "scripts" / "train.py"), "preset=smoke", "data.scenes=[30,4]", "threads=1",
        "minibatch=1", "epochs=1", f"data.cache={scenes}", f"runs={runs}", *arguments,
    ]  # fmt: skip
    without = {name: value for name, value in os.environ.items() if not name.startswith("WANDB")}
    began = time.monotonic()
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=120, cwd=ROOT, env=without | {"HOME": str(runs)} | environment,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (folder,) = [path for path in runs.glob("*/*") if (path / "status.json").exists()]
    assert json.loads((folder / "status.json").read_text())["status"] == "finished"
    return folder, done.stderr, time.monotonic() - began


def read_back(folder: Path) -> list[dict]:
    """The records of the one offline run in the folder, read by `wandb leet inspect`."""
    (log,) = folder.glob("wandb/offline-run-*/*.wandb")
    wandb = Path(sys.executable).with_name("wandb")
    done = subprocess.run([wandb, "leet", "inspect", "--json", log], capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def history(records: list[dict]) -> pd.DataFrame:
    return pd.DataFrame([record["history"]["item"] for record in records if record["type"] == "history"])


def test_an_offline_run_holds_what_the_csv_files_hold(scenes, tmp_path):
    folder, _, _ = train(scenes, tmp_path, "logger=wandb", "cell=figure1_segnet_agc_minibatch1_lr002")
    records = read_back(folder)
    rows = history(records)
    curve, gains, steps = (pd.read_csv(folder / f"{name}.csv") for name in ("curve", "gains", "steps"))

    for split, name in (("val", "loss"), ("val", "error"), ("val", "miou"), ("train", "loss")):
        ours = curve[curve["split"] == split].set_index("samples_seen")[name].dropna()
        theirs = rows.set_index("samples_seen")[f"{split}/{name}"].dropna()
        assert dict(theirs) == dict(ours)
    chosen = steps[steps["step"] % STEPS_MIRRORED == 0].set_index("samples_seen")["loss"]
    assert dict(rows.set_index("samples_seen")["train/step_loss"].dropna()) == dict(chosen) and len(chosen)
    for row in gains.itertuples():
        theirs = rows.set_index("samples_seen")[f"{row.quantity}/{row.layer}/mean"].dropna()
        assert theirs[row.samples_seen] == row.mean
    assert any("examples" in name for name in rows)
    assert list(folder.glob("wandb/offline-run-*/files/media/images/*.png"))

    (run,) = [record["run"] for record in records if record["type"] == "run"]
    assert run["run_id"] == folder.name and run["run_group"] == "figure1-streets-smoke"
    assert set(run["tags"]) == {"agc", "segnet", "streets", "smoke"}
    config = run["config"]["update"]
    assert config["lr"] == 0.02 and config["method"]["name"] == "agc" and config["network"]["width"] == 0.0625


def test_online_without_a_server_trains_on_and_logs_offline(scenes, tmp_path):
    """Nothing listens on the port: said once, kept offline, not one second of waiting to speak of."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{unused.getsockname()[1]}"
    folder, stderr, _ = train(scenes, tmp_path, "logger.mode=online", WANDB_BASE_URL=address, WANDB_API_KEY="x" * 40)
    assert stderr.count("W&B cannot be reached") == 1
    assert len(history(read_back(folder)))


def test_online_without_a_key_trains_on_and_logs_offline(scenes, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        folder, stderr, _ = train(scenes, tmp_path, "logger.mode=online", WANDB_BASE_URL=address)
    assert stderr.count("W&B has no key here") == 1
    assert len(history(read_back(folder)))


def test_online_with_a_server_that_never_answers_trains_on(scenes, tmp_path):
    """It takes connections and says nothing: given up after a few seconds, and the run finishes."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        folder, stderr, seconds = train(
            scenes, tmp_path, "logger.mode=online", WANDB_BASE_URL=address, WANDB_API_KEY="x" * 40
        )
    assert stderr.count("W&B is left out") + stderr.count("W&B cannot be reached") == 1, stderr
    assert len(pd.read_csv(folder / "curve.csv")) == 3
    assert seconds < 90


def test_no_logger_leaves_no_trace(scenes, tmp_path):
    folder, _, _ = train(scenes, tmp_path, "logger=none")
    assert not (folder / "wandb").exists()
