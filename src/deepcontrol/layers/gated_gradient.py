"""The gated effective minibatch: parameter gradients normalised to unsaturated positions (Deep Control, section 2)."""

from collections.abc import Iterable

import torch
import torch.distributed as dist
from torch import Tensor, nn

from deepcontrol.layers.activation import ACTIVATIONS, check_activation
from deepcontrol.layers.noise import GainNoise2d

SATURATED = 0.01  # of the activation's greatest slope; below it a position counts as saturated


def gate_gradients(units: Iterable[nn.Module], activation: str) -> None:
    """Multiply each unit's parameter gradients, filter by filter, by positions / unsaturated positions.

    A gradient is a sum over the positions of a map and over the minibatch, normalised by all of them, though only those
    where the activation is not saturated pass any: a filter that answers rarely learns slowly. Here the divisor is the
    number of unsaturated positions, the paper's gated effective minibatch size (GEMS). The gradient that goes on to the
    layer below is left alone. A filter that is saturated everywhere keeps what little gradient it has.

    ``activation`` is that of the units; saturated means a slope below 1% of its greatest, which for ReLU is 0. Processes
    that share a minibatch count together. Counted in the latest forward of training: one forward, one backward. Hooks
    on the parameters do it, which copy.deepcopy leaves behind. The paper presents no experiment; the reading, filter by
    filter, is ours.
    """
    slope_given_output = ACTIVATIONS[check_activation(activation)][1]
    for unit in units:
        gate = _Gate(slope_given_output)
        activated = [layer for layer in unit if not isinstance(layer, GainNoise2d)][-1]  # slopes are read off its output
        activated.register_forward_hook(gate.count)
        for parameter in unit.parameters():
            parameter.register_hook(gate.scale)


class _Gate:
    def __init__(self, slope_given_output):
        self.slope_given_output = slope_given_output
        possible = torch.tensor([0.0, 0.5, 1.0])  # outputs, among them those where the activations are steepest
        self.least = SATURATED * slope_given_output(torch.ones(3), possible).max().item()
        self.factors: Tensor | None = None

    @torch.no_grad()
    def count(self, layer: nn.Module, _inputs: tuple, output: Tensor) -> None:
        """Remember positions / unsaturated positions of each filter: (C,)."""
        if not layer.training:
            return
        channels = output.transpose(0, 1).flatten(1)  # (C, N * positions)
        slopes = self.slope_given_output(torch.ones_like(channels), channels)
        unsaturated = (slopes > self.least).sum(1).float()
        positions = torch.full_like(unsaturated, channels.shape[1])
        counts = torch.stack([positions, unsaturated])
        if dist.is_initialized():
            dist.all_reduce(counts)
        self.factors = torch.where(counts[1] > 0, counts[0] / counts[1].clamp_min(1), 1.0)

    def scale(self, gradient: Tensor) -> Tensor:
        if self.factors is None:  # no forward of training yet
            return gradient
        return gradient * self.factors.view(-1, *[1] * (gradient.dim() - 1)).to(gradient.dtype)
