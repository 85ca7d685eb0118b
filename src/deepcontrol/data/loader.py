"""Minibatches from a packed split: shuffled by seed and epoch, shared out over processes, standardised."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from deepcontrol.data.cache import Packed
from deepcontrol.data.distortion import distort, draw_factors


@dataclass(frozen=True)
class Minibatch:
    """One process's share of a minibatch, and what all the shares hold together."""

    images: Tensor  # (n, 3, H, W) float32, standardised, channels last
    labels: Tensor  # (n, H, W) uint8, 255 void; (n, 1, 1) where an image has one label
    contours: Tensor  # (n, H, W) uint8, 0 outside the band, 1 in it, 2 on a contour
    class_counts: Tensor  # (classes,) float32, valid pixels of each class over all shares
    samples: int  # over all shares


class Loader:
    """Serves a packed split on a device; sample i of a minibatch goes to process i modulo ``processes``.

    The arrays lie on the device when they take less than a quarter of its memory; otherwise each minibatch is read
    from the memory-mapped cache. ``mean`` and ``std`` are the training split's, so that both splits are standardised
    alike.
    """

    def __init__(self, packed: Packed, mean, std, device: torch.device, process: int = 0, processes: int = 1):
        self.device, self.process, self.processes = device, process, processes
        arrays = [packed.images, packed.labels, packed.contours]
        self.arrays = [torch.from_numpy(array) for array in arrays]
        if device.type == "cuda" and sum(array.nbytes for array in arrays) < torch.cuda.mem_get_info(device)[0] / 4:
            self.arrays = [array.to(device) for array in self.arrays]
        self.class_counts = torch.stack(
            [
                torch.bincount(labels.flatten(), minlength=256)[: packed.classes]
                for labels in torch.from_numpy(packed.labels)
            ]
        ).float()  # (samples, classes)
        self.mean = torch.tensor(mean, device=device).view(1, 3, 1, 1) * 255
        self.std = torch.tensor(std, device=device).view(1, 3, 1, 1) * 255

    def __len__(self) -> int:
        return len(self.class_counts)

    def shuffled(
        self, minibatch: int, seed: int, epoch: int, thorough: bool = True, distortion: float = 0.0
    ) -> Iterator[Minibatch]:
        """One epoch in an order drawn from seed and epoch; a last minibatch that is not full is left out.

        Not ``thorough``: minibatches are put together once, by the seed, and only their order is drawn. ``distortion``
        is photometric, drawn for each sample by seed and epoch (Ioffe & Szegedy 2015, section 4.2.1).
        """
        generator = np.random.default_rng([seed, epoch])
        if thorough:
            minibatches = self._minibatches(minibatch, generator)
        else:
            minibatches = generator.permutation(self._minibatches(minibatch, np.random.default_rng(seed)))
        for indices in torch.from_numpy(minibatches):
            yield self._share(indices, draw_factors(minibatch, distortion, generator) if distortion else None)

    def _minibatches(self, minibatch: int, generator: np.random.Generator) -> np.ndarray:
        order = generator.permutation(len(self))
        return order[: len(self) // minibatch * minibatch].reshape(-1, minibatch)

    def in_order(self, minibatch: int) -> Iterator[Minibatch]:
        """Every sample once; a share may be empty at the end."""
        for indices in torch.arange(len(self)).split(minibatch):
            yield self._share(indices)

    def images(self, count: int) -> Tensor:
        """The first ``count`` images, or all there are, whole in each process; standardised, (n, 3, H, W)."""
        return self._standardised(self.arrays[0][:count].to(self.device))

    def _share(self, indices: Tensor, factors: Tensor | None = None) -> Minibatch:
        own = slice(self.process, None, self.processes)
        images, labels, contours = (
            array[indices[own].to(array.device)].to(self.device, non_blocking=True) for array in self.arrays
        )
        class_counts = self.class_counts[indices].sum(0).to(self.device, non_blocking=True)
        return Minibatch(
            self._standardised(images, None if factors is None else factors[own]),
            labels, contours, class_counts, len(indices),
        )  # fmt: skip

    def _standardised(self, images: Tensor, factors: Tensor | None = None) -> Tensor:
        pixels = images.permute(0, 3, 1, 2).float()
        if factors is not None:
            pixels = distort(pixels, factors)
        return (pixels - self.mean) / self.std
