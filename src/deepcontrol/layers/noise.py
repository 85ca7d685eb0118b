"""Multiplicative noise on whole maps (Ruff, Beck & Bach 2019, Mean Shift Rejection)."""

import torch
from torch import Tensor, nn


class GainNoise2d(nn.Module):
    """y = x * u,  u ~ U(1 - deviation, 1 + deviation) per sample and channel, in training only.

    x and y: (N, C, ...). Unbiased: E[y] = x. Evaluation passes x on.
    """

    def __init__(self, deviation: float = 0.1):
        super().__init__()
        if not 0 <= deviation < 1:
            raise ValueError(f"deviation: {deviation} is out of range; a number from 0 to below 1 is allowed")
        self.deviation = deviation

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        shape = (*x.shape[:2], *[1] * (x.dim() - 2))
        exact = torch.promote_types(x.dtype, torch.float32)  # the few numbers of bfloat16 around 1 would be biased
        noise = torch.empty(shape, dtype=exact, device=x.device).uniform_(1 - self.deviation, 1 + self.deviation)
        return x * noise.to(x.dtype)

    def extra_repr(self) -> str:
        return f"deviation={self.deviation}"
