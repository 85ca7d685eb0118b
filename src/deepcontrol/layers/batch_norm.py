"""Batch normalisation (Ioffe & Szegedy 2015) with its inference statistics and synchronisation stated."""

import warnings

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce

INFERENCE = ("running", "batch")


class BatchNorm2d(nn.BatchNorm2d):
    """Normalise each channel by the minibatch's mean and variance, then scale and shift (Algorithm 1).

        y = (z - mean) / sqrt(variance + eps) * gamma + beta

    z and y: (N, C, H, W); mean and variance per channel over N, H, W. ``inference`` says what evaluation uses:
    ``running``, the averages gathered in training, or ``batch``, the minibatch's own. At minibatch 1 training
    equals response normalisation.

    ``synchronised`` takes the statistics over all processes of the default group instead of one process's
    share. Written with differentiable sums, so that it runs on CPU (gloo) as on GPUs, where torch's
    SyncBatchNorm does not.

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

    def forward(self, z: Tensor) -> Tensor:
        own_statistics = self.training or self.inference == "batch"
        if own_statistics and self.synchronised and dist.is_initialized() and dist.get_world_size() > 1:
            return self._synchronised(z)
        averages = (self.running_mean, self.running_var)
        if own_statistics and z.numel() == self.num_features:
            warnings.warn("batch normalisation of a single value a channel: the output is beta", stacklevel=2)
            averages = (None, None)
        if not self.training and own_statistics:
            averages = (None, None)
        return torch.batch_norm(
            z, self.weight, self.bias, *averages, own_statistics, self.momentum, self.eps, torch.backends.cudnn.enabled
        )

    def _synchronised(self, z: Tensor) -> Tensor:
        exact = z.to(torch.promote_types(z.dtype, torch.float32))
        values = all_reduce(exact.new_tensor(z.numel() / self.num_features))
        mean = all_reduce(exact.sum((0, 2, 3))) / values
        centred = exact - mean.view(1, -1, 1, 1)
        variance = all_reduce((centred * centred).sum((0, 2, 3))) / values
        if self.training and values > 1:
            with torch.no_grad():
                self.running_mean.lerp_(mean, self.momentum)
                self.running_var.lerp_(variance * values / (values - 1), self.momentum)
        scale = self.weight * (variance + self.eps).rsqrt()
        return (centred * scale.view(1, -1, 1, 1) + self.bias.view(1, -1, 1, 1)).to(z.dtype)

    def gains(self) -> dict[str, Tensor]:
        return {"gamma": self.weight, "beta": self.bias}

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, inference={self.inference}, synchronised={self.synchronised}"


def gather_population(network, minibatches):
    pass
