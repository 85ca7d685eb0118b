"""Scaling activations (Kanji, Accelerated deep neural network training using lightweight scaling activations)."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from deepcontrol.layers.activation import activation_module

SMALLEST_ALPHA = 1e-5


class ScaleActivation(nn.Module):
    """An activation whose input is divided by one running deviation for the whole layer; nothing is learned.

        y = activation(x / alpha_t),    alpha_t = momentum * alpha_{t-1} + (1 - momentum) * std(x_t)

    x and y: any shape; std over all its elements: samples, channels and positions. alpha_{t-1} is a constant to the
    gradient and std(x_t) is not, unless ``detach`` (the report's first version, which spiked). Evaluation uses the alpha
    of the last training step. ``activation`` is a name (``relu``, ``tanh``, ``sigmoid``, ``identity``) or any function
    of a tensor. Works at minibatch 1, and when called several times before one backward, as in a recurrent cell.

    Statistics, alpha and the gradient's sums are float32 or better, in a half-precision network too. Ours, where the
    report is silent: std divides by the number of elements, so that a single one gives 0 and not nan; alpha divides as at
    least 1e-5, so that an input that stays constant does too; and an empty input leaves alpha as it is. Under data
    parallelism each process takes the deviation of its own share. Not twice differentiable. RuntimeError where gradient
    checkpointing computes it again in backward: by then alpha has moved on. ``torch.compile`` breaks its graph here.
    """

    def __init__(
        self,
        activation: str | Callable[[Tensor], Tensor] = "relu",
        momentum: float = 0.9,
        alpha_init: float = 1.0,
        detach: bool = False,
    ):
        super().__init__()
        if not 0 <= momentum <= 1:
            raise ValueError(f"momentum: {momentum} is out of range; a number from 0 to 1 is allowed")
        if not alpha_init > 0:
            raise ValueError(f"alpha_init: {alpha_init} is out of range; a number above 0 is allowed")
        self.activation = activation_module(activation) if isinstance(activation, str) else activation
        self.momentum, self.detach = momentum, detach
        self.register_buffer("alpha", torch.tensor(float(alpha_init)))

    def forward(self, x: Tensor) -> Tensor:
        if not x.is_floating_point():
            raise TypeError(f"ScaleActivation divides floating-point input; it was given {x.dtype}")
        if not self.training or not x.numel():
            return self.activation(x / self.alpha.clamp_min(SMALLEST_ALPHA).to(x.dtype))
        exact = x.detach().to(torch.promote_types(x.dtype, torch.float32))
        mean, deviation = exact.mean(), exact.std(correction=0)
        alpha = self._follow(deviation).to(exact.dtype)
        share = 0.0 if self.detach else 1 - self.momentum  # of std(x_t) in alpha_t, to the gradient
        return self.activation(_Divide.apply(x, alpha, mean, deviation, share))

    @torch.compiler.disable  # a compiled backward would compute alpha_t again, from a buffer that holds it already
    @torch.no_grad()
    def _follow(self, deviation: Tensor) -> Tensor:
        """Move alpha towards the deviation; returns what to divide by."""
        if torch._C._current_graph_task_id() != -1:
            raise RuntimeError(
                "ScaleActivation was computed again in backward, by gradient checkpointing, and its alpha has moved on "
                "since: leave it out of the checkpointed part"
            )
        self.alpha.lerp_(deviation.to(self.alpha.dtype), 1 - self.momentum)
        return self.alpha.clamp_min(SMALLEST_ALPHA)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "ScaleActivation":
        super()._apply(fn, recurse)
        self.alpha = self.alpha.to(torch.promote_types(self.alpha.dtype, torch.float32))  # though the network is half's
        return self

    def gains(self) -> dict[str, Tensor]:
        return {"alpha": self.alpha}

    def extra_repr(self) -> str:
        return f"momentum={self.momentum}, detach={self.detach}"


class _Divide(torch.autograd.Function):
    """x / alpha, where alpha holds ``share`` times the deviation of x.

    dx = g / alpha - (sum(g x) / alpha^2) * share * (x - mean) / (n * deviation): written out, it keeps x alone and takes
    a third of the passes that autograd's own would.
    """

    @staticmethod
    def forward(ctx, x, alpha, mean, deviation, share):
        ctx.save_for_backward(x, alpha, mean, deviation)
        ctx.share = share
        return x / alpha.to(x.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):
        x, alpha, mean, deviation = ctx.saved_tensors
        exact = x.to(alpha.dtype)
        signal = gradient.to(alpha.dtype) / alpha
        if ctx.share:
            with_alpha = -(signal * exact).sum() / alpha  # gradient with respect to alpha
            moves = (deviation > 0) & (alpha > SMALLEST_ALPHA)
            slope = torch.where(moves, with_alpha * ctx.share / (x.numel() * deviation), 0.0)
            signal = torch.addcmul(signal - slope * mean, exact, slope)
        return signal.to(x.dtype), None, None, None, None


def scale_normal_(layer: nn.Module) -> nn.Module:
    """The report's initial values (section 3.1): normal weights, zero bias.

    Standard deviation 1 / sqrt(n) for a linear layer, 2 / sqrt(N) for a convolution; n, N the fan-in.
    """
    fan_in = layer.weight[0].numel()
    nn.init.normal_(layer.weight, std=(1 if layer.weight.dim() == 2 else 2) / math.sqrt(fan_in))
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
