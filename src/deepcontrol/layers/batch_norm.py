"""Batch normalisation (Ioffe & Szegedy 2015) with its inference statistics and synchronisation stated."""

import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce

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

    Unlike torch, a channel with a single value is not an error: it normalises to beta, the running averages are
    left alone, and it is warned of once.
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
            self.register_buffer("population_var", torch.full((num_features,), torch.nan))  # not gathered yet
        self.gathered: list[tuple[Tensor, Tensor]] | None = None  # moments of each minibatch, while they are gathered

    def forward(self, z: Tensor) -> Tensor:
        if not (self.training or self.inference == "batch"):
            return self._by(*self.inference_moments(), z)
        if self.gathered is not None or self.synchronised and dist.is_initialized() and dist.get_world_size() > 1:
            return self._by_transform(z)
        averages = (self.running_mean, self.running_var) if self.training else (None, None)
        if z.numel() == self.num_features:
            warnings.warn("batch normalisation of a single value a channel: the output is beta", stacklevel=2)
            averages = (None, None)
        # torch's own kernel rather than batch_normalise below: a slow BN would flatter what it is compared with
        return torch.batch_norm(
            z, self.weight, self.bias, *averages, True, self.momentum, self.eps, torch.backends.cudnn.enabled
        )

    def inference_moments(self) -> tuple[Tensor, Tensor]:
        """Mean and variance that evaluation normalises by; ValueError for ``batch``, which has none of its own."""
        if self.inference == "batch":
            raise ValueError("inference: 'batch' takes the statistics of each minibatch and keeps none")
        if self.inference == "running":
            return self.running_mean, self.running_var
        if self.population_var.isnan().any():
            raise RuntimeError("population statistics have not been gathered: call gather_population first")
        return self.population_mean, self.population_var

    def _by(self, mean: Tensor, variance: Tensor, z: Tensor) -> Tensor:
        return torch.batch_norm(
            z, self.weight, self.bias, mean, variance, False, 0.0, self.eps, torch.backends.cudnn.enabled
        )

    def _by_transform(self, z: Tensor) -> Tensor:
        y, mean, variance, values = batch_normalise(z, self.weight, self.bias, self.eps, self.synchronised)
        unbiased = variance.detach() * (values / max(values - 1, 1))
        if self.gathered is not None:
            self.gathered.append((mean.detach(), unbiased))
        elif self.training and values > 1:
            self.running_mean.lerp_(mean.detach().to(self.running_mean.dtype), self.momentum)
            self.running_var.lerp_(unbiased.to(self.running_var.dtype), self.momentum)
        return y

    def gains(self) -> dict[str, Tensor]:
        return {"gamma": self.weight, "beta": self.bias}

    def _check_input_dim(self, input: Tensor) -> None:
        """Any number of positions will do, also none."""

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, inference={self.inference}, synchronised={self.synchronised}"


def batch_normalise(
    x: Tensor, gamma: Tensor, beta: Tensor, eps: float = 1e-5, synchronised: bool = False
) -> tuple[Tensor, Tensor, Tensor, int]:
    """The batch normalising transform (Algorithm 1), written out: y, mean, variance, and the number of values a channel.

        mean = 1/m sum x,  variance = 1/m sum (x - mean)^2,  y = gamma (x - mean) / sqrt(variance + eps) + beta

    x and y: (N, C, ...); gamma, beta, mean, variance: (C,). The gradient passes through mean and variance: without that,
    biases below would grow without end (``bias_growth``). ``synchronised``: sums over all processes of the group.
    """
    over = [axis for axis in range(x.dim()) if axis != 1]
    shape = (1, -1, *[1] * (x.dim() - 2))
    total = _sum_over_group if synchronised and dist.is_initialized() and dist.get_world_size() > 1 else _itself
    exact = x.to(torch.promote_types(x.dtype, torch.float32))
    values = int(total(exact.new_tensor(x.numel() / x.shape[1])))
    mean = total(exact.sum(over)) / values
    centred = exact - mean.view(shape)
    variance = total((centred * centred).sum(over)) / values
    scale = gamma * (variance + eps).rsqrt()
    return (centred * scale.view(shape) + beta.view(shape)).to(x.dtype), mean, variance, values


def _sum_over_group(part: Tensor) -> Tensor:
    return all_reduce(part)


def _itself(part: Tensor) -> Tensor:
    return part


@torch.no_grad()
def gather_population(network: nn.Module, minibatches: Iterable[Tensor]) -> None:
    """Population statistics for the layers with ``inference="population"`` (Algorithm 2, lines 8 to 11).

        E[x] = mean of the minibatch means,   Var[x] = m / (m - 1) * mean of the minibatch variances

    over the given minibatches of training inputs, m the number of values a channel in one. All layers gather in one
    pass, each on what the layers below make of the minibatch by its own statistics, as in training; the notes leave the
    order open. Dropout and noise are off, running averages stay as they are. Takes no minibatch where no layer asks.
    """
    layers = [layer for layer in network.modules() if isinstance(layer, BatchNorm2d) and layer.inference == "population"]
    if not layers:
        return
    with _by_minibatch_statistics(network, layers):
        for images in minibatches:
            network(images)
        for layer in layers:
            means, variances = (torch.stack(moments) for moments in zip(*layer.gathered))
            layer.population_mean.copy_(means.mean(0))
            layer.population_var.copy_(variances.mean(0))


@contextmanager
def _by_minibatch_statistics(network: nn.Module, layers: list[BatchNorm2d]) -> Iterator[None]:
    modes = {module: module.training for module in network.modules()}
    network.eval()
    for layer in layers:
        layer.train()
        layer.gathered = []
    yield
    for layer in layers:
        layer.gathered = None
    for module, training in modes.items():
        module.training = training
