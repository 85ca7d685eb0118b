"""The losses of Deep Control (section 3): class-weighted cross-entropy and the contour loss."""

import torch
import torch.nn.functional as F
from torch import Tensor

from deepcontrol.data.loader import Minibatch


def enet_weights(class_counts: Tensor) -> Tensor:
    """ENet's class weights, normalised to mean 1 (Paszke et al. 2016; Deep Control, section 3.1).

        w = 1 / ln(1.02 + p),  then divided by their mean

    class_counts: (classes,), valid training pixels of each class; p their fractions. Unnormalised they sum to about 30
    for Cityscapes, which would multiply the learning rate.
    """
    fractions = class_counts.double() / class_counts.sum()
    weights = 1 / torch.log(1.02 + fractions)
    return (weights / weights.mean()).float()


class Criterion:
    """The loss of a minibatch, written so that processes that share it out add up to the whole.

        class loss   = sum over valid pixels of w * cross-entropy / number of valid pixels
        contour loss = mean over samples of 1 - soft IoU, where the network draws contours
        loss         = class loss + contour loss

    torch's weighted mean divides by the sum of the weights instead, which would cancel their normalisation:
    ``weighted_mean=True`` gives that. The denominators are the whole minibatch's, so a process's loss is its part of a
    sum. Logits and loss are float32 whatever the network's precision.
    """

    def __init__(self, class_weights: Tensor, weighted_mean: bool = False):
        self.class_weights = class_weights
        self.pixel_weights = class_weights if weighted_mean else torch.ones_like(class_weights)

    def __call__(self, outputs: dict[str, Tensor], minibatch: Minibatch) -> Tensor:
        loss = self.class_sum(outputs["classes"], minibatch.labels) / (minibatch.class_counts @ self.pixel_weights)
        if "contours" in outputs:
            loss = loss + contour_losses(outputs["contours"], minibatch.contours).sum() / minibatch.samples
        return loss

    def class_sum(self, logits: Tensor, labels: Tensor) -> Tensor:
        """sum of w * cross-entropy over valid pixels. logits: (N, classes, H, W); labels: (N, H, W), 255 void."""
        # Gathered rather than by cross_entropy, whose two-dimensional form has no deterministic kernel on GPUs; laid
        # out plane by plane, where the softmax is several times faster on CPU.
        log_probability = F.log_softmax(logits.float().contiguous(), dim=1)
        valid = labels != 255
        classes = labels.masked_fill(~valid, 0).long()
        chosen = log_probability.gather(1, classes[:, None])[:, 0]
        return -(chosen * self.class_weights[classes] * valid).sum()


def contour_losses(logits: Tensor, contours: Tensor) -> Tensor:
    """1 - soft IoU of predicted and true contours, within the band around the true ones, per sample: (N,).

        1 - sum(p t) / sum(p + t - p t),  p = sigmoid(logits), t = 1 on contours

    logits: (N, 1, H, W); contours: (N, H, W), 0 outside the band, 1 in it, 2 on a contour. A sample without contours
    has no loss.
    """
    band, truth = contours > 0, (contours == 2).float()
    probability = torch.sigmoid(logits[:, 0].float()) * band
    both = (probability * truth).sum((1, 2))
    either = (probability + truth).sum((1, 2)) - both
    return torch.where(either > 0, 1 - both / either.clamp_min(1e-6), 0.0)
