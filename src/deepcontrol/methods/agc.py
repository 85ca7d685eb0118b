"""Automatic gain control (Ruff 2017, Deep Control): folded into the convolution, or as a layer after it."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from deepcontrol.layers.activation import activation_module
from deepcontrol.layers.auto_gain import BACKGROUNDS, AutoGainControl2d
from deepcontrol.layers.auto_gain_conv import AutoGainConv2d
from deepcontrol.layers.unit import Unit, he_normal_


@dataclass(frozen=True)
class Units:
    """``folded`` is the economical form of the mean variant; the others are layers of their own whatever it says."""

    background: str = "mean"
    window: int = 7
    lambda_init: float = 1.0
    gamma_init: float = 1.0
    folded: bool = True

    def __post_init__(self):
        if self.background not in BACKGROUNDS:
            raise ValueError(f"method.background: {self.background!r} is unknown; allowed are {', '.join(BACKGROUNDS)}")
        if self.window < 1 or self.window % 2 == 0:
            raise ValueError(f"method.window: {self.window} has no centre; an odd number of at least 1 is allowed")

    def conv_unit(self, in_channels: int, out_channels: int, kernel_size: int, activation: str = "relu") -> Unit:
        initial = {"lambda_init": self.lambda_init, "gamma_init": self.gamma_init}
        if self.folded and self.background == "mean":
            return Unit(he_normal_(AutoGainConv2d(
                in_channels, out_channels, kernel_size, padding=kernel_size // 2, activation=activation, **initial
            )))  # fmt: skip
        convolution = nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=False)
        control = AutoGainControl2d(out_channels, self.background, self.window, **initial)
        return Unit(he_normal_(convolution), control, activation_module(activation))

    def linear_unit(self, in_features: int, out_features: int, activation: str = "relu") -> Unit:
        """A linear layer has no positions to take a mean over: gamma, beta and activation remain."""
        linear = he_normal_(nn.Linear(in_features, out_features, bias=False))
        return Unit(linear, _Gain(out_features, self.gamma_init), activation_module(activation))


class _Gain(nn.Module):
    """y = x * gamma + beta, one gamma and beta a feature. x and y: (N, F)."""

    def __init__(self, num_features: int, gamma_init: float):
        super().__init__()
        self.gamma = nn.Parameter(torch.full((num_features,), float(gamma_init)))
        self.beta = nn.Parameter(torch.zeros(num_features))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma + self.beta

    def gains(self) -> dict[str, Tensor]:
        return {"gamma": self.gamma, "beta": self.beta}
