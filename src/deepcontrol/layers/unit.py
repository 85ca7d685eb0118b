"""The seam between methods and networks: the whole unit, convolution -> control -> activation."""

import math

from torch import Tensor, nn


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
