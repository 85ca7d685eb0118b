"""Batch normalisation against Algorithm 1 written out in float64, and its inference modes."""

import pytest
import torch

from deepcontrol import BatchNorm2d


def algorithm_1(z, gamma, beta, eps=1e-5):
    mean, variance = z.mean((0, 2, 3), keepdim=True), z.var((0, 2, 3), keepdim=True, unbiased=False)
    return (z - mean) / (variance + eps).sqrt() * gamma.view(1, -1, 1, 1) + beta.view(1, -1, 1, 1)


def layer_and_maps(samples=4, **options):
    torch.manual_seed(0)
    layer = BatchNorm2d(3, **options).double()
    torch.nn.init.normal_(layer.weight), torch.nn.init.normal_(layer.bias)
    return layer, torch.randn(samples, 3, 5, 4, dtype=torch.float64) * 3 + 2


@pytest.mark.parametrize("samples", [1, 4])
@pytest.mark.parametrize("options", [{}, {"synchronised": True}])
def test_training_is_algorithm_1(samples, options):
    layer, z = layer_and_maps(samples, **options)
    torch.testing.assert_close(layer(z), algorithm_1(z, layer.weight, layer.bias))


def test_minibatch_1_is_response_normalisation():
    """Each sample is normalised by itself: alone or in company, with batch inference and one at a time, the same."""
    layer, z = layer_and_maps(3, inference="batch")
    alone = torch.cat([layer(sample[None]) for sample in z])
    per_sample = torch.nn.functional.instance_norm(z, weight=layer.weight, bias=layer.bias)
    torch.testing.assert_close(alone, per_sample)


def test_batch_inference_uses_the_batch_and_remembers_nothing():
    layer, z = layer_and_maps(inference="batch")
    before = {name: buffer.clone() for name, buffer in layer.named_buffers()}
    y = layer.eval()(z)
    torch.testing.assert_close(y, algorithm_1(z, layer.weight, layer.bias))
    assert all(torch.equal(before[name], buffer) for name, buffer in layer.named_buffers())


def test_running_inference_uses_the_averages():
    layer, z = layer_and_maps()
    layer(z)
    mean, variance = 0.1 * z.mean((0, 2, 3)), 0.9 + 0.1 * z.var((0, 2, 3), unbiased=True)
    view = (1, -1, 1, 1)
    expected = (z - mean.view(view)) / (variance.view(view) + 1e-5).sqrt() * layer.weight.view(view) + layer.bias.view(
        view
    )
    torch.testing.assert_close(layer.eval()(z), expected)


def test_single_value_gives_beta_and_leaves_the_averages_alone():
    layer, _ = layer_and_maps()
    before = layer.running_var.clone()
    with pytest.warns(UserWarning, match="single value"):
        y = layer(torch.randn(1, 3, 1, 1, dtype=torch.float64))
    torch.testing.assert_close(y[0, :, 0, 0], layer.bias)
    assert torch.equal(layer.running_var, before)


def test_unknown_inference_is_named():
    with pytest.raises(ValueError, match="inference: 'population'.*allowed are running, batch"):
        BatchNorm2d(3, inference="population")
