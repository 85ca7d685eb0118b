"""Batch normalisation (Ioffe & Szegedy 2015) with its inference statistics and synchronisation stated."""

import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor, nn

INFERENCE = ("running", "population", "batch")


class BatchNorm2d(nn.BatchNorm2d):
    """Normalise each channel by the minibatch's mean and variance, then scale and shift (Algorithm 1).

        y = (z - mean) / sqrt(variance + eps) * gamma + beta

    z and y: (N, C, H, W), or (N, C) after a linear layer; mean and variance per channel over all else. ``inference``
    says what evaluation uses:

    - ``running``: averages gathered over training, as in torch;
    - ``population``: Algorithm 2, the moments of several training minibatches under the final parameters, which
      ``gather_population`` takes; RuntimeError where it has not;
    - ``batch``: the minibatch's own.

    At minibatch 1 training equals response normalisation. ``synchronised`` takes the statistics over all processes of
    the default group instead of one process's share, on CPU (gloo) as on GPUs, where torch's SyncBatchNorm runs on the
    latter alone.

    Unlike torch, a channel with a single value is not an error: it normalises to beta, counts neither in the running
    averages nor in the population's moments, and is warned of once.
    """

    def __init__(
        self,
        num_features: int,
        inference: str = "running",
        synchronised: bool = False,
        eps: float = 1e-5,
        momentum: float = 0.1,
    ):
        if inference not in INFERENCE:
            raise ValueError(f"inference: {inference!r} is unknown; allowed are {', '.join(INFERENCE)}")
        super().__init__(num_features, eps=eps, momentum=momentum)
        self.inference, self.synchronised = inference, synchronised
        if inference == "population":
            self.register_buffer("population_mean", torch.zeros(num_features))
            self.register_buffer("population_var", -torch.ones(num_features))  # below zero: not gathered yet
        self.gathered: list[tuple[Tensor, Tensor]] | None = None  # moments of each minibatch, while they are gathered

    def forward(self, z: Tensor) -> Tensor:
        if not (self.training or self.inference == "batch"):
            return self._fused(z, *self.inference_moments(), training=False)
        apart = self.synchronised and _processes() > 1
        if apart or self.gathered is not None or z.numel() == self.num_features:
            return self._by_transform(z)
        averages = (self.running_mean, self.running_var) if self.training else (None, None)
        return self._fused(z, *averages, training=True)

    def _fused(self, z: Tensor, mean: Tensor | None, variance: Tensor | None, training: bool) -> Tensor:
        # torch's own kernel, though batch_normalise says the same: a slow BN would flatter what it is compared with
        return torch.batch_norm(
            z, self.weight, self.bias, mean, variance, training, self.momentum, self.eps, torch.backends.cudnn.enabled
        )

    def _by_transform(self, z: Tensor) -> Tensor:
        y, mean, variance, values = batch_normalise(z, self.weight, self.bias, self.eps, self.synchronised)
        if values == 1:
            warnings.warn("batch normalisation of a single value a channel: the output is beta", stacklevel=3)
            return y
        mean, unbiased = mean.detach(), variance.detach() * (values / (values - 1))
        if self.gathered is not None:
            self.gathered.append((mean, unbiased))
        elif self.training:
            self.running_mean.lerp_(mean.to(self.running_mean.dtype), self.momentum)
            self.running_var.lerp_(unbiased.to(self.running_var.dtype), self.momentum)
        return y

    def inference_moments(self) -> tuple[Tensor, Tensor]:
        """Mean and variance that evaluation normalises by. ``batch`` has none: ValueError."""
        if self.inference == "batch":
            raise ValueError("inference: 'batch' keeps no statistics; allowed here are running and population")
        if self.inference == "running":
            return self.running_mean, self.running_var
        if (self.population_var < 0).any():
            raise RuntimeError("the population statistics are not gathered yet: call gather_population first")
        return self.population_mean, self.population_var

    def gains(self) -> dict[str, Tensor]:
        return {"gamma": self.weight, "beta": self.bias}

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, inference={self.inference}, synchronised={self.synchronised}"


def batch_normalise(
    x: Tensor, gamma: Tensor, beta: Tensor, eps: float = 1e-5, synchronised: bool = False
) -> tuple[Tensor, Tensor, Tensor, int]:
    """The batch normalising transform (Algorithm 1): y, its mean and variance, and m, the number of values a channel.

        mean = 1/m sum x,   variance = 1/m sum (x - mean)^2,   y = gamma (x - mean) / sqrt(variance + eps) + beta

    x and y: (N, C, ...); gamma, beta, mean, variance: (C,), the moments in float32 or better. The gradient passes
    through them: without that, biases below would grow without end (``bias_growth``). ``synchronised`` sums over all
    processes of the default group.
    """
    total = _SumOverGroup.apply if synchronised and _processes() > 1 else _itself
    positions = [axis for axis in range(x.dim()) if axis != 1]
    per_channel = (-1, *[1] * (x.dim() - 2))
    exact = x.to(torch.promote_types(x.dtype, torch.float32))
    values = int(total(torch.tensor(x.numel() // x.shape[1], device=x.device)))
    mean = total(exact.sum(positions)) / values
    centred = exact - mean.view(per_channel)
    variance = total(centred.square().sum(positions)) / values
    scale = gamma * (variance + eps).rsqrt()
    y = centred * scale.view(per_channel) + beta.view(per_channel)
    return y.to(x.dtype), mean, variance, values


def _processes() -> int:
    return dist.get_world_size() if dist.is_initialized() else 1


class _SumOverGroup(torch.autograd.Function):
    @staticmethod
    def forward(ctx, part):
        total = part.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx, gradient):  # every process's loss depends on every part
        return _SumOverGroup.apply(gradient)


def _itself(part: Tensor) -> Tensor:
    return part


@torch.no_grad()
def gather_population(network: nn.Module, minibatches: Iterable[Tensor]) -> None:
    """Population statistics for the layers with ``inference="population"`` (Algorithm 2, lines 8 to 12).

        E[x] = mean of the minibatches' means,   Var[x] = mean of the minibatches' variances times m / (m - 1)

    over the given minibatches of training inputs, m the number of values a channel in one. The notes leave open what
    the layers below do meanwhile; here all gather in one pass, each minibatch normalised by its own statistics, as in
    training. All else is as in evaluation: dropout and noise are off, running averages and modes stay. A channel that
    never had more than one value keeps what running averages begin with, mean 0 and variance 1.

    Takes no minibatch where no layer asks for one; ValueError where one does and there is none.
    """
    norms = [module for module in network.modules() if isinstance(module, BatchNorm2d)]
    layers = [layer for layer in norms if layer.inference == "population"]
    if not layers:
        return
    with _gathering(network, layers):
        count = 0
        for count, images in enumerate(minibatches, start=1):
            network(images)
        if count == 0:
            raise ValueError("population statistics need at least one minibatch; none was given")
        for layer in layers:
            means, variances = zip(*layer.gathered or [(torch.zeros(()), torch.ones(()))])
            layer.population_mean.copy_(torch.stack(means).mean(0))
            layer.population_var.copy_(torch.stack(variances).mean(0))


@contextmanager
def _gathering(network: nn.Module, layers: list[BatchNorm2d]) -> Iterator[None]:
    modes = {module: module.training for module in network.modules()}
    network.eval()
    for layer in layers:
        layer.training, layer.gathered = True, []
    try:
        yield
    finally:
        for layer in layers:
            layer.gathered = None
        for module, training in modes.items():
            module.training = training
