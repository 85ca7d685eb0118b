"""Batch normalisation between convolution and activation (Ioffe & Szegedy 2015)."""

from dataclasses import dataclass

from torch import nn

from deepcontrol.layers.activation import activation_module
from deepcontrol.layers.batch_norm import INFERENCE, BatchNorm2d
from deepcontrol.layers.unit import Unit, he_normal_


@dataclass(frozen=True)
class Units:
    """The convolution has no bias: the mean subtraction would cancel it, and beta takes its place."""

    inference: str = "running"
    synchronised: bool = False

    def __post_init__(self):
        if self.inference not in INFERENCE:
            raise ValueError(f"method.inference: {self.inference!r} is unknown; allowed are {', '.join(INFERENCE)}")
        if self.inference == "batch" and self.synchronised:  # a process may have no share of the last minibatch
            raise ValueError("method.synchronised: with inference 'batch' each process evaluates by itself; use false")

    def conv_unit(self, in_channels: int, out_channels: int, kernel_size: int, activation: str = "relu") -> Unit:
        convolution = nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=False)
        control = BatchNorm2d(out_channels, self.inference, self.synchronised)
        return Unit(he_normal_(convolution), control, activation_module(activation))

    def linear_unit(self, in_features: int, out_features: int, activation: str = "relu") -> Unit:
        linear = he_normal_(nn.Linear(in_features, out_features, bias=False))
        control = BatchNorm2d(out_features, self.inference, self.synchronised)
        return Unit(linear, control, activation_module(activation))
