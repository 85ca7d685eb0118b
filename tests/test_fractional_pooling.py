"""Fractional max pooling draws its windows in training and repeats in evaluation."""

import pytest
import torch
from torch import nn

from deepcontrol.layers.fractional_pooling import FractionalMaxPool2d


@pytest.fixture
def x():
    return torch.randn(3, 4, 32, 32, generator=torch.Generator().manual_seed(0))


def windows(size: int, pooled: int, draw: float) -> list[int]:
    """Where each window of two begins (Graham 2014, section 2: floor(alpha (i + u)), the last one at the end)."""
    alpha = (size - 2) / (pooled - 1)
    return [int((i + draw) * alpha) - int(draw * alpha) for i in range(pooled - 1)] + [size - 2]


def test_sizes_shrink_by_the_square_root_of_two(x):
    pool = FractionalMaxPool2d()
    assert pool(x).shape == (3, 4, 22, 22)
    assert pool(pool(x)).shape == (3, 4, 15, 15)
    assert pool.pooled_size(32, 30) == (22, 21)


def test_evaluation_repeats_and_does_not_depend_on_the_minibatch(x):
    pool = FractionalMaxPool2d().eval()
    assert torch.equal(pool(x), pool(x))
    assert torch.equal(pool(x)[1:2], pool(x[1:2]))
    rows = windows(32, 22, 0.5)
    expected = torch.stack([torch.stack([x[:, :, r : r + 2, c : c + 2].amax((2, 3)) for c in rows], -1) for r in rows], -2)
    assert torch.equal(pool(x), expected)


def test_training_draws_anew_from_the_seed(x):
    pool = FractionalMaxPool2d()
    torch.manual_seed(1)
    first, second = pool(x), pool(x)
    torch.manual_seed(1)
    assert torch.equal(pool(x), first) and not torch.equal(first, second)


def test_torchs_own_layer_would_not_repeat(x):
    """The reason for ours; should this fail, torch has changed and ours may go."""
    own = nn.FractionalMaxPool2d(2, output_ratio=0.5**0.5).eval()
    assert not torch.equal(own(x), own(x))


@pytest.mark.parametrize("rows, columns", [(32, 32), (22, 15), (7, 6)])
def test_evaluation_takes_the_greatest_of_each_window_and_its_gradient(rows, columns):
    torch.manual_seed(0)
    x = torch.randn(2, 3, rows, columns, dtype=torch.float64, requires_grad=True)
    pool = FractionalMaxPool2d().eval()
    down, across = (windows(side, int(side / 2**0.5), 0.5) for side in (rows, columns))
    maxima = [[x[..., r : r + 2, c : c + 2].amax((2, 3)) for c in across] for r in down]
    expected = torch.stack([torch.stack(row, -1) for row in maxima], -2)
    y, weights = pool(x), torch.randn_like(expected)
    assert torch.equal(y, expected)
    gradients = [torch.autograd.grad((out * weights).sum(), x)[0] for out in (y, expected)]
    torch.testing.assert_close(*gradients, rtol=1e-12, atol=1e-12)
