"""GEMS: a filter's gradient is divided by its unsaturated positions, and by nothing else."""

import pytest
import torch
from torch import nn

from deepcontrol.layers.gated_gradient import gate_gradients
from deepcontrol.layers.noise import GainNoise2d
from deepcontrol.layers.unit import Unit


def unit(activation: nn.Module) -> Unit:
    torch.manual_seed(0)
    return Unit(nn.Conv2d(3, 5, 3, padding=1), activation).double()


def gradients(network: nn.Module, x: torch.Tensor, target: torch.Tensor):
    x = x.clone().requires_grad_()
    network.zero_grad()
    y = network(x)
    (y * target).sum().backward()
    return y.detach(), x.grad, [parameter.grad.clone() for parameter in network.parameters()]


@pytest.fixture
def data():
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(4, 3, 6, 7, generator=generator, dtype=torch.float64)
    return x, torch.randn(4, 5, 6, 7, generator=generator, dtype=torch.float64)


def test_relu_gradients_are_divided_by_the_open_fraction_of_each_filter(data):
    x, target = data
    plain, gated = unit(nn.ReLU()), unit(nn.ReLU())
    with torch.no_grad():
        for network in (plain, gated):
            network[0].bias += torch.tensor([-1.0, -0.5, 0.0, 0.5, -50.0])  # the last filter never answers
    gate_gradients([gated], "relu")
    y, signal, parameters = gradients(plain, x, target)
    gated_y, gated_signal, gated_parameters = gradients(gated, x, target)
    open_fraction = (y > 0).double().mean((0, 2, 3))
    assert open_fraction[0] < 0.4 and open_fraction[4] == 0
    assert torch.equal(y, gated_y) and torch.equal(signal, gated_signal)  # what goes on below is left alone
    for before, after in zip(parameters, gated_parameters):
        shape = (-1, *[1] * (before.dim() - 1))
        expected = before / open_fraction.clamp_min(1e-12).view(shape)
        torch.testing.assert_close(after, expected, rtol=1e-6, atol=1e-9)


def test_smooth_activations_count_as_saturated_below_one_hundredth_of_their_slope(data):
    x, target = data
    plain, gated = unit(nn.Tanh()), unit(nn.Tanh())
    gate_gradients([gated], "tanh")
    y, _, parameters = gradients(plain, 10 * x, target)
    _, _, gated_parameters = gradients(gated, 10 * x, target)
    slopes = 1 - y**2
    fraction = (slopes > 0.01).double().mean((0, 2, 3))
    assert 0.1 < fraction.min() and fraction.max() < 0.9
    torch.testing.assert_close(gated_parameters[1], parameters[1] / fraction, rtol=1e-6, atol=1e-9)


def test_an_activation_that_never_saturates_changes_nothing(data):
    plain, gated = unit(nn.Identity()), unit(nn.Identity())
    gate_gradients([gated], "identity")
    for one, other in zip(gradients(plain, *data)[2], gradients(gated, *data)[2]):
        assert torch.equal(one, other)


@pytest.mark.parametrize("name, module, greatest", [("tanh", nn.Tanh(), 1.0), ("sigmoid", nn.Sigmoid(), 0.25)])
def test_a_filter_saturated_everywhere_keeps_its_little_gradient(data, name, module, greatest):
    x, target = data
    plain, gated = unit(module), unit(module)
    with torch.no_grad():
        for network in (plain, gated):
            network[0].weight *= 0.1
            network[0].bias += torch.tensor([8.0, -8.0, 0.0, 8.0, 0.0])  # by far the slopes of three filters
    gate_gradients([gated], name)
    y, _, parameters = gradients(plain, x, target)
    _, _, gated_parameters = gradients(gated, x, target)
    slopes = 1 - y**2 if name == "tanh" else y * (1 - y)
    assert slopes[:, [0, 1, 3]].max() < 0.01 * greatest < slopes[:, [2, 4]].min()
    for before, after in zip(parameters, gated_parameters):
        torch.testing.assert_close(after, before, rtol=1e-12, atol=0)


def test_slopes_are_read_before_the_noise(data):
    x, target = data
    plain, gated = unit(nn.Tanh()), unit(nn.Tanh()).append(GainNoise2d(0.5))
    gate_gradients([gated], "tanh")
    y, _, parameters = gradients(plain, 5 * x, target)
    torch.manual_seed(3)
    z, _, gated_parameters = gradients(gated, 5 * x, target)
    noise = (z / y).mean((2, 3), keepdim=True)
    noisy = gradients(plain, 5 * x, target * noise)[2]
    fraction = (1 - y**2 > 0.01).double().mean((0, 2, 3))
    assert fraction.max() < 0.95
    torch.testing.assert_close(gated_parameters[1], noisy[1] / fraction, rtol=1e-6, atol=1e-9)


def test_before_any_forward_of_training_nothing_is_scaled(data):
    plain, gated = unit(nn.ReLU()).eval(), unit(nn.ReLU()).eval()
    gate_gradients([gated], "relu")
    for one, other in zip(gradients(plain, *data)[2], gradients(gated, *data)[2]):
        assert torch.equal(one, other)
