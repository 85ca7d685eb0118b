"""The comparators, each torch's own layer in a unit: group, instance, layer and weight normalisation, SELU."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from deepcontrol.layers.activation import activation_module
from deepcontrol.layers.unit import Unit, he_normal_


class _OfAnySize(nn.GroupNorm):
    """torch's group normalisation; a group of a single value gives beta, where nn.GroupNorm refuses one alone."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)


class _Normalised:
    """Convolution or linear layer without bias, group normalisation, activation; a subclass counts the groups."""

    def conv_unit(self, in_channels: int, out_channels: int, kernel_size: int, activation: str = "relu") -> Unit:
        convolution = nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=False)
        return self._unit(convolution, out_channels, activation)

    def linear_unit(self, in_features: int, out_features: int, activation: str = "relu") -> Unit:
        return self._unit(nn.Linear(in_features, out_features, bias=False), out_features, activation)

    def _unit(self, layer: nn.Module, channels: int, activation: str) -> Unit:
        norm = _OfAnySize(self.groups_of(channels), channels)
        return Unit(he_normal_(layer), norm, activation_module(activation))


@dataclass(frozen=True)
class GroupNorm(_Normalised):
    """Mean and deviation of each sample over groups of channels (Wu & He 2018).

    ``channels_per_group`` rather than a number of groups, so that thin layers have groups worth a mean; where it does
    not divide the channels, their greatest common divisor, or one group of all where that is 1.
    """

    channels_per_group: int = 16

    def __post_init__(self):
        if self.channels_per_group < 1:
            raise ValueError(
                f"method.channels_per_group: {self.channels_per_group} is out of range; allowed is a whole number of at "
                "least 1"
            )

    def groups_of(self, channels: int) -> int:
        if self.channels_per_group == 1:
            return channels
        each = math.gcd(self.channels_per_group, channels)
        return channels // each if each > 1 else 1


@dataclass(frozen=True)
class LayerNorm(_Normalised):
    """Mean and deviation of each sample over all channels and positions (Ba et al. 2016): one group."""

    def groups_of(self, channels: int) -> int:
        return 1


@dataclass(frozen=True)
class InstanceNorm(_Normalised):
    """Mean and deviation of each sample and channel over positions (Ulyanov et al. 2016): a group a channel.

    A linear layer has no positions, and is left alone.
    """

    def groups_of(self, channels: int) -> int:
        return channels

    def linear_unit(self, in_features: int, out_features: int, activation: str = "relu") -> Unit:
        return Unit(he_normal_(nn.Linear(in_features, out_features)), activation_module(activation))


@dataclass(frozen=True)
class WeightNorm:
    """Direction and length of each filter as parameters of their own (Salimans & Kingma 2016)."""

    def conv_unit(self, in_channels: int, out_channels: int, kernel_size: int, activation: str = "relu") -> Unit:
        convolution = he_normal_(nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2))
        return Unit(weight_norm(convolution), activation_module(activation))

    def linear_unit(self, in_features: int, out_features: int, activation: str = "relu") -> Unit:
        return Unit(weight_norm(he_normal_(nn.Linear(in_features, out_features))), activation_module(activation))


@dataclass(frozen=True)
class Selu:
    """The self-normalising activation (Klambauer et al. 2017), which takes the place of whichever is asked for.

    Weights are normal with standard deviation sqrt(1 / fan_in), as the activation's fixed point needs.
    """

    def conv_unit(self, in_channels: int, out_channels: int, kernel_size: int, activation: str = "relu") -> Unit:
        return self._unit(nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2))

    def linear_unit(self, in_features: int, out_features: int, activation: str = "relu") -> Unit:
        return self._unit(nn.Linear(in_features, out_features))

    def _unit(self, layer: nn.Module) -> Unit:
        nn.init.normal_(layer.weight, std=1 / math.sqrt(layer.weight[0].numel()))
        nn.init.zeros_(layer.bias)
        return Unit(layer, nn.SELU(inplace=True))


COMPARATORS = {
    "group_norm": GroupNorm, "instance_norm": InstanceNorm, "layer_norm": LayerNorm, "weight_norm": WeightNorm,
    "selu": Selu,
}  # fmt: skip
