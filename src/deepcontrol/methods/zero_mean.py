"""Zero-mean kernels (Ruff, Beck & Bach 2019, Mean Shift Rejection, arXiv 1911.13173)."""

from dataclasses import dataclass

from torch import nn

from deepcontrol.layers.activation import activation_module
from deepcontrol.layers.unit import Unit, he_normal_
from deepcontrol.layers.zero_mean import ZeroMeanConv2d


@dataclass(frozen=True)
class Units:
    """Spatial kernels start and stay on zero mean; 1x1 kernels and linear layers, which have none, are left alone."""

    projection_weight: float = 1.0
    gain_init: float = 1.713

    def __post_init__(self):
        if not 0 <= self.projection_weight <= 1:
            raise ValueError(
                f"method.projection_weight: {self.projection_weight} is out of range; allowed is a number from 0 to 1"
            )

    def conv_unit(self, in_channels: int, out_channels: int, kernel_size: int, activation: str = "relu") -> Unit:
        if kernel_size == 1:
            return Unit(he_normal_(nn.Conv2d(in_channels, out_channels, 1)), activation_module(activation))
        convolution = ZeroMeanConv2d(
            in_channels, out_channels, kernel_size, padding=kernel_size // 2,
            projection_weight=self.projection_weight, gain_init=self.gain_init,
        )  # fmt: skip
        return Unit(convolution, activation_module(activation))

    def linear_unit(self, in_features: int, out_features: int, activation: str = "relu") -> Unit:
        return Unit(he_normal_(nn.Linear(in_features, out_features)), activation_module(activation))
