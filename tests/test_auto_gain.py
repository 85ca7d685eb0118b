"""Automatic gain control against eq. 1 written out in float64, plain and folded, values and gradients."""

import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from deepcontrol import AutoGainControl2d, AutoGainConv2d


def eq1(z, background, lambda_, gamma, beta):
    """Deep Control eq. 1, one sample and one channel at a time, in numpy."""
    y = np.empty_like(z)
    for n, c in itertools.product(range(z.shape[0]), range(z.shape[1])):
        y[n, c] = (z[n, c] - lambda_[c] * background(z[n, c])) * gamma[c] + beta[c]
    return y


def window_mean(plane, window=3):
    means, reach = np.empty_like(plane), window // 2
    for row, column in np.ndindex(plane.shape):
        rows, columns = slice(max(0, row - reach), row + reach + 1), slice(max(0, column - reach), column + reach + 1)
        means[row, column] = plane[rows, columns].mean()
    return means


BACKGROUNDS = {"mean": np.mean, "median": np.median, "window": window_mean}


def randomise(layer: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return layer


@pytest.mark.parametrize("background", BACKGROUNDS)
@pytest.mark.parametrize("shape", [(3, 4, 5, 7), (1, 2, 6, 6), (2, 3, 1, 1)])
@pytest.mark.parametrize("training", [True, False])
def test_plain_layer_is_eq1_in_both_modes(background, shape, training):
    layer = randomise(AutoGainControl2d(shape[1], background, window=3).double()).train(training)
    z = torch.randn(shape, dtype=torch.float64)
    gains = [gain.detach().numpy() for gain in (layer.lambda_, layer.gamma, layer.beta)]
    expected = eq1(z.numpy(), BACKGROUNDS[background], *gains)
    np.testing.assert_allclose(layer(z).detach().numpy(), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("background", BACKGROUNDS)
def test_plain_layer_gradients(background):
    layer = randomise(AutoGainControl2d(3, background, window=3).double())
    z = torch.randn(2, 3, 4, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda z, *_: layer(z), (z, *layer.parameters()))


GEOMETRIES = {
    "3x3": dict(kernel_size=3, padding=1),
    "1x1 kernel": dict(kernel_size=1),
    "stride": dict(kernel_size=3, padding=1, stride=2),
    "dilation": dict(kernel_size=3, padding=(2, 1), dilation=(2, 1)),
    "groups": dict(kernel_size=3, padding=1, groups=2),
    "1x1 map": dict(kernel_size=(5, 6)),
}
SLOPES = {"relu": lambda y: (y > 0) * 1.0, "tanh": lambda y: 1 - y * y, "identity": torch.ones_like}
FUNCTIONS = {"relu": torch.relu, "tanh": torch.tanh, "identity": lambda z: z}


def pair(geometry: str, activation: str, samples: int = 2):
    torch.manual_seed(3)
    layer = randomise(AutoGainConv2d(4, 6, **GEOMETRIES[geometry], activation=activation).double())
    return layer, torch.randn(samples, 4, 5, 6, dtype=torch.float64, requires_grad=True)


def unfolded(layer: AutoGainConv2d, x: torch.Tensor) -> torch.Tensor:
    """Convolution, then eq. 1, then the activation, by separate differentiable operations."""
    z = F.conv2d(x, layer.weight, None, layer.stride, layer.padding, layer.dilation, layer.groups)
    lambda_, gamma, beta = (gain.view(1, -1, 1, 1) for gain in (layer.lambda_, layer.gamma, layer.beta))
    return FUNCTIONS[layer.activation]((z - lambda_ * z.mean((2, 3), keepdim=True)) * gamma + beta)


@pytest.mark.parametrize("activation", SLOPES)
@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("samples", [1, 3])
def test_folded_equals_unfolded(geometry, activation, samples):
    layer, x = pair(geometry, activation, samples)
    folded, separate = layer(x), unfolded(layer, x)
    torch.testing.assert_close(folded, separate, rtol=1e-12, atol=1e-12)
    inputs = (x, *layer.parameters())
    weights = torch.randn_like(folded)
    for found, expected in zip(torch.autograd.grad((folded * weights).sum(), inputs),
                               torch.autograd.grad((separate * weights).sum(), inputs)):  # fmt: skip
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("geometry", ["stride", "groups"])
def test_folded_gradcheck(geometry):
    layer, x = pair(geometry, "tanh", samples=1)
    assert torch.autograd.gradcheck(lambda x, *_: layer(x), (x, *layer.parameters()))


def test_folded_needs_no_gradient_of_the_image():
    layer, x = pair("3x3", "relu")
    (layer(x.detach()).sum()).backward()
    torch.testing.assert_close(layer.weight.grad, torch.autograd.grad(unfolded(layer, x).sum(), layer.weight)[0])
    assert x.grad is None


def test_identity_does_not_write_on_the_gradient_it_is_given():
    layer, x = pair("3x3", "identity")
    given = torch.randn_like(layer(x))
    kept = given.clone()
    layer(x).backward(given)
    assert torch.equal(given, kept)


def test_channels_last_gives_channels_last():
    layer, x = pair("3x3", "relu")
    y = layer(x.to(memory_format=torch.channels_last))
    assert y.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(y, layer(x))


def test_bfloat16_is_as_good_as_its_inputs():
    """Folded in bf16 stays within a few units in the last place (2^-8) of float64 on the same rounded numbers."""
    layer, x = pair("3x3", "tanh")  # smooth: a rounded ReLU may close where the exact one is open
    x = x.detach().bfloat16().double()
    exact = unfolded(layer, x)
    expected = torch.autograd.grad(exact.sum(), list(layer.parameters()))
    layer.float()
    with torch.autocast("cpu", torch.bfloat16):
        y = layer(x.float())
    assert y.dtype == torch.bfloat16
    assert (y - exact).abs().max() < 4 * 2**-8 * exact.abs().max()
    found = torch.autograd.grad(y.float().sum(), list(layer.parameters()))
    for gradient, exactly in zip(found, expected):
        assert gradient.dtype == torch.float32
        assert (gradient - exactly).norm() < 8 * 2**-8 * exactly.norm()


@pytest.mark.parametrize("make", [lambda: AutoGainControl2d(3), lambda: AutoGainConv2d(3, 3, 1, activation="identity")])
def test_single_position_gives_beta_and_a_warning(make):
    layer = make()
    nn.init.normal_(layer.beta)
    with pytest.warns(UserWarning, match="fewer than four positions"):
        y = layer(torch.randn(2, 3, 1, 1))
    torch.testing.assert_close(y[:, :, 0, 0], layer.beta.expand(2, 3), atol=1e-6, rtol=0)


@pytest.mark.parametrize("gamma_init, ratio", [(1.0, (1 - 1 / torch.pi) ** 0.5), (1.211, 1.0)])
def test_signal_through_relu(gamma_init, ratio):
    """By default the signal shrinks by sqrt(1 - 1/pi) a layer; gamma_init 1.211 holds it."""
    torch.manual_seed(0)
    y, sizes = torch.randn(2, 64, 20, 20), []
    for _ in range(7):
        layer = AutoGainConv2d(64, 64, 3, padding=1, gamma_init=gamma_init)
        nn.init.normal_(layer.weight, std=(2 / (64 * 9)) ** 0.5)
        y = layer(y).detach()
        sizes.append(y.square().mean().sqrt().item())
    assert (sizes[-1] / sizes[0]) ** (1 / 6) == pytest.approx(ratio, rel=0.03)


@pytest.mark.parametrize("make", [
    lambda: AutoGainControl2d(3, "mode"), lambda: AutoGainControl2d(3, "window", window=4),
    lambda: AutoGainConv2d(3, 3, 3, padding="same"), lambda: AutoGainConv2d(3, 3, 3, activation="gelu"),
])  # fmt: skip
def test_wrong_options_are_named(make):
    with pytest.raises(ValueError, match=r"^(background|window|padding|activation): .*allowed"):
        make()
