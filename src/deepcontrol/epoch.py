"""One pass over the data: training, or evaluation of every sample once."""

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager

import torch
import torch.distributed as dist
from torch import Tensor, nn

from deepcontrol.data.loader import Loader, Minibatch
from deepcontrol.losses import Criterion, contour_losses
from deepcontrol.metrics import Errors

CHECKED_EVERY = 20  # steps between looks at the loss: each look waits for the device


def train_epoch(
    network: nn.Module,
    minibatches: Iterable[Minibatch],
    criterion: Criterion,
    optimiser: torch.optim.Optimizer,
    autocast: Callable[[], AbstractContextManager],
    after_step: Callable[[], None],
) -> Iterator[list[float]]:
    """Train on the minibatches; yields the losses of the latest steps, every CHECKED_EVERY steps and at the end."""
    network.train()
    processes = dist.get_world_size()
    losses: list[Tensor] = []
    for minibatch in minibatches:
        optimiser.zero_grad()
        with autocast():
            outputs = network(minibatch.images)
        loss = criterion(outputs, minibatch)
        # A process's loss is its part of a sum, and DDP averages gradients: times their number, the mean is the sum.
        (loss * processes).backward()
        optimiser.step()
        after_step()
        losses.append(loss.detach())
        if len(losses) == CHECKED_EVERY:
            yield _summed(losses)
            losses = []
    if losses:
        yield _summed(losses)


def _summed(losses: list[Tensor]) -> list[float]:
    total = torch.stack(losses).double()
    dist.all_reduce(total)
    return total.tolist()


@torch.no_grad()
def evaluate(
    network: nn.Module,
    loader: Loader,
    criterion: Criterion,
    minibatch: int,
    autocast: Callable[[], AbstractContextManager],
) -> dict[str, float]:
    """Loss and errors over every sample once, shared out over the group, in minibatches of the training size.

    The loss is taken over the whole split as the criterion takes it over a minibatch.
    """
    for buffer in network.buffers():  # rank 0's running averages, which are those that a checkpoint keeps
        dist.broadcast(buffer, 0)
    network.eval()
    errors = Errors(loader.class_counts.shape[1], loader.device)
    sums = torch.zeros(2, dtype=torch.float64, device=loader.device)  # class loss, contour loss
    for part in loader.in_order(minibatch):
        if not len(part.images):
            continue
        with autocast():
            outputs = network(part.images)
        sums[0] += criterion.class_sum(outputs["classes"], part.labels)
        if "contours" in outputs:
            sums[1] += contour_losses(outputs["contours"], part.contours).sum()
        errors.add(outputs["classes"].argmax(1), part.labels)
    dist.all_reduce(sums)
    pixels = (loader.class_counts.sum(0).to(loader.device) @ criterion.pixel_weights).item()
    loss = sums[0].item() / pixels + sums[1].item() / len(loader)
    return {"loss": loss if math.isfinite(loss) else math.inf, **errors.compute()}
