"""Errors against counts made pixel by pixel."""

import numpy as np
import pytest
import torch
import torch.distributed as dist

from deepcontrol.metrics import Errors


@pytest.fixture(autouse=True)
def group_of_one():
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def by_hand(predicted, labels, classes):
    per_image, wrong, valid = [], 0, 0
    for image_predicted, image_labels in zip(predicted, labels):
        counted = image_labels != 255
        mistakes = (image_predicted != image_labels)[counted]
        if counted.any():
            per_image.append(mistakes.mean())
        wrong, valid = wrong + mistakes.sum(), valid + counted.sum()
    ious = []
    for c in range(classes):
        ours, theirs = (predicted == c) & (labels != 255), labels == c
        if (ours | theirs).any():
            ious.append((ours & theirs).sum() / (ours | theirs).sum())
    return {"error": np.mean(per_image), "global_error": wrong / valid, "miou": np.mean(ious)}


@pytest.mark.parametrize("minibatch", [1, 2, 5])
def test_errors_by_hand_whatever_the_minibatch(minibatch):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, (5, 6, 7)).astype(np.uint8)  # class 4 never occurs
    predicted = np.where(rng.random(labels.shape) < 0.6, labels, rng.integers(0, 4, labels.shape))
    labels[rng.random(labels.shape) < 0.3] = 255
    labels[1, :5], labels[3] = 255, 255  # images count alike however few valid pixels they have, none with none
    errors = Errors(5, torch.device("cpu"))
    for first in range(0, 5, minibatch):
        part = slice(first, first + minibatch)
        errors.add(torch.from_numpy(predicted[part]), torch.from_numpy(labels[part]))
    assert errors.compute() == pytest.approx(by_hand(predicted, labels, 5), rel=1e-12)
