"""Photometric distortion: the same picture in another light."""

import numpy as np
import torch
from torch import Tensor

GREY = (0.299, 0.587, 0.114)  # luma of red, green, blue (ITU-R BT.601)


def draw_factors(samples: int, distortion: float, generator: np.random.Generator) -> Tensor:
    """Brightness, contrast and saturation factors of each sample, from U(1 - distortion, 1 + distortion): (N, 3)."""
    return torch.from_numpy(generator.uniform(1 - distortion, 1 + distortion, (samples, 3))).float()


def distort(images: Tensor, factors: Tensor) -> Tensor:
    """images: (N, 3, H, W), 0 to 255; factors: (N, 3). Brightness scales all of an image, contrast its distance from
    its mean grey, saturation each pixel's distance from its own grey; what leaves 0 to 255 is cut off."""
    brightness, contrast, saturation = factors.to(images.device).view(-1, 3, 1, 1, 1).unbind(1)
    images = images * brightness
    grey = (images * images.new_tensor(GREY).view(1, 3, 1, 1)).sum(1, keepdim=True)
    mean = grey.mean((2, 3), keepdim=True)
    images, grey = mean + contrast * (images - mean), mean + contrast * (grey - mean)
    return (grey + saturation * (images - grey)).clamp(0, 255)
