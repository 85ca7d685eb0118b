"""No normalisation: convolution, bias, activation; the floor that every cost is measured against."""

from dataclasses import dataclass

from torch import nn

from deepcontrol.layers.activation import activation_module
from deepcontrol.layers.unit import Unit, he_normal_


@dataclass(frozen=True)
class Units:
    def conv_unit(self, in_channels: int, out_channels: int, kernel_size: int, activation: str = "relu") -> Unit:
        convolution = he_normal_(nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2))
        return Unit(convolution, activation_module(activation))

    def linear_unit(self, in_features: int, out_features: int, activation: str = "relu") -> Unit:
        return Unit(he_normal_(nn.Linear(in_features, out_features)), activation_module(activation))
