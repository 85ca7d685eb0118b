"""The scaling activation against its formula, in both modes, and alpha against its closed form."""

import copy

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from deepcontrol.layers.scale import SMALLEST_ALPHA, ScaleActivation, scale_normal_

SHAPES = [(4, 3, 5, 6), (1, 3, 5, 6), (7, 9), (1, 9), (2, 3, 4)]
ACTIVATIONS = {"relu": torch.relu, "tanh": torch.tanh, "sigmoid": torch.sigmoid, "identity": lambda x: x}


def signal(shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 1.7 + 0.4


def deviation(x):
    return ((x - x.sum() / x.numel()) ** 2).sum().div(x.numel()).sqrt()


@pytest.mark.parametrize("detach", [False, True])
@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_training_is_the_formula_with_gradients(shape, name, detach):
    layer = ScaleActivation(name, momentum=0.6, alpha_init=1.25, detach=detach).double()
    x, weights = signal(shape).requires_grad_(), signal(shape, seed=1)
    y = layer(x)
    (gradient,) = torch.autograd.grad((y * weights).sum(), x)

    x = x.detach().requires_grad_()
    std = deviation(x)
    alpha = 0.6 * 1.25 + 0.4 * (std.detach() if detach else std)
    expected = ACTIVATIONS[name](x / alpha)
    (expected_gradient,) = torch.autograd.grad((expected * weights).sum(), x)
    torch.testing.assert_close(y, expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(gradient, expected_gradient, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(layer.alpha, alpha.detach(), rtol=1e-12, atol=0)


def test_leaving_alpha_out_of_the_gradient_changes_it():
    x = signal((4, 9)).requires_grad_()
    gradients = []
    for detach in (False, True):
        layer = ScaleActivation("tanh", momentum=0.5, detach=detach).double()
        gradients += torch.autograd.grad(layer(x).sum(), x)
    assert not torch.allclose(*gradients, rtol=0.05)


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9, 1.0])
def test_alpha_follows_its_closed_form(momentum):
    layer = ScaleActivation("relu", momentum=momentum, alpha_init=2.0).double()
    stds = []
    for step in range(20):
        x = signal((5, 7), seed=step) * (1 + step)
        layer(x)
        stds.append(deviation(x))
    expected = momentum**20 * 2.0 + (1 - momentum) * sum(momentum ** (19 - k) * std for k, std in enumerate(stds))
    torch.testing.assert_close(layer.alpha, torch.as_tensor(expected, dtype=torch.float64), rtol=1e-12, atol=0)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_evaluation_uses_the_frozen_alpha(name):
    layer = ScaleActivation(name).double()
    layer(signal((4, 9)))
    alpha = layer.alpha.item()
    layer.eval()
    x, weights = (5 * signal((3, 9), seed=2)).requires_grad_(), signal((3, 9), seed=3)
    y = layer(x)
    torch.testing.assert_close(y, ACTIVATIONS[name](x / alpha))
    (gradient,) = torch.autograd.grad((y * weights).sum(), x)
    x = x.detach().requires_grad_()
    (expected,) = torch.autograd.grad((ACTIVATIONS[name](x / alpha) * weights).sum(), x)
    torch.testing.assert_close(gradient, expected)
    assert layer.alpha.item() == alpha != 1


@pytest.mark.parametrize("constant", [0.0, 3.0])
def test_a_constant_input_stays_finite(constant):
    layer = ScaleActivation("tanh", momentum=0.0)
    x = torch.full((2, 3), constant, requires_grad=True)
    y = layer(x)
    y.sum().backward()
    assert torch.isfinite(y).all() and torch.isfinite(x.grad).all()
    torch.testing.assert_close(y, torch.tanh(x / SMALLEST_ALPHA))
    layer(torch.randn(1, 1))  # a single value has no deviation
    assert layer.alpha == 0


def test_statistics_are_float32_in_half_precision():
    layer = ScaleActivation("identity", momentum=0.0)
    x = (1000 + torch.randn(2000, 50, generator=torch.Generator().manual_seed(0)) * 16).bfloat16()
    assert layer(x).dtype == torch.bfloat16 and layer.alpha.dtype == torch.float32
    assert layer.alpha.item() == pytest.approx(deviation(x.double()).item(), rel=1e-4)


@pytest.mark.parametrize("dtype, tolerance", [(torch.bfloat16, 0.01), (torch.float16, 0.002)])
def test_gradients_in_half_precision_neither_overflow_nor_cancel(dtype, tolerance):
    x, weights = (signal((64, 256)) * 3 + 300).to(dtype), (2000 * signal((64, 256), seed=1)).to(dtype)
    gradients = []
    for kind in (dtype, torch.float64):
        layer = ScaleActivation("identity", momentum=0.5, alpha_init=40).to(torch.float64 if kind == torch.float64 else None)
        values = x.to(kind).requires_grad_()
        gradients += torch.autograd.grad(layer(values), values, weights.to(kind))
    assert torch.isfinite(gradients[0]).all()
    error = (gradients[0].double() - gradients[1]).norm() / gradients[1].norm()
    assert error < tolerance


def test_alpha_stays_float32_in_a_half_precision_network():
    layer = ScaleActivation("relu", momentum=0.99).bfloat16()
    x = 3 * signal((40, 50)) / deviation(signal((40, 50)))
    for _ in range(1000):
        layer(x.bfloat16())
    assert layer.alpha.dtype == torch.float32 and layer.alpha.item() == pytest.approx(3, rel=2e-3)
    assert layer.double().alpha.dtype == torch.float64


def test_compiled_gradients_are_the_eager_ones():
    x = signal((8, 12)).float().requires_grad_()
    eager, compiled = ScaleActivation("tanh", momentum=0.2), ScaleActivation("tanh", momentum=0.2)
    run = torch.compile(compiled, backend="aot_eager")
    for _ in range(2):
        torch.testing.assert_close(torch.autograd.grad(run(x).sum(), x), torch.autograd.grad(eager(x).sum(), x))
    assert compiled.alpha == eager.alpha


@pytest.mark.parametrize("reentrant", [False, True])
def test_gradient_checkpointing_is_refused(reentrant):
    layer, x = ScaleActivation("tanh"), signal((4, 5)).float().requires_grad_()
    with pytest.raises(RuntimeError, match="computed again in backward.*leave it out of the checkpointed part"):
        checkpoint(layer, x, use_reentrant=reentrant).sum().backward()


def test_an_empty_input_leaves_alpha_alone_and_whole_numbers_are_refused():
    layer = ScaleActivation("tanh")
    assert layer(torch.zeros(0, 4)).shape == (0, 4) and layer.alpha == 1
    with pytest.raises(TypeError, match="floating-point input; it was given torch.int64"):
        layer(torch.arange(6))


def test_no_gradient_passes_through_an_alpha_at_its_bound():
    layer = ScaleActivation("identity", momentum=0.0).double()
    x = (1e-7 * signal((3, 4))).requires_grad_()
    weights = signal((3, 4), seed=1)
    (gradient,) = torch.autograd.grad((layer(x) * weights).sum(), x)
    torch.testing.assert_close(gradient, weights / SMALLEST_ALPHA)


def test_any_function_may_be_scaled_and_state_travels():
    layer = ScaleActivation(nn.GELU())
    layer(torch.randn(3, 4))
    other = ScaleActivation(nn.GELU())
    other.load_state_dict(layer.state_dict())
    x = torch.randn(3, 4)
    torch.testing.assert_close(other.eval()(x), torch.nn.functional.gelu(x / layer.alpha))
    twin = copy.deepcopy(layer)
    twin(10 * x)
    assert twin.alpha != layer.alpha and list(layer.parameters()) == []


@pytest.mark.parametrize("options, named", [
    ({"momentum": 1.1}, "momentum: 1.1"), ({"momentum": -0.1}, "momentum: -0.1"), ({"alpha_init": 0.0}, "alpha_init: 0"),
    ({"activation": "swish"}, "activation: 'swish'"),
])  # fmt: skip
def test_wrong_options_are_named(options, named):
    with pytest.raises(ValueError, match=named):
        ScaleActivation(**options)


def test_initial_values_are_the_reports():
    linear = scale_normal_(nn.Linear(400, 300))
    assert linear.weight.std().item() == pytest.approx(1 / 400**0.5, rel=0.02) and not linear.bias.any()
    convolution = scale_normal_(nn.Conv2d(64, 128, 3, bias=False))
    assert convolution.bias is None
    convolution = scale_normal_(nn.Conv2d(64, 128, 3))
    assert convolution.weight.std().item() == pytest.approx(2 / (64 * 9) ** 0.5, rel=0.02) and not convolution.bias.any()
