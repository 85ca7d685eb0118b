"""Scaling activations (Kanji, Accelerated deep neural network training using lightweight scaling activations)."""

from dataclasses import dataclass

from torch import nn

from deepcontrol.layers.scale import ScaleActivation, scale_normal_
from deepcontrol.layers.unit import Unit


@dataclass(frozen=True)
class Units:
    """Convolution or linear layer with bias, then the scaled activation; no parameter is added."""

    momentum: float = 0.9
    alpha_init: float = 1.0
    detach: bool = False

    def __post_init__(self):
        try:
            self._activation("relu")  # which refuses wrong options
        except ValueError as error:
            raise ValueError(f"method.{error}") from None

    def conv_unit(self, in_channels: int, out_channels: int, kernel_size: int, activation: str = "relu") -> Unit:
        convolution = nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2)
        return Unit(scale_normal_(convolution), self._activation(activation))

    def linear_unit(self, in_features: int, out_features: int, activation: str = "relu") -> Unit:
        return Unit(scale_normal_(nn.Linear(in_features, out_features)), self._activation(activation))

    def _activation(self, activation: str) -> ScaleActivation:
        return ScaleActivation(activation, self.momentum, self.alpha_init, self.detach)
