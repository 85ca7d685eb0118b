"""Activations whose gradient can be read off their own output, so that they may work in place."""

import torch
from torch import Tensor, nn


def _relu_backward(gradient: Tensor, output: Tensor) -> Tensor:
    return torch.ops.aten.threshold_backward(gradient, output, 0)


def _tanh_backward(gradient: Tensor, output: Tensor) -> Tensor:
    return torch.ops.aten.tanh_backward(gradient, output)


def _sigmoid_backward(gradient: Tensor, output: Tensor) -> Tensor:
    return torch.ops.aten.sigmoid_backward(gradient, output)


def _identity(signal: Tensor) -> Tensor:
    return signal


# name: (in place, gradient with respect to the input given the output, module)
ACTIVATIONS = {
    "relu": (torch.relu_, _relu_backward, lambda: nn.ReLU(inplace=True)),
    "tanh": (torch.tanh_, _tanh_backward, nn.Tanh),
    "sigmoid": (torch.sigmoid_, _sigmoid_backward, nn.Sigmoid),
    "identity": (_identity, lambda gradient, output: gradient.clone(), nn.Identity),
}


def check_activation(name: str) -> str:
    if name not in ACTIVATIONS:
        raise ValueError(f"activation: {name!r} is unknown; allowed are {', '.join(ACTIVATIONS)}")
    return name


def activation_module(name: str) -> nn.Module:
    """``relu``, ``tanh``, ``sigmoid`` or ``identity`` as a module; ValueError for any other name."""
    return ACTIVATIONS[check_activation(name)][2]()
