"""What is measured of predictions: validation error per image and over all pixels, and mean intersection over union."""

import torch
import torch.distributed as dist
from torch import Tensor


class Errors:
    """Counts over an evaluation; every process adds its own samples, and ``compute`` adds up the group's.

    error: the fraction of wrongly labelled valid pixels of each image, averaged over images (Deep Control, 3.1);
    global_error: that fraction over all valid pixels at once; miou: intersection over union, averaged over the classes
    that occur in labels or predictions. An image without a valid pixel has no error and does not count.
    """

    def __init__(self, classes: int, device: torch.device):
        self.classes = classes
        self.confusion = torch.zeros(classes * classes, dtype=torch.int64, device=device)  # label * classes + predicted
        self.image_errors = torch.zeros(2, dtype=torch.float64, device=device)  # sum, number of images

    def add(self, predicted: Tensor, labels: Tensor) -> None:
        """predicted and labels: (N, H, W); labels 255 are void."""
        valid = labels != 255
        valid_pixels = valid.sum((1, 2))
        wrong_pixels = ((predicted != labels) & valid).sum((1, 2))
        counted = valid_pixels > 0
        fractions = (wrong_pixels / valid_pixels.clamp_min(1).double())[counted]
        self.image_errors += torch.stack([fractions.sum(), counted.sum().double()])
        pairs = labels[valid].long() * self.classes + predicted[valid].long()
        self.confusion += torch.bincount(pairs, minlength=self.classes**2)

    def compute(self) -> dict[str, float]:
        for counts in (self.confusion, self.image_errors):
            dist.all_reduce(counts)
        confusion = self.confusion.view(self.classes, self.classes).double()
        intersection = confusion.diagonal()
        union = confusion.sum(0) + confusion.sum(1) - intersection
        return {
            "error": (self.image_errors[0] / self.image_errors[1]).item(),
            "global_error": (1 - intersection.sum() / confusion.sum()).item(),
            "miou": (intersection / union)[union > 0].mean().item(),
        }
