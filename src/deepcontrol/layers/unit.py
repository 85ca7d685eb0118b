"""The seam between methods and networks: the whole unit, convolution -> control -> activation."""

import math

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from deepcontrol.layers.zero_mean import ZeroMeanConv2d


class Unit(nn.Sequential):
    """One layer of a network as a method builds it: convolution (or linear), control, activation.

    Networks are built of units and never name a method. ``gains`` gives the method's per-channel
    parameters under their names in the papers, for logging.
    """

    def gains(self) -> dict[str, Tensor]:
        return {name: gain for layer in self if hasattr(layer, "gains") for name, gain in layer.gains().items()}


def he_normal_(layer: nn.Module) -> nn.Module:
    """Normal weights of standard deviation sqrt(2 / fan_in), zero bias (He et al. 2015, the fan-in variant)."""
    fan_in = layer.weight[0].numel()
    nn.init.normal_(layer.weight, std=math.sqrt(2 / fan_in))
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


@torch.no_grad()
def identity_(unit: Unit) -> None:
    """Let the unit's convolution start as the identity, if it keeps the number of channels; ValueError if it may not."""
    layer = unit[0]
    if isinstance(layer, ZeroMeanConv2d):
        raise ValueError("identity_init: an identity kernel has no zero mean")
    if layer.weight.shape[0] != layer.weight.shape[1]:
        return
    kernel = nn.init.dirac_(torch.empty_like(layer.weight))
    if parametrize.is_parametrized(layer, "weight"):
        layer.weight = kernel
    else:
        layer.weight.copy_(kernel)
