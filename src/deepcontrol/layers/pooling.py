"""2x2 max pooling that remembers each winner in one byte, and the unpooling that puts values back there."""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable


def max_pool(x: Tensor, ceil: bool = False) -> tuple[Tensor, Tensor]:
    """2x2 max pooling with stride 2: the maxima and, in one byte each, where in its window each was found.

    x: (N, C, H, W) -> maxima (N, C, H/2, W/2) and offsets of the same shape, uint8 in 0..3 (row * 2 + column);
    H/2 and W/2 are rounded down, as in torch, or up with ``ceil``. The first of equal values wins. Backward keeps
    the offsets alone, an eighth of what torch's int64 indices take.
    """
    return _MaxPool.apply(x, ceil)


def max_unpool(x: Tensor, offsets: Tensor, size: tuple[int, int]) -> Tensor:
    """Put each value at its offset in a 2x2 window of zeros: torch's ``MaxUnpool2d``, deterministic and exportable.

    x and offsets: (N, C, h, w) -> (N, C, *size), where ``size`` is that of the pooled map, so that odd sizes fit.
    """
    return _MaxUnpool.apply(x, offsets, tuple(size))


class _MaxPool(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, ceil):
        ctx.size = x.shape[2:]
        maxima, indices = F.max_pool2d(x, 2, ceil_mode=ceil, return_indices=True)
        offsets = _offsets(indices, x.shape[3])
        ctx.save_for_backward(offsets)
        ctx.mark_non_differentiable(offsets)
        return maxima, offsets

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient, _):
        (offsets,) = ctx.saved_tensors
        return _scatter(gradient, offsets, ctx.size), None


class _MaxUnpool(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, offsets, size):
        ctx.save_for_backward(offsets)
        return _scatter(x, offsets, size)

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):
        (offsets,) = ctx.saved_tensors
        return _gather(gradient, offsets), None, None


def _offsets(indices: Tensor, width: int) -> Tensor:
    """torch's indices, row * width + column over the map, as row * 2 + column within each window."""
    rows, columns = (2 * torch.arange(length, device=indices.device) for length in indices.shape[2:])
    within = indices - (rows[:, None] * width + columns)  # 0, 1, width or width + 1
    return (within - (within >= width) * (width - 2)).to(torch.uint8)


def _corners(x: Tensor, height: int, width: int) -> list[Tensor]:
    """The four (N, C, height, width) views of x, one for each position in a 2x2 window."""
    return [x[:, :, row : 2 * height : 2, column : 2 * width : 2] for row in (0, 1) for column in (0, 1)]


def _scatter(values: Tensor, offsets: Tensor, size: tuple[int, int]) -> Tensor:
    height, width = values.shape[2:]
    layout = torch.channels_last if values.is_contiguous(memory_format=torch.channels_last) else torch.contiguous_format
    whole = torch.empty(
        (*values.shape[:2], 2 * height, 2 * width), dtype=values.dtype, device=values.device, memory_format=layout
    )
    values = values.detach()  # torch.export traces this with gradients on, and out= does not go with them
    for corner, places in enumerate(_corners(whole, height, width)):
        torch.mul(values, offsets == corner, out=places)
    return F.pad(whole, (0, size[1] - 2 * width, 0, size[0] - 2 * height))  # odd sizes: a row or column more or less


def _gather(x: Tensor, offsets: Tensor) -> Tensor:
    height, width = offsets.shape[2:]
    found = torch.zeros_like(offsets, dtype=x.dtype)
    for corner, values in enumerate(_corners(x, height, width)):
        torch.where(offsets == corner, values, found, out=found)
    return found
