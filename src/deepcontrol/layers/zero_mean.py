"""Zero-mean kernels (Ruff, Beck & Bach 2019, Mean Shift Rejection, arXiv 1911.13173)."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

HOLDS_RELU = math.sqrt(2 / (1 - 1 / math.pi))  # 1.713


class ZeroMeanConv2d(nn.Conv2d):
    """Convolution whose kernels start at, and stay on, zero spatial mean.

        y = gain * (W * x) + bias,    mean over positions of W[filter, channel] = 0

    x: (N, C_in, H, W); y: (N, C_out, H', W'); gain and bias: trainable, one a filter. Initially W is normal, less the
    mean of each (filter, channel), each filter scaled to unit L2 norm. The gradient of W then loses
    ``projection_weight`` times its own mean over positions, in backward, so that the training loop knows nothing of it;
    at 1 the condition holds but for the rounding of the weights' type. No state: training and evaluation run the same
    graph. Zero padding only.

    The abstract names no initial gain. Ours, sqrt(2 / (1 - 1/pi)) = 1.713, holds the size of a signal through ReLU, of
    which unit kernels of zero mean pass on only 0.58: with a gain of 1 thirteen layers leave a thousandth.

    An optimiser that is linear in the gradient (SGD, momentum, weight decay) keeps the condition, but for rounding, which
    adds up to about 1e-6 over a hundred thousand steps. Others (Adam) do not keep it. ``re_project(network)`` after each
    step holds it for either.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] = 0,
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
        bias: bool = True,
        projection_weight: float = 1.0,
        gain_init: float = HOLDS_RELU,
    ):
        if not 0 <= projection_weight <= 1:
            raise ValueError(f"projection_weight: {projection_weight} is out of range; a number from 0 to 1 is allowed")
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias)
        if self.weight[0, 0].numel() == 1:
            raise ValueError("kernel_size: a kernel of one position has no spatial mean; use torch.nn.Conv2d")
        self.projection_weight, self.gain_init = projection_weight, float(gain_init)
        self.gain = nn.Parameter(torch.empty(out_channels))
        nn.init.constant_(self.gain, self.gain_init)

    @torch.no_grad()
    def reset_parameters(self) -> None:
        nn.init.normal_(self.weight)
        self.project_()
        self.weight /= self.weight.flatten(1).norm(dim=1).view(-1, 1, 1, 1).clamp_min(1e-12)
        if self.bias is not None:
            nn.init.zeros_(self.bias)
        if hasattr(self, "gain"):  # not yet where torch's own constructor calls this
            nn.init.constant_(self.gain, self.gain_init)

    @torch.no_grad()
    def project_(self) -> None:
        """Put the kernels back on zero mean."""
        self.weight -= self.weight.mean((2, 3), keepdim=True)

    def forward(self, x: Tensor) -> Tensor:
        weight = _ProjectGradient.apply(self.weight, self.projection_weight)
        kernel = weight * self.gain.view(-1, 1, 1, 1)
        return F.conv2d(x, kernel, self.bias, self.stride, self.padding, self.dilation, self.groups)

    def gains(self) -> dict[str, Tensor]:
        """The gain a filter, and how far each kernel is off zero mean: (C_out, C_in / groups)."""
        return {"gain": self.gain, "kernel_mean": self.weight.detach().mean((2, 3)).abs()}

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, projection_weight={self.projection_weight}"


class _ProjectGradient(torch.autograd.Function):
    """The identity; its gradient loses ``projection_weight`` times its mean over a kernel's positions."""

    @staticmethod
    def forward(ctx, weight, projection_weight):
        ctx.projection_weight = projection_weight
        return weight.view_as(weight)

    @staticmethod
    def backward(ctx, gradient):
        return gradient - ctx.projection_weight * gradient.mean((2, 3), keepdim=True), None


def re_project(network: nn.Module) -> None:
    """Put every ``ZeroMeanConv2d`` of projection weight 1 in the network back on zero mean."""
    for module in network.modules():
        if isinstance(module, ZeroMeanConv2d) and module.projection_weight == 1:
            module.project_()
