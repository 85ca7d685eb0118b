"""From run folders to tidy tables: one row an epoch, split and seed, with the cell's settings beside it."""

import json
from collections.abc import Iterable
from pathlib import Path

import pandas as pd
import yaml

from deepcontrol.records import ENDED, read_status


class MissingCell(Exception):
    """A cell that a table or figure needs has no ended run, or is not in the results; the sentence names it."""


def read_runs(runs: Iterable[tuple[str, Path]]) -> dict[str, pd.DataFrame]:
    """The tidy tables ``curves``, ``steps``, ``gains`` and ``summary`` of runs given as (cell, run folder).

    Every row begins with its cell's settings: cell, method, network, activation, width, minibatch, lr, noise, seed,
    status.
    curves: epoch, samples_seen, split, loss, error, global_error, miou. steps: step, samples_seen, loss. gains: epoch,
    samples_seen, layer, depth, quantity, mean, min, max; alpha at every step of the first layer, at epoch ends of the
    others. summary, a row a run: final_error, best_error, seconds (training and evaluation), images_per_s (training;
    the median epoch), parameters, run.
    MissingCell if a folder holds no ended run.
    """
    tables: dict[str, list[pd.DataFrame]] = {"curves": [], "steps": [], "gains": [], "summary": []}
    for cell, folder in runs:
        status = read_status(folder)["status"]
        if status not in ENDED:
            raise MissingCell(f"cell {cell}: no finished run in {folder} (status: {status})")
        config = yaml.safe_load((folder / "config.yaml").read_text())
        settings = {
            "cell": cell, "method": config["method"]["name"], "network": config["network"]["name"],
            "activation": config["network"]["activation"], "width": config["network"]["width"],
            "minibatch": config["minibatch"], "lr": config["lr"], "noise": config["noise"], "seed": config["seed"],
            "status": status,
        }  # fmt: skip
        curve, steps, gains, speed = (
            pd.read_csv(folder / f"{name}.csv") for name in ("curve", "steps", "gains", "speed")
        )
        gains = gains[(gains["depth"] == 0) | gains["samples_seen"].isin(curve["samples_seen"])].reset_index(drop=True)
        validation = curve[(curve["split"] == "val") & (curve["epoch"] > 0)]
        trained = speed[speed["epoch"] > 0]
        summary = pd.DataFrame([{
            "final_error": validation["error"].iloc[-1] if len(validation) else None,
            "best_error": validation["error"].min(),
            "seconds": (speed["seconds"] + speed["evaluation_seconds"]).sum(),
            "images_per_s": trained["images_per_s"].median(),
            "parameters": json.loads((folder / "manifest.json").read_text())["parameters"],
            "run": folder.name,
        }])  # fmt: skip
        for name, table in (("curves", curve), ("steps", steps), ("gains", gains), ("summary", summary)):
            tables[name].append(pd.concat([pd.DataFrame([settings] * len(table)), table], axis=1))
    return {name: pd.concat(parts, ignore_index=True) for name, parts in tables.items()}


def read_provenance(runs: Iterable[tuple[str, Path]]) -> dict[str, dict]:
    """Each run's manifest by run name; what all of them share stands once, under ``all``."""
    manifests = {folder.name: json.loads((folder / "manifest.json").read_text()) for _, folder in runs}
    first, *others = manifests.values()
    shared = {key: value for key, value in first.items() if all(other.get(key) == value for other in others)}
    return {"all": shared} | {
        name: {key: value for key, value in manifest.items() if key not in shared}
        for name, manifest in manifests.items()
    }
