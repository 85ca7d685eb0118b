"""One-byte pooling and its unpooling against torch's own."""

import hypothesis.strategies as st
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings

from deepcontrol.layers.pooling import max_pool, max_unpool

SIZES = st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(2, 11), st.integers(2, 11))


def maps(shape, seed, layout=torch.contiguous_format):
    """Small whole numbers, so that ties are common."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randint(-2, 3, shape, generator=generator).double()
    return x.to(memory_format=layout).requires_grad_()


@settings(deadline=None, max_examples=60)
@given(SIZES, st.integers(0, 1000), st.booleans(), st.sampled_from([torch.contiguous_format, torch.channels_last]))
def test_pooling_equals_torch(shape, seed, ceil, layout):
    x = maps(shape, seed, layout)
    expected = F.max_pool2d(x, 2, ceil_mode=ceil)
    maxima, offsets = max_pool(x, ceil)
    assert torch.equal(maxima, expected) and offsets.dtype == torch.uint8 and offsets.max() <= 3
    gradient = torch.randn_like(maxima)
    assert torch.equal(torch.autograd.grad(maxima, x, gradient)[0], torch.autograd.grad(expected, x, gradient)[0])


@settings(deadline=None, max_examples=60)
@given(SIZES, st.integers(0, 1000), st.sampled_from([torch.contiguous_format, torch.channels_last]))
def test_unpooling_equals_torch(shape, seed, layout):
    x = maps(shape, seed, layout)
    maxima, indices = F.max_pool2d(x, 2, return_indices=True)
    _, offsets = max_pool(x)
    values = torch.randn_like(maxima).requires_grad_()
    expected = torch.nn.MaxUnpool2d(2)(values, indices, output_size=shape[2:])
    found = max_unpool(values, offsets, shape[2:])
    assert torch.equal(found, expected)
    gradient = torch.randn_like(found)
    assert torch.equal(
        torch.autograd.grad(found, values, gradient)[0], torch.autograd.grad(expected, values, gradient)[0]
    )


def test_wide_maps_keep_their_offsets():
    """Widths around 256, where an offset taken from the low byte of an index would go wrong."""
    for width in (254, 255, 256, 257, 258, 300):
        x = torch.randn(1, 1, 4, width)
        maxima, offsets = max_pool(x)
        assert torch.equal(max_pool(max_unpool(maxima - maxima.min() + 1, offsets, x.shape[2:]))[1], offsets), width


def test_deterministic_mode_allows_both():
    torch.use_deterministic_algorithms(True)
    try:
        x = torch.randn(2, 3, 6, 6, requires_grad=True)
        maxima, offsets = max_pool(x)
        max_unpool(maxima, offsets, (6, 6)).square().sum().backward()
    finally:
        torch.use_deterministic_algorithms(False)
    winners = torch.nn.MaxUnpool2d(2)(*F.max_pool2d(x, 2, return_indices=True))
    torch.testing.assert_close(x.grad, 2 * winners)


@pytest.mark.parametrize("ceil", [False, True])
def test_backward_keeps_one_byte_a_window(ceil):
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda saved: kept.append(saved) or saved, lambda saved: saved):
        max_pool(torch.randn(2, 3, 9, 8, requires_grad=True), ceil)
    assert sum(saved.nbytes for saved in kept) == 2 * 3 * (9 // 2 + ceil) * 4
