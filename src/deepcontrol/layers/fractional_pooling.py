"""Fractional max pooling (Graham 2014) that repeats in evaluation."""

import math

import torch.nn.functional as F
from torch import Tensor, nn

RATIO = 1 / math.sqrt(2)  # of the sides: two poolings halve them


class FractionalMaxPool2d(nn.Module):
    """2x2 max pooling in overlapping windows placed at random: (N, C, H, W) -> (N, C, H', W'), H' = floor(H / sqrt(2)).

    In training torch draws the windows of each sample and channel anew. In evaluation all are placed as by the draw
    0.5, so that the same image always gives the same output; torch's own layer goes on drawing.
    """

    def forward(self, x: Tensor) -> Tensor:
        draws = None if self.training else x.new_full((*x.shape[:2], 2), 0.5)
        return F.fractional_max_pool2d(x, 2, output_size=self.pooled_size(*x.shape[2:]), _random_samples=draws)

    def pooled_size(self, rows: int, columns: int) -> tuple[int, int]:
        return int(rows * RATIO), int(columns * RATIO)
