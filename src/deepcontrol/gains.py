"""What the control does in each layer: its gains, and the mean shift of the layer's output."""

from typing import Any

import torch
from torch import Tensor, nn

from deepcontrol.layers.unit import Unit


def units_of(network: nn.Module) -> dict[str, Unit]:
    """The network's units by name."""
    return {name: module for name, module in network.named_modules() if isinstance(module, Unit)}


@torch.no_grad()
def mean_shifts(network: nn.Module, images: Tensor) -> dict[str, float]:
    """How much of each unit's output is mean shift: sqrt(mean_c E[y_c]^2 / mean_c E[y_c^2]), 0 to 1.

    E is over samples and positions of ``images``, c the channels; 0 is an output of zero-mean channels, 1 one of
    constant channels. In the order in which the signal passes. The network is left in evaluation mode.
    """
    shifts: dict[str, float] = {}

    def measure(name: str):
        def hook(_module: nn.Module, _inputs: tuple, output: Tensor) -> None:
            channels = output.float().transpose(0, 1).flatten(1)  # (C, N * positions)
            energy = channels.square().mean().item()
            shifts[name] = (channels.mean(1).square().mean().item() / energy) ** 0.5 if energy > 0 else 0.0

        return hook

    hooks = [unit.register_forward_hook(measure(name)) for name, unit in units_of(network).items()]
    network.eval()
    try:
        network(images)
    finally:
        for hook in hooks:
            hook.remove()
    return shifts


def gain_rows(network: nn.Module, images: Tensor, epoch: int, samples_seen: int) -> list[dict[str, Any]]:
    """Rows for gains.csv: per layer, mean, min and max over channels of each gain, and the mean shift.

    ``depth`` counts the units in the order in which the signal passes them, from 0 by the image.
    """
    units, rows = units_of(network), []
    for depth, (layer, shift) in enumerate(mean_shifts(network, images).items()):
        place = {"epoch": epoch, "samples_seen": samples_seen, "layer": layer, "depth": depth}
        for quantity, values in units[layer].gains().items():
            values = values.detach()
            summary = {"mean": values.mean().item(), "min": values.min().item(), "max": values.max().item()}
            rows.append({**place, "quantity": quantity, **summary})
        rows.append({**place, "quantity": "mean_shift", **dict.fromkeys(("mean", "min", "max"), shift)})
    return rows


class Trace:
    """What changes by the step and not by the gradient: every layer's alpha after each step, for gains.csv."""

    def __init__(self, network: nn.Module, images: Tensor):
        alphas = {layer: unit.gains().get("alpha") for layer, unit in units_of(network).items()}
        self.places: list[tuple[str, int]] = []
        if any(alpha is not None for alpha in alphas.values()):
            order = enumerate(mean_shifts(network, images))
            self.places = [(layer, depth) for depth, layer in order if alphas[layer] is not None]
        self.alphas = [alphas[layer] for layer, _ in self.places]
        self.steps: list[Tensor] = []

    def step(self) -> None:
        if self.alphas:
            self.steps.append(torch.stack(self.alphas))  # copies

    def rows(self, epoch: int, steps: int, minibatch: int) -> list[dict[str, Any]]:
        """Rows for gains.csv of all steps but the epoch's last, which ``gain_rows`` gives; the trace starts anew."""
        values = torch.stack(self.steps).tolist() if self.steps else []
        self.steps = []
        first = (epoch - 1) * steps + 1
        return [
            {
                "epoch": epoch, "samples_seen": step * minibatch, "layer": layer, "depth": depth, "quantity": "alpha",
                **dict.fromkeys(("mean", "min", "max"), alpha),
            }
            for step, alphas in enumerate(values, start=first) if step < epoch * steps
            for (layer, depth), alpha in zip(self.places, alphas)
        ]  # fmt: skip
