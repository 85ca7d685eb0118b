"""A run folder: one cell's whole record on disk, named by its content, written as the run goes, safe to interrupt."""

import csv
import fcntl
import hashlib
import io
import json
import os
import pickle
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import yaml

from deepcontrol.config import Config

COLUMNS = {
    "curve": ("epoch", "samples_seen", "split", "loss", "error", "global_error", "miou"),
    "steps": ("step", "samples_seen", "loss"),
    "gains": ("epoch", "samples_seen", "layer", "depth", "quantity", "mean", "min", "max"),
    "speed": ("epoch", "seconds", "images_per_s", "evaluation_seconds", "peak_memory_mib"),
}
ENDED = ("finished", "diverged")


class RunError(Exception):
    """The run folder cannot be used as it is; one sentence says why and what to do."""


def identity(config: Config) -> dict[str, Any]:
    """The resolved configuration less what does not make another experiment: logger, device, and where things lie.

    The number of devices stays: batch statistics of each device's own share depend on it.
    """
    plain = asdict(config)
    for key in ("logger", "runs", "device", "threads", "cell", "base_lr", "epoch_counts"):
        del plain[key]
    for key in ("root", "cache", "sizes", "scene_counts", "object_counts", "train_sizes", "validation_sizes"):
        del plain["data"][key]
    del plain["network"]["widths"]
    return plain


def run_folder(config: Config) -> Path:
    """runs/<data label>-<preset>/<network>-<method>-minibatch<m>-lr<lr>-seed<seed>-<hash of the identity>."""
    digest = hashlib.sha256(json.dumps(identity(config), sort_keys=True).encode()).hexdigest()[:8]
    name = (
        f"{config.network.name}-{config.method['name']}-minibatch{config.minibatch}"
        f"-lr{config.lr:g}-seed{config.seed}{f'-devices{config.devices}' * (config.devices != 1)}-{digest}"
    )
    return Path(config.runs) / f"{config.data.label}-{config.preset}" / name


class Run:
    """The run folder while a cell trains; only one process writes it.

    ``config.yaml``, ``manifest.json`` (versions, git, data), ``curve.csv``, ``steps.csv``, ``gains.csv``,
    ``speed.csv``, ``checkpoint.pt`` and ``status.json``. Timings have a file of their own, so that the others repeat
    byte for byte.
    A checkpoint records how long each CSV file was, and resuming cuts them back to that: a row torn by a kill, or
    written after the checkpoint, never stays.
    """

    def __init__(self, config: Config):
        self.folder = run_folder(config)
        self.config = config

    def status(self) -> dict[str, Any]:
        """What status.json says; {"status": "new"} if there is none."""
        return read_status(self.folder)

    def open(self, manifest: Mapping[str, Any]) -> None:
        """Take the folder for this process, and cut its files back to the checkpoint, if there is one.

        RunError if another process has the folder, if it was begun on other data, or if it is damaged.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = (self.folder / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunError(f"{self.folder}: another process is training this cell; wait for it or end it") from None
        state, before = self.load_checkpoint(), self.folder / "manifest.json"
        if state is None:
            for name, columns in COLUMNS.items():
                write_atomically(self.folder / f"{name}.csv", ",".join(columns) + "\n")
        else:
            check_data(self.folder, manifest["data"])
            self._cut_back(state["lengths"])
        write_atomically(self.folder / "config.yaml", yaml.safe_dump(asdict(self.config), sort_keys=False))
        write_atomically(before, json.dumps(manifest, indent=2) + "\n")
        self.set_status("running")

    def load_checkpoint(self) -> dict[str, Any] | None:
        """What ``checkpoint`` saved last; None if nothing yet, RunError if it cannot be read."""
        path = self.folder / "checkpoint.pt"
        if not path.exists():
            return None
        try:
            return torch.load(path, map_location="cpu", weights_only=True)
        except (OSError, EOFError, RuntimeError, pickle.UnpicklingError) as error:
            raise self._damaged() from error

    def _cut_back(self, lengths: Mapping[str, int]) -> None:
        for name, length in lengths.items():
            path = self.folder / f"{name}.csv"
            if not path.exists() or path.stat().st_size < length:
                raise self._damaged()
            os.truncate(path, length)

    def _damaged(self) -> RunError:
        return RunError(f"{self.folder}: the record of this run is damaged; remove the folder to train anew")

    def append(self, name: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Add rows to ``name``.csv."""
        text = io.StringIO()
        csv.DictWriter(text, COLUMNS[name], lineterminator="\n").writerows(rows)
        with (self.folder / f"{name}.csv").open("a") as file:
            file.write(text.getvalue())

    def checkpoint(self, **state: Any) -> None:
        """Save the state, and with it the lengths of the CSV files it belongs to."""
        lengths = {}
        for name in COLUMNS:
            with (self.folder / f"{name}.csv").open("rb") as file:
                os.fsync(file.fileno())
                lengths[name] = file.seek(0, os.SEEK_END)
        written = io.BytesIO()
        torch.save({**state, "lengths": lengths}, written)
        write_atomically(self.folder / "checkpoint.pt", written.getbuffer())

    def set_status(self, status: str, **facts: Any) -> None:
        write_atomically(self.folder / "status.json", json.dumps({"status": status, **facts}, indent=2) + "\n")


def check_data(folder: Path, data: Mapping[str, Any]) -> None:
    """RunError unless the run in the folder is of these data: its name says what they are called, not what they are."""
    if json.loads((folder / "manifest.json").read_text())["data"] != data:
        raise RunError(
            f"{folder}: this run is of other data with the same name; remove the folder to train anew, or give these "
            "data a name of their own (data.label)"
        )


def read_status(folder: Path) -> dict[str, Any]:
    path = folder / "status.json"
    return json.loads(path.read_text()) if path.exists() else {"status": "new"}


def write_atomically(path: Path, content: str | bytes | memoryview) -> None:
    """Write the file whole or not at all, whatever happens to this process."""
    unfinished = path.with_name(path.name + ".unfinished")
    with unfinished.open("wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
