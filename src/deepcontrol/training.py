"""Training one cell: the loop, from data to the finished run folder."""

import os
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from deepcontrol.assembly import build_network, make_criterion, make_optimiser
from deepcontrol.config import Config, ConfigError
from deepcontrol.data.loader import Loader, Minibatch
from deepcontrol.data.sources import Splits, open_data
from deepcontrol.distributed import Group, choose_device, choose_devices, launch
from deepcontrol.epoch import evaluate, train_epoch
from deepcontrol.examples import draw_examples
from deepcontrol.gains import Trace, gain_rows
from deepcontrol.layers.batch_norm import gather_population
from deepcontrol.logger import NoLogger, make_logger
from deepcontrol.progress import Progress
from deepcontrol.provenance import describe_data, manifest
from deepcontrol.records import ENDED, Run, check_data

EXAMPLES = 3  # validation samples drawn each epoch
POPULATION_MINIBATCHES = 32  # that population statistics are averaged over, before each evaluation


def train_cell(config: Config) -> float:
    """Train the cell unless its run folder says it has ended; returns the last validation error.

    Device, run folder and data are looked at first, so that what cannot work fails before anything starts.
    """
    config = settle(config)
    run = Run(config)
    data, status = open_data(config.data, progress=True), run.status()
    if status["status"] in ENDED:
        check_data(run.folder, describe_data(config, data))
        print(f"{run.folder}: {status['status']} already, validation error {status['error']:.2%}", flush=True)
        return status["error"]
    samples = len(data.train.names)
    if samples < config.minibatch:
        raise ConfigError(
            f"minibatch: {config.minibatch} is out of range; allowed are 1 to the {samples} training samples"
        )
    return launch(train, config, config.devices)


def settle(config: Config) -> Config:
    """The configuration with ``auto`` replaced by what this machine has."""
    device = choose_device(config.device)
    devices = choose_devices(config.devices, device, config.minibatch)
    return replace(config, device=device, devices=devices)


def train(config: Config) -> float:
    """One process's part of training a cell; rank 0 alone writes and shows progress."""
    prepare_torch(config)
    with Group(config.device) as group:
        writes = group.rank == 0
        data = open_data(config.data)
        training, validation = (
            Loader(split, data.train.mean, data.train.std, group.device, group.rank, group.size)
            for split in (data.train, data.validation)
        )
        torch.manual_seed(config.seed)
        network = build_network(config, data.train.classes)
        network.to(group.device, memory_format=torch.channels_last)
        optimiser = make_optimiser(config, network)
        criterion = make_criterion(config, torch.from_numpy(data.train.class_counts).to(group.device))
        autocast = nullcontext
        if config.precision == "bf16":
            autocast = partial(torch.autocast, group.device.type, torch.bfloat16)

        run = Run(config)
        if writes:
            run.open(manifest(config, data, network))
        dist.barrier()  # from here on the folder is in order, and every process may read its checkpoint
        state = run.load_checkpoint() or {"epoch": -1, "error": 1.0}
        if state["epoch"] >= 0:
            network.load_state_dict(state["network"])
            optimiser.load_state_dict(state["optimiser"])
        epoch, error = state["epoch"], state["error"]
        parallel = DistributedDataParallel(network) if group.size > 1 else network
        logger = make_logger(config, run.folder) if writes else NoLogger()
        logger.mirror()
        trace = Trace(network, validation.images(EXAMPLES))
        steps = len(training) // config.minibatch
        progress = Progress(run.folder.name, epoch + 1, config.epochs, steps, config.minibatch, shown=writes)

        verdict = "finished"
        for epoch in range(epoch + 1, config.epochs + 1):  # epoch 0 is the untrained network
            began, losses = time.perf_counter(), []
            if epoch > 0:
                torch.manual_seed(hash((config.seed, epoch, group.rank)))
                minibatches = shuffled(training, config, epoch)
                for latest in train_epoch(parallel, minibatches, criterion, optimiser, autocast, trace.step):
                    losses += latest
                    progress.step(len(latest), latest[-1])
                    if not all(abs(loss) <= config.divergence for loss in latest):  # nan is not
                        verdict = "diverged"
                        break
            trained = time.perf_counter()
            seen = epoch * steps * config.minibatch
            if writes:
                run.append("steps", step_rows(losses, epoch, steps, config.minibatch))
                run.append("gains", trace.rows(epoch, steps, config.minibatch))
            if verdict == "diverged":
                break
            with autocast():
                gather_population(network, population_minibatches(training, config, epoch))
            measures = evaluate(network, validation, criterion, config.minibatch, autocast)
            evaluated = time.perf_counter()
            error = measures["error"]
            images_per_s = len(losses) * config.minibatch / (trained - began)
            progress.epoch(epoch, measures, images_per_s)
            if writes:
                run.append("curve", curve_rows(epoch, seen, losses, measures))
                run.append("gains", gain_rows(network, validation.images(EXAMPLES), epoch, seen))
                run.append("speed", [{
                    "epoch": epoch, "seconds": trained - began, "images_per_s": images_per_s,
                    "evaluation_seconds": evaluated - trained, "peak_memory_mib": peak_memory(group.device),
                }])  # fmt: skip
                run.checkpoint(epoch=epoch, error=error, network=network.state_dict(), optimiser=optimiser.state_dict())
                draw(network, validation, data, run.folder / "examples.png")
                logger.mirror()

        progress.close(f"{verdict}, validation error {error:.2%}")
        if writes:
            logger.finish({"status": verdict, "error": error})
            run.set_status(verdict, epoch=epoch, error=error)
        return error


def prepare_torch(config: Config) -> None:
    """Threads, and what makes the same command give the same bits."""
    if config.threads != "auto":
        torch.set_num_threads(config.threads)
    elif config.devices > 1 and config.device == "cpu":
        torch.set_num_threads(max(1, torch.get_num_threads() // config.devices))
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # what deterministic products on GPUs need
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # deterministic mode would fill every new tensor first
    torch.backends.cudnn.benchmark = False


def shuffled(training: Loader, config: Config, epoch: int) -> Iterator[Minibatch]:
    thorough = config.shuffle == "thorough"
    return training.shuffled(config.minibatch, config.seed, epoch, thorough, config.distortion)


def population_minibatches(training: Loader, config: Config, epoch: int) -> Iterator[torch.Tensor]:
    """Training minibatches for Algorithm 2 of batch normalisation: the first of the next epoch, in its order."""
    return (minibatch.images for minibatch in islice(shuffled(training, config, epoch + 1), POPULATION_MINIBATCHES))


def step_rows(losses: list[float], epoch: int, steps: int, minibatch: int) -> list[dict]:
    first = (epoch - 1) * steps + 1
    return [
        {"step": step, "samples_seen": step * minibatch, "loss": loss} for step, loss in enumerate(losses, start=first)
    ]


def curve_rows(epoch: int, samples_seen: int, losses: list[float], measures: dict[str, float]) -> list[dict]:
    place = {"epoch": epoch, "samples_seen": samples_seen}
    train = [{**place, "split": "train", "loss": sum(losses) / len(losses)}] if losses else []
    return [*train, {**place, "split": "val", **measures}]


def peak_memory(device: torch.device) -> float:
    """MiB: what tensors took on a GPU, what the process took on CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


@torch.no_grad()
def draw(network: nn.Module, validation: Loader, data: Splits, path: Path) -> None:
    """The first validation samples, their labels and what the network makes of them."""
    if not data.palette:
        return  # images with one label have no picture of their segmentation
    network.eval()
    predicted = network(validation.images(EXAMPLES))["classes"].argmax(1).cpu().numpy()
    split = data.validation
    draw_examples(split.images[:EXAMPLES], split.labels[:EXAMPLES], predicted, data.palette, path)
