"""A trained batch normalisation is an affine map, and merges into the layer before it."""

import copy

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from deepcontrol.layers.batch_norm import BatchNorm2d

LINEAR = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)  # but not what inherits from them and computes something else


@torch.no_grad()
def fold(network: nn.Module) -> nn.Module:
    """A copy for inference, in evaluation mode, without the batch normalisations that directly follow a layer.

        W' = W * gamma / sqrt(variance + eps),   b' = beta + (b - mean) * gamma / sqrt(variance + eps)

    (the last line of Algorithm 2), for every convolution or linear layer and the normalisation after it in one
    ``nn.Sequential``; ``nn.Identity`` takes the normalisation's place. Mean and variance are the layer's running or
    population statistics. ValueError where it keeps none, as with ``inference="batch"``. Layers whose weights are
    computed anew in every forward (hooks of weight or spectral normalisation, or of pruning) are left alone; linear
    layers take (N, features).
    """
    folded = copy.deepcopy(network)
    for block in [module for module in folded.modules() if isinstance(module, nn.Sequential)]:
        for place in range(len(block) - 1):
            layer, normalisation = block[place], block[place + 1]
            plain = type(layer) in LINEAR and not layer._forward_pre_hooks and not layer._forward_hooks
            if plain and isinstance(normalisation, _BatchNorm):
                block[place], block[place + 1] = _merged(layer, normalisation), nn.Identity()
    return folded.eval()


def _merged(layer: nn.Module, normalisation: _BatchNorm) -> nn.Module:
    mean, variance = _moments(normalisation)
    scale = (variance + normalisation.eps).rsqrt()
    shift = -mean * scale
    if normalisation.affine:
        scale, shift = scale * normalisation.weight, shift * normalisation.weight + normalisation.bias
    if layer.bias is not None:
        shift = shift + layer.bias * scale
    merged = copy.deepcopy(layer)  # its weights may serve elsewhere, before another normalisation or none
    merged.weight *= scale.view(-1, *[1] * (layer.weight.dim() - 1))
    merged.bias = nn.Parameter(shift.to(layer.weight.dtype))
    return merged


def _moments(normalisation: _BatchNorm) -> tuple[Tensor, Tensor]:
    if isinstance(normalisation, BatchNorm2d):
        return normalisation.inference_moments()
    if normalisation.running_mean is None:
        raise ValueError("a batch normalisation without running averages cannot be folded")
    return normalisation.running_mean, normalisation.running_var
