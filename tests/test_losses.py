"""Class weights by hand, both losses against formulas written out pixel by pixel, and sharing over processes."""

import math

import numpy as np
import pytest
import torch

from deepcontrol.data.loader import Minibatch
from deepcontrol.losses import Criterion, contour_losses, enet_weights


def test_enet_weights_by_hand():
    """Fractions 0.5, 0.3, 0.2 and a class that never occurs."""
    raw = [1 / math.log(1.52), 1 / math.log(1.32), 1 / math.log(1.22), 1 / math.log(1.02)]
    weights = enet_weights(torch.tensor([50, 30, 20, 0]))
    np.testing.assert_allclose(weights, [w * 4 / sum(raw) for w in raw], rtol=1e-6)


def test_enet_weights_of_a_uniform_19_class_set_would_sum_to_about_270():
    """1 / ln(1.02 + 1/19) = 14.3 each before normalisation; 1 after it."""
    torch.testing.assert_close(enet_weights(torch.full((19,), 7)), torch.ones(19))


def minibatch(seed=0, samples=3, classes=4, size=(6, 5)):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, classes, (samples, *size), generator=generator).to(torch.uint8)
    labels[torch.rand(labels.shape, generator=generator) < 0.2] = 255
    contours = torch.randint(0, 3, (samples, *size), generator=generator).to(torch.uint8)
    outputs = {
        "classes": torch.randn(samples, classes, *size, generator=generator),
        "contours": torch.randn(samples, 1, *size, generator=generator),
    }
    counts = torch.bincount(labels.flatten(), minlength=256)[:classes].float()
    return Minibatch(torch.empty(samples), labels, contours, counts, samples), outputs


def by_hand(batch, logits, weights, weighted_mean):
    """sum of w * cross-entropy over valid pixels, by the number of them or by their weights' sum."""
    total = normaliser = 0.0
    for n, row, column in np.ndindex(*batch.labels.shape):
        label = int(batch.labels[n, row, column])
        if label == 255:
            continue
        scores = logits[n, :, row, column].double().tolist()
        total += weights[label] * (math.log(sum(math.exp(score) for score in scores)) - scores[label])
        normaliser += weights[label] if weighted_mean else 1
    return total / normaliser


def contour_by_hand(batch, logits):
    losses = []
    for n in range(batch.samples):
        both = either = 0.0
        for row, column in np.ndindex(*batch.contours.shape[1:]):
            kind = int(batch.contours[n, row, column])
            if kind == 0:
                continue
            p, t = 1 / (1 + math.exp(-float(logits[n, 0, row, column]))), float(kind == 2)
            both, either = both + p * t, either + p + t - p * t
        losses.append(1 - both / either)
    return sum(losses) / len(losses)


@pytest.mark.parametrize("weighted_mean", [False, True])
def test_loss_by_hand(weighted_mean):
    batch, outputs = minibatch()
    weights = torch.tensor([0.5, 2.0, 1.0, 0.5])
    criterion = Criterion(weights, weighted_mean)
    classes = by_hand(batch, outputs["classes"], weights.tolist(), weighted_mean)
    assert criterion({"classes": outputs["classes"]}, batch).item() == pytest.approx(classes, rel=1e-5)
    both = classes + contour_by_hand(batch, outputs["contours"])
    assert criterion(outputs, batch).item() == pytest.approx(both, rel=1e-5)


def test_shares_add_up_to_the_whole():
    """Loss and gradient of uneven shares, each with the whole minibatch's denominators, sum to the whole's."""
    batch, outputs = minibatch(samples=5)
    logits = {name: output.requires_grad_() for name, output in outputs.items()}
    criterion = Criterion(torch.tensor([0.5, 2.0, 1.0, 0.5]))
    whole = criterion(logits, batch)
    expected = torch.autograd.grad(whole, list(logits.values()))
    parts = [
        criterion(
            {name: output[share] for name, output in logits.items()},
            Minibatch(batch.images, batch.labels[share], batch.contours[share], batch.class_counts, batch.samples),
        )
        for share in (slice(0, 5, 2), slice(1, 5, 2))
    ]
    torch.testing.assert_close(sum(parts), whole)
    for found, gradient in zip(torch.autograd.grad(sum(parts), list(logits.values())), expected):
        torch.testing.assert_close(found, gradient)


def test_void_pixels_and_pixels_outside_the_band_have_no_gradient():
    batch, outputs = minibatch()
    logits = {name: output.requires_grad_() for name, output in outputs.items()}
    gradients = torch.autograd.grad(Criterion(torch.ones(4))(logits, batch), list(logits.values()))
    assert (gradients[0].abs().sum(1) == 0).equal(batch.labels == 255)
    assert (gradients[1][:, 0] == 0).equal(batch.contours == 0)


def test_a_sample_without_contours_has_no_contour_loss():
    logits = torch.randn(2, 1, 4, 4, requires_grad=True)
    contours = torch.zeros(2, 4, 4, dtype=torch.uint8)
    contours[1, :, :2], contours[1, 0, 0] = 1, 2
    losses = contour_losses(logits, contours)
    losses.sum().backward()
    assert losses[0] == 0 and losses[1] > 0
    assert logits.grad[0].abs().sum() == 0 and logits.grad.isfinite().all()


def test_perfect_contours_cost_nothing():
    contours = torch.tensor([[[0, 1, 2], [1, 2, 1], [2, 1, 0]]], dtype=torch.uint8)
    logits = (contours[:, None].float() - 1.5) * 80
    assert contour_losses(logits, contours).item() == pytest.approx(0, abs=1e-6)
    assert contour_losses(-logits, contours).item() == pytest.approx(1, abs=1e-6)
