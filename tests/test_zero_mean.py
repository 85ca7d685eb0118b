"""Zero-mean kernels: the convolution against its formula, the condition through real training."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from deepcontrol.assembly import build_network, make_optimiser
from deepcontrol.entry import compose_cell
from deepcontrol.layers.unit import Unit, identity_
from deepcontrol.layers.zero_mean import ZeroMeanConv2d, re_project


def layer_and_input(**options):
    torch.manual_seed(0)
    layer = ZeroMeanConv2d(4, 6, 3, padding=1, **options).double()
    with torch.no_grad():
        layer.gain.uniform_(0.5, 2)
        if layer.bias is not None:
            layer.bias.normal_()
    return layer, torch.randn(2, 4, 7, 8, dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize("options", [
    {}, {"projection_weight": 0.9}, {"projection_weight": 0.0}, {"bias": False}, {"groups": 2, "stride": 2}, {"dilation": 2},
], ids=str)  # fmt: skip
def test_output_and_gradients_are_the_formula(options):
    layer, x = layer_and_input(**options)
    y = layer(x)
    weights = torch.randn_like(y)
    (y * weights).sum().backward()

    weight, gain = layer.weight.detach().clone().requires_grad_(), layer.gain.detach().clone().requires_grad_()
    z = F.conv2d(x.detach(), weight, None, layer.stride, layer.padding, layer.dilation, layer.groups)
    expected = z * gain.view(1, -1, 1, 1)
    if layer.bias is not None:
        expected = expected + layer.bias.detach().view(1, -1, 1, 1)
        torch.testing.assert_close(layer.bias.grad, weights.sum((0, 2, 3)))
    torch.testing.assert_close(y, expected)
    (expected * weights).sum().backward()
    share = options.get("projection_weight", 1.0)
    for filter_ in range(6):
        for channel in range(weight.shape[1]):
            g = weight.grad[filter_, channel]
            torch.testing.assert_close(layer.weight.grad[filter_, channel], g - share * g.sum() / 9)
    torch.testing.assert_close(layer.gain.grad, gain.grad)


@pytest.mark.parametrize("kernel_size", [3, 5, (1, 3)])
def test_initial_kernels_have_zero_mean_and_unit_norm(kernel_size):
    layer = ZeroMeanConv2d(7, 9, kernel_size)
    assert layer.weight.mean((2, 3)).abs().max() < 1e-7
    torch.testing.assert_close(layer.weight.flatten(1).norm(dim=1), torch.ones(9))
    assert layer.weight.flatten(1).std(dim=1).min() > 0


def test_the_initial_gain_holds_the_size_of_a_signal_through_relu():
    torch.manual_seed(0)
    x = torch.relu(torch.randn(4, 64, 40, 40))
    y = torch.relu(ZeroMeanConv2d(64, 256, 3)(x))
    assert y.square().mean().item() == pytest.approx(x.square().mean().item(), rel=0.05)


def train(layer: ZeroMeanConv2d, optimiser: torch.optim.Optimizer, steps: int = 400) -> float:
    """The largest kernel mean after that many steps on a problem whose gradients have a mean."""
    generator = torch.Generator().manual_seed(1)
    for _ in range(steps):
        x = torch.rand(4, 4, 6, 6, generator=generator)
        optimiser.zero_grad()
        (layer(x).relu() - x.mean()).square().mean().backward()
        optimiser.step()
    return layer.weight.mean((2, 3)).abs().max().item()


def sgd(layer):
    return torch.optim.SGD(layer.parameters(), 0.1, momentum=0.9, weight_decay=1e-3, nesterov=True)


def test_the_condition_holds_through_sgd_with_momentum_and_decay():
    torch.manual_seed(0)
    layer = ZeroMeanConv2d(4, 6, 3, padding=1)
    before = layer.weight.clone()
    assert train(layer, sgd(layer)) < 1e-6
    assert (layer.weight - before).abs().max() > 0.1  # it did move


def test_below_weight_one_the_kernels_drift():
    torch.manual_seed(0)
    layer = ZeroMeanConv2d(4, 6, 3, padding=1, projection_weight=0.9)
    assert train(layer, sgd(layer)) > 1e-3


def test_adam_leaves_the_condition_unless_the_kernels_are_put_back():
    torch.manual_seed(0)
    lost, held = ZeroMeanConv2d(4, 6, 3, padding=1), ZeroMeanConv2d(4, 6, 3, padding=1)
    assert train(lost, torch.optim.Adam(lost.parameters(), 1e-2)) > 1e-3
    adam = torch.optim.Adam(held.parameters(), 1e-2)
    adam.register_step_post_hook(lambda *_: re_project(held))
    assert train(held, adam) < 1e-6


def test_rounding_that_adds_up_over_many_steps_is_taken_off():
    """Steps as SGD takes them: of projected gradients, each small beside the kernel."""
    generator, means = torch.Generator().manual_seed(0), []
    for held in (False, True):
        layer = ZeroMeanConv2d(8, 8, 3)
        with torch.no_grad():
            for _ in range(20_000):
                gradient = torch.randn(layer.weight.shape, generator=generator)
                layer.weight -= 1e-4 * (gradient - gradient.mean((2, 3), keepdim=True))
                if held:
                    re_project(layer)
        means.append(layer.weight.mean((2, 3)).abs().max().item())
    assert means[0] > 3e-7 and means[1] < 1e-7


@pytest.mark.parametrize("optimiser", ["sgd", "adam"])
def test_cells_are_trained_with_kernels_put_back_after_each_step(optimiser):
    config = compose_cell(["method=zero_mean", "network=vgg16", "preset=smoke", f"optimiser={optimiser}"])
    network = build_network(config, 10)
    kernels = [module for module in network.modules() if isinstance(module, ZeroMeanConv2d)]
    stepping = make_optimiser(config, network)
    with torch.no_grad():
        for kernel in kernels:
            kernel.weight += 0.1
    stepping.step()
    assert len(kernels) == 13 and all(kernel.gains()["kernel_mean"].max() < 1e-7 for kernel in kernels)


def test_re_projection_leaves_partly_projected_kernels_alone():
    whole, partly = ZeroMeanConv2d(2, 3, 3), ZeroMeanConv2d(2, 3, 3, projection_weight=0.9)
    with torch.no_grad():
        whole.weight += 1
        partly.weight += 1
    re_project(nn.Sequential(whole, nn.Conv2d(3, 2, 3), partly))
    assert whole.weight.mean((2, 3)).abs().max() < 1e-6
    torch.testing.assert_close(partly.weight.mean((2, 3)), torch.ones(3, 2))


def test_what_is_logged():
    layer, _ = layer_and_input()
    with torch.no_grad():
        layer.weight[2, 1] -= 0.25
    means = layer.gains()["kernel_mean"]
    assert means.shape == (6, 4) and means[2, 1].item() == pytest.approx(0.25) and means.max() == means[2, 1]
    assert layer.gains()["gain"] is layer.gain


def test_copies_and_saved_states_train_on():
    layer, x = layer_and_input()
    other = ZeroMeanConv2d(4, 6, 3, padding=1).double()
    other.load_state_dict(layer.state_dict())
    for twin in (copy.deepcopy(layer), other):
        torch.testing.assert_close(twin(x), layer(x))
        twin(x).square().sum().backward()
        assert twin.weight.grad.mean((2, 3)).abs().max() < 1e-12


@pytest.mark.parametrize("arguments, options, named", [
    ((3, 4, 1), {}, "kernel_size: a kernel of one position"), ((3, 4, 3), {"projection_weight": 1.5}, "projection_weight: 1.5"),
])  # fmt: skip
def test_wrong_options_are_named(arguments, options, named):
    with pytest.raises(ValueError, match=named):
        ZeroMeanConv2d(*arguments, **options)


def test_parameters_are_reset_gain_and_all():
    with torch.device("meta"):
        layer = ZeroMeanConv2d(3, 4, 3, gain_init=1.5)
    layer.to_empty(device="cpu")
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.fill_(float("nan"))
    layer.reset_parameters()
    assert (layer.gain == 1.5).all() and not layer.bias.any()
    torch.testing.assert_close(layer.weight.flatten(1).norm(dim=1), torch.ones(4))
    assert layer.weight.mean((2, 3)).abs().max() < 1e-7


def test_kernels_of_zero_mean_cannot_start_as_the_identity():
    with pytest.raises(ValueError, match="identity_init: an identity kernel has no zero mean"):
        identity_(Unit(ZeroMeanConv2d(4, 4, 3), torch.nn.ReLU()))
