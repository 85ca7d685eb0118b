"""Gain noise: one factor a sample and map, unbiased, and gone in evaluation."""

import pytest
import torch

from deepcontrol.layers.noise import GainNoise2d


@pytest.mark.parametrize("shape", [(64, 50, 4, 5), (64, 50)])
def test_each_map_has_a_factor_of_its_own(shape):
    torch.manual_seed(0)
    x = (1 + torch.rand(shape)).requires_grad_()
    y = GainNoise2d(0.2)(x)
    factors = (y / x).detach().reshape(64, 50, -1)
    torch.testing.assert_close(factors, factors[:, :, :1].expand_as(factors))
    factors = factors[:, :, 0]
    assert 0.8 <= factors.min() < 0.81 and 1.19 < factors.max() <= 1.2
    assert factors.mean().item() == pytest.approx(1, abs=0.005)
    assert factors.std().item() == pytest.approx(0.4 / 12**0.5, rel=0.05)  # of a uniform distribution
    assert factors.unique().numel() > 3100  # neither samples nor channels share one
    correlation = torch.corrcoef(factors)
    assert (correlation - torch.eye(64)).abs().max() < 0.7
    y.sum().backward()
    torch.testing.assert_close(x.grad, (y / x).detach())


def test_evaluation_passes_the_signal_on():
    x = torch.randn(2, 3, 4, 5)
    assert GainNoise2d(0.5).eval()(x) is x


def test_the_seed_decides():
    x, layer = torch.ones(2, 3, 1, 1), GainNoise2d()
    torch.manual_seed(1)
    first, second = layer(x), layer(x)
    torch.manual_seed(1)
    assert torch.equal(layer(x), first) and not torch.equal(first, second)


@pytest.mark.parametrize("deviation", [-0.1, 1.0])
def test_wrong_deviations_are_named(deviation):
    with pytest.raises(ValueError, match=f"deviation: {deviation}"):
        GainNoise2d(deviation)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("deviation", [0.01, 0.1])
def test_noise_is_unbiased_in_half_precision(dtype, deviation):
    torch.manual_seed(0)
    factors = GainNoise2d(deviation)(torch.ones(1000, 200, 1, 1, dtype=dtype))
    assert factors.dtype == dtype
    standard_error = deviation / 3**0.5 / 200_000**0.5
    assert abs(factors.double().mean() - 1) < 5 * standard_error + 1e-5
    assert factors.max() > 1 > factors.min()
