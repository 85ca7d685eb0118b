"""Where a run comes from: code, versions, data and device, with nothing that names the machine."""

import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import nn

from deepcontrol.config import Config
from deepcontrol.data.sources import Splits


def manifest(config: Config, data: Splits, network: nn.Module) -> dict[str, Any]:
    return {
        "git": git_state(),
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("torch", "numpy", "pillow")},
            "cuda": torch.version.cuda if config.device == "cuda" else None,
        },
        "device": torch.cuda.get_device_name() if config.device == "cuda" else f"cpu ({platform.machine()})",
        "devices": config.devices,
        "threads": torch.get_num_threads(),
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "data": describe_data(config, data),
    }


def describe_data(config: Config, data: Splits) -> dict[str, Any]:
    """What tells these data from any others, wherever they lie."""
    return {
        "name": config.data.label,
        "size": list(config.data.size),
        "samples": {"train": len(data.train.names), "validation": len(data.validation.names)},
        "checksums": {"train": data.train.checksum, "validation": data.validation.checksum},
        "contours_from": "instance ids" if data.train.has_instances else "class ids",
    }


def git_state() -> dict[str, Any]:
    """The commit of the source tree and whether it has changes; None where it is no git checkout."""

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", *arguments], cwd=Path(__file__).parent, capture_output=True, text=True, timeout=10
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    commit, changes = git("rev-parse", "HEAD"), git("status", "--porcelain", "--untracked-files=no")
    return {"commit": commit, "changed": None if changes is None else bool(changes)}
