"""Weights & Biases as a mirror of the run folder; the CSV files stay the truth."""

import csv
import os
import socket
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from deepcontrol.config import Config

STEPS_MIRRORED = 20  # one in so many rows of steps.csv: a call to W&B takes about a millisecond
SECONDS_TO_WAIT = 5.0  # for W&B's server, before a run and after it


class NoLogger:
    """Logs nowhere but in the run folder."""

    def mirror(self) -> None: ...

    def finish(self, summary: dict[str, Any]) -> None: ...


def make_logger(config: Config, folder: Path) -> "NoLogger | WandbLogger":
    """The configured logger; where W&B is not installed or does not start, says so once and logs nowhere."""
    if config.logger.name == "none":
        return NoLogger()
    try:
        return WandbLogger(config, folder)
    except Exception as error:  # whatever ails W&B must not stop a run
        say(f"W&B is left out, curves are in {folder} ({type(error).__name__}: {error})")
        return NoLogger()


class WandbLogger:
    """Mirrors the rows of the run folder's CSV files; the x axis is samples seen.

    Offline unless ``logger.mode=online``, a key and a server that answers are there. A resumed run mirrors its rows
    from the first, since offline runs cannot be continued; its id, the run folder's name, is the same each time, so
    `wandb sync` keeps the latest. If W&B fails, the mirror ends with one line and the run goes on.
    """

    def __init__(self, config: Config, folder: Path):
        import wandb

        self.wandb, self.folder = wandb, folder
        self.places = dict.fromkeys(("curve", "steps", "gains"), 0)
        experiment = (config.cell or "").partition("_")[0]
        self.run = wandb.init(
            project=config.logger.project, dir=folder, id=folder.name, name=folder.name,
            mode=_mode(config.logger.mode), group="-".join(filter(None, (experiment, config.data.name, config.preset))),
            tags=[config.method["name"], config.network.name, config.data.name, config.preset],
            config=asdict(config),
            settings=wandb.Settings(
                silent=True, console="off", x_disable_stats=True, init_timeout=SECONDS_TO_WAIT,
                finish_timeout=SECONDS_TO_WAIT,
            ),
        )  # fmt: skip
        self.run.define_metric("*", step_metric="samples_seen")

    def mirror(self) -> None:
        """Log what the CSV files have gained since the last time."""
        if self.run is None:
            return
        try:
            for row in self._new("steps"):
                if int(row["step"]) % STEPS_MIRRORED == 0:
                    self.run.log({"samples_seen": int(row["samples_seen"]), "train/step_loss": float(row["loss"])})
            epochs: dict[int, dict[str, Any]] = {}
            for row in self._new("curve"):
                measures = {
                    f"{row['split']}/{name}": float(row[name])
                    for name in ("loss", "error", "global_error", "miou")
                    if row[name]
                }
                epochs.setdefault(int(row["samples_seen"]), {"epoch": int(row["epoch"])}).update(measures)
            for row in self._new("gains"):
                if int(row["samples_seen"]) not in epochs and not self._mirrored(int(row["samples_seen"])):
                    continue  # alpha has a row a step
                summary = {
                    f"{row['quantity']}/{row['layer']}/{name}": float(row[name]) for name in ("mean", "min", "max")
                }
                epochs.setdefault(int(row["samples_seen"]), {}).update(summary)
            examples = self.folder / "examples.png"
            for samples_seen, measures in sorted(epochs.items()):
                self.run.log({"samples_seen": samples_seen, **measures})
            if epochs and examples.exists():
                self.run.log({"samples_seen": max(epochs), "examples": self.wandb.Image(str(examples))})
        except Exception as error:  # whatever ails W&B must not stop a run
            self.run = None
            say(f"W&B stopped answering, curves go on in {self.folder} ({type(error).__name__}: {error})")

    def finish(self, summary: dict[str, Any]) -> None:
        if self.run is None:
            return
        try:
            self.run.summary.update(summary)
            self.run.finish()
        except Exception as error:  # whatever ails W&B must not stop a run
            say(f"W&B did not finish, curves are in {self.folder} ({type(error).__name__}: {error})")

    def _mirrored(self, samples_seen: int) -> bool:
        return samples_seen // self.run.config["minibatch"] % STEPS_MIRRORED == 0

    def _new(self, name: str) -> Iterator[dict[str, str]]:
        with (self.folder / f"{name}.csv").open() as file:
            rows = list(csv.DictReader(file))
        new, self.places[name] = rows[self.places[name] :], len(rows)
        return iter(new)


def _mode(mode: str) -> str:
    """``online`` only with a key and a server that takes connections; otherwise ``offline``, saying why once."""
    if mode == "offline":
        return mode
    import wandb

    server = urlparse(wandb.setup().settings.base_url)
    try:
        socket.create_connection((server.hostname, server.port or 443), SECONDS_TO_WAIT).close()
    except OSError as error:
        say(f"W&B cannot be reached ({error}): logging offline, `wandb sync` later")
        return "offline"
    if not (os.environ.get("WANDB_API_KEY") or wandb.api.api_key):
        say("W&B has no key here: logging offline, `wandb login` and `wandb sync` later")
        return "offline"
    return mode


def say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)
