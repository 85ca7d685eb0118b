"""A trained batch normalisation is an affine map, and merges into the layer before it."""

import copy

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from deepcontrol.layers.batch_norm import BatchNorm2d


def fold(network: nn.Module) -> nn.Module:
    """A copy for inference, in evaluation mode, without the batch normalisations that directly follow a layer.

        W' = W * gamma / sqrt(variance + eps),   b' = beta + (b - mean) * gamma / sqrt(variance + eps)

    (the last line of Algorithm 2), for every convolution or linear layer and the normalisation after it in one
    ``nn.Sequential``; ``nn.Identity`` takes the normalisation's place. Mean and variance are the layer's running or
    population statistics. ValueError where there are none: ``inference="batch"``.
    """
    folded = copy.deepcopy(network).eval()
    for block in [module for module in folded.modules() if isinstance(module, nn.Sequential)]:
        for place in range(len(block) - 1):
            layer, norm = block[place], block[place + 1]
            if isinstance(layer, nn.Conv2d | nn.Linear) and isinstance(norm, _BatchNorm):
                _merge(layer, norm)
                block[place + 1] = nn.Identity()
    return folded


@torch.no_grad()
def _merge(layer: nn.Conv2d | nn.Linear, norm: _BatchNorm) -> None:
    mean, variance = _moments(norm)
    scale = (variance + norm.eps).rsqrt()
    shift = -mean * scale
    if norm.affine:
        scale, shift = scale * norm.weight, shift * norm.weight + norm.bias
    bias = shift if layer.bias is None else shift + layer.bias * scale
    layer.weight.mul_(scale.view(-1, *[1] * (layer.weight.dim() - 1)))
    layer.bias = nn.Parameter(bias)


def _moments(norm: _BatchNorm) -> tuple[Tensor, Tensor]:
    if isinstance(norm, BatchNorm2d):
        return norm.inference_moments()
    if norm.running_mean is None:
        raise ValueError("a batch normalisation without running averages cannot be folded")
    return norm.running_mean, norm.running_var
