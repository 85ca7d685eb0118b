"""Cells trained several at a time, each in a process of its own."""

import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

import torch
from tqdm import tqdm

from deepcontrol.config import Config
from deepcontrol.records import ENDED, read_status, run_folder


@dataclass(frozen=True)
class Job:
    """A cell to train: its name, the command line that trains it, and the configuration this makes."""

    cell: str
    command: tuple[str, ...]
    config: Config

    @property
    def folder(self) -> Path:
        return run_folder(self.config)

    @property
    def log(self) -> Path:
        return self.folder.with_name(self.folder.name + ".log")

    @property
    def ended(self) -> bool:
        return read_status(self.folder)["status"] in ENDED


class SweepError(Exception):
    """Some cells failed; the message names each with the end of its log."""


def train_all(jobs: Sequence[Job], at_once: int | None = None) -> None:
    """Train what has not ended yet, ``at_once`` jobs at a time: left out, one a GPU, or one a core of the CPU.

    What a job prints goes to <run folder>.log. One that fails does not stop the others; SweepError names it at the end.
    """
    gpus = 0 if jobs[0].config.device == "cpu" else torch.cuda.device_count()
    at_once = at_once or gpus or available_cores()
    waiting = [job for job in jobs if not job.ended]
    places: SimpleQueue[int] = SimpleQueue()
    for place in range(at_once):
        places.put(place)

    def train(job: Job) -> None:
        place = places.get()
        environment = os.environ | ({"CUDA_VISIBLE_DEVICES": str(place % gpus)} if gpus else {})
        job.log.parent.mkdir(parents=True, exist_ok=True)
        with job.log.open("w") as log:
            subprocess.run(job.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)
        places.put(place)

    with ThreadPoolExecutor(at_once) as pool:
        show(jobs, {pool.submit(train, job): job for job in waiting})
    failed = [job for job in waiting if not job.ended]
    if failed:
        raise SweepError(
            f"{len(failed)} of {len(jobs)} cells failed:\n"
            + "\n".join(f"  {job.cell}, seed {job.config.seed}: {last_line(job.log)} ({job.log})" for job in failed)
        )


def show(jobs: Sequence[Job], running: dict[Future, Job]) -> None:
    """One bar over the epochs of all jobs, and a line for each that ends."""
    epochs = sum(job.config.epochs for job in jobs)
    with tqdm(total=epochs, unit="epoch", desc=f"{len(jobs)} cells", disable=not sys.stderr.isatty()) as bar:
        while running:
            ended, _ = wait(running, timeout=1, return_when="FIRST_COMPLETED")
            for future in ended:
                job = running.pop(future)
                future.result()
                bar.write(f"{job.cell}, seed {job.config.seed}: {last_line(job.log)}")
            bar.update(sum(epochs_done(job) for job in jobs) - bar.n)


def epochs_done(job: Job) -> int:
    if job.ended:
        return job.config.epochs
    speed = job.folder / "speed.csv"
    return max(0, len(speed.read_text().splitlines()) - 2) if speed.exists() else 0  # less the header and epoch 0


def last_line(log: Path) -> str:
    lines = log.read_text().strip().splitlines()
    return lines[-1] if lines else "it printed nothing"


def available_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
