"""The comparators' units are the formulas of their papers, in training and in evaluation, gradients included."""

import numpy as np
import pytest
import torch

from deepcontrol.methods.comparators import COMPARATORS, GroupNorm, Selu, WeightNorm

CHANNELS, EPSILON = 6, 1e-5


def grouped(z, groups):
    """Each sample's channels, in so many groups, less their mean and over their deviation; written with einsum."""
    samples = z.shape[0]
    parts = z.reshape(samples, groups, -1)
    mean = torch.einsum("ngk->ng", parts) / parts.shape[2]
    centred = parts - mean[..., None]
    variance = torch.einsum("ngk,ngk->ng", centred, centred) / parts.shape[2]
    return (centred / (variance + EPSILON)[..., None] ** 0.5).reshape(z.shape)


def per_channel(values, z):
    return values.reshape(1, -1, *[1] * (z.ndim - 2))


def expected(name, unit, x):
    """The unit's output from its parameters; x (N, C, H, W) for a 3x3 convolution, (N, C) for a linear layer."""
    layer, *rest = unit
    is_conv = x.ndim == 4
    weight = layer.weight
    if name == "weight_norm":
        direction, length = layer.parametrizations.weight.original1, layer.parametrizations.weight.original0
        flat = direction.reshape(CHANNELS, -1)
        norms = torch.sqrt((flat * flat).sum(1)).reshape(length.shape)
        weight = direction * length / norms
    if is_conv:
        columns = torch.nn.functional.unfold(x, 3, padding=1)
        z = (weight.reshape(CHANNELS, -1) @ columns).reshape(x.shape[0], CHANNELS, *x.shape[2:])
    else:
        z = x @ weight.T
    if layer.bias is not None:
        z = z + per_channel(layer.bias, z)
    if name == "selu":
        scale, alpha = 1.0507009873554805, 1.6732632423543772
        return scale * torch.where(z > 0, z, alpha * (torch.exp(z) - 1))
    if name in ("group_norm", "layer_norm") or (name == "instance_norm" and is_conv):
        groups = {"group_norm": 3, "layer_norm": 1, "instance_norm": CHANNELS}[name]
        norm = rest[0]
        z = grouped(z, groups) * per_channel(norm.weight, z) + per_channel(norm.bias, z)
    return torch.tanh(z)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("kind", ["conv", "linear"])
@pytest.mark.parametrize("name", COMPARATORS)
def test_output_and_gradients_are_the_formula(name, kind, training):
    torch.manual_seed(0)
    method = GroupNorm(channels_per_group=2) if name == "group_norm" else COMPARATORS[name]()
    unit = method.conv_unit(4, CHANNELS, 3, "tanh") if kind == "conv" else method.linear_unit(4, CHANNELS, "tanh")
    unit = unit.double().train(training)
    with torch.no_grad():
        for parameter in unit.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    x = torch.randn(3, 4, 5, 7, dtype=torch.float64) if kind == "conv" else torch.randn(3, 4, dtype=torch.float64)
    x.requires_grad_()
    inputs = [x, *unit.parameters()]
    probe = torch.randn_like(unit(x))
    ours, theirs = unit(x), expected(name, unit, x)
    np.testing.assert_allclose(ours.detach(), theirs.detach(), rtol=1e-9, atol=1e-11)
    for mine, other in zip(torch.autograd.grad((ours * probe).sum(), inputs), torch.autograd.grad((theirs * probe).sum(), inputs)):
        np.testing.assert_allclose(mine, other, rtol=1e-8, atol=1e-10)


def test_groups_have_their_channels_whatever_the_width():
    method = GroupNorm()
    assert [method.groups_of(channels) for channels in (8, 16, 24, 64, 10, 13)] == [1, 1, 3, 4, 5, 1]
    assert GroupNorm(channels_per_group=1).groups_of(13) == 13  # instance normalisation
    with pytest.raises(ValueError, match="method.channels_per_group: 0 is out of range; allowed is a whole number"):
        GroupNorm(channels_per_group=0)


def test_weight_norm_starts_with_the_lengths_of_he_normal_filters():
    torch.manual_seed(0)
    unit = WeightNorm().conv_unit(64, 256, 3)
    lengths = unit[0].parametrizations.weight.original0.flatten()
    torch.testing.assert_close(lengths, unit[0].weight.flatten(1).norm(dim=1))
    assert lengths.square().mean().item() == pytest.approx(2, rel=0.02)  # 576 weights of variance 2 / 576


def test_selu_keeps_mean_and_deviation_through_many_layers():
    torch.manual_seed(0)
    signal = torch.randn(512, 400)
    for _ in range(20):
        signal = Selu().linear_unit(400, 400, "relu")(signal)  # whichever activation is asked for
    assert abs(signal.mean().item()) < 0.1 and signal.std().item() == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", ["group_norm", "instance_norm", "layer_norm"])
def test_one_image_of_one_pixel_is_enough(name, training):
    """As a network's deepest maps may be; torch's module refuses a single value a group."""
    unit = COMPARATORS[name]().conv_unit(4, 5, 3).train(training)
    assert torch.isfinite(unit(torch.randn(1, 4, 1, 1))).all()
    if name == "instance_norm":
        assert torch.equal(unit(torch.randn(1, 4, 1, 1)), torch.zeros(1, 5, 1, 1))  # beta
