"""A cell is trained by a group of processes, one a device; one device is a group of one."""

import os
from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch


class DeviceError(Exception):
    """The devices asked for are not there, or a process on one of them failed; one sentence says which."""


def launch(function: Callable, argument: Any, processes: int) -> Any:
    """Call ``function(argument)`` in a group of that many processes; returns what rank 0 returned.

    A group of one is this process. More are started by torch's elastic launcher, which ends them all when one fails;
    ``function`` must be importable by name, and ``argument`` plain enough to pickle. DeviceError if one fails.
    """
    if processes == 1:
        return function(argument)
    options = LaunchConfig(
        min_nodes=1, max_nodes=1, nproc_per_node=processes, max_restarts=0, start_method="spawn",
        rdzv_backend="c10d", rdzv_endpoint="localhost:0", run_id="deepcontrol",
    )  # fmt: skip
    try:
        return elastic_launch(options, function)(argument)[0]
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        raise DeviceError(f"process {rank} of {processes} failed: {failure.message}") from error


class Group:
    """The default process group while it lasts: ``with Group(device) as group``; NCCL on GPUs, gloo on CPU."""

    def __init__(self, device: str):
        self.rank, self.size = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
        self.device = (
            torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0))) if device == "cuda" else torch.device("cpu")
        )

    def __enter__(self) -> "Group":
        backend = "nccl" if self.device.type == "cuda" else "gloo"
        if self.device.type == "cuda":
            torch.cuda.set_device(self.device)
        if "RANK" in os.environ:
            dist.init_process_group(backend)
        else:
            dist.init_process_group(backend, store=dist.HashStore(), rank=0, world_size=1)
        return self

    def __exit__(self, *_: object) -> None:
        dist.destroy_process_group()


def choose_device(device: str) -> str:
    """``auto`` is cuda where there is one; DeviceError where cuda is asked for and missing."""
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise DeviceError("device: cuda is not available on this machine; allowed are cpu and auto")
    return device


def choose_devices(devices: int | str, device: str, minibatch: int) -> int:
    """How many processes: ``auto`` is every GPU the minibatch can be shared over, or one on CPU."""
    available = torch.cuda.device_count() if device == "cuda" else None
    if devices == "auto":
        return min(available or 1, minibatch)
    if available is not None and devices > available:
        raise DeviceError(f"devices: {devices} GPUs are asked for; this machine has {available}")
    return devices
