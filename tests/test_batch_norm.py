"""Batch normalisation against Algorithms 1 and 2 written out in float64, alone and over two processes."""

import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import nn
from torch.testing import assert_close

from deepcontrol import BatchNorm2d
from deepcontrol.layers.batch_norm import batch_normalise, gather_population
from deepcontrol.methods import units_class

SHAPES = [(6, 3), (1, 3, 5, 4), (4, 3, 5, 4)]


def channels(z):
    """(N, C, ...) -> (C, values)"""
    return z.transpose(0, 1).flatten(1)


def algorithm_1(z, gamma, beta, eps=1e-5):
    values = channels(z)
    mean = values.sum(1, keepdim=True) / values.shape[1]
    variance = ((values - mean) ** 2).sum(1, keepdim=True) / values.shape[1]
    y = gamma[:, None] * (values - mean) / (variance + eps).sqrt() + beta[:, None]
    return y.view(z.shape[1], z.shape[0], *z.shape[2:]).transpose(0, 1)


def layer_and_maps(shape=(4, 3, 5, 4), **options):
    torch.manual_seed(0)
    layer = BatchNorm2d(3, **options).double()
    nn.init.normal_(layer.weight), nn.init.normal_(layer.bias)
    return layer, torch.randn(shape, dtype=torch.float64) * 3 + 2


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("options", [{}, {"synchronised": True}, {"inference": "population"}])
def test_training_is_algorithm_1(shape, options):
    layer, z = layer_and_maps(shape, **options)
    assert_close(layer(z), algorithm_1(z, layer.weight, layer.bias))


@pytest.mark.parametrize("shape", SHAPES)
def test_transform_is_torchs_batch_norm(shape):
    """Outputs, moments and gradients, those through mean and variance with them, in float64."""
    layer, z = layer_and_maps(shape)
    weights = torch.randn_like(z)
    z.requires_grad_()
    y, mean, variance, values = batch_normalise(z, layer.weight, layer.bias, 1e-3)
    expected = F.batch_norm(z, None, None, layer.weight, layer.bias, True, eps=1e-3)
    assert_close(y, expected, rtol=1e-12, atol=1e-12)
    assert values == channels(z).shape[1]
    assert_close(mean, channels(z).mean(1), rtol=1e-12, atol=1e-12)
    assert_close(variance, channels(z).var(1, correction=0), rtol=1e-12, atol=1e-12)
    inputs = (z, layer.weight, layer.bias)
    for found, gradient in zip(torch.autograd.grad((y * weights).sum(), inputs),
                               torch.autograd.grad((expected * weights).sum(), inputs)):  # fmt: skip
        assert_close(found, gradient, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("which", [1, 2])
def test_transform_is_differentiable_through_its_moments(which):
    layer, z = layer_and_maps((3, 3, 2, 2))
    moment = batch_normalise(z.requires_grad_(), layer.weight, layer.bias)[which]
    assert torch.autograd.gradcheck(lambda z: batch_normalise(z, layer.weight, layer.bias)[which], z)
    assert moment.requires_grad


def test_transform_sums_in_float32():
    """bfloat16 maps, far from zero: summed in their own precision the moments would be off by far."""
    torch.manual_seed(0)
    z = (torch.randn(8, 3, 20, 20) + 10).bfloat16()
    y, mean, variance, _ = batch_normalise(z, torch.ones(3), torch.zeros(3))
    assert (y.dtype, mean.dtype, variance.dtype) == (torch.bfloat16, torch.float32, torch.float32)
    assert_close(mean, channels(z.double()).mean(1).float(), rtol=1e-6, atol=0)
    assert_close(variance, channels(z.double()).var(1, correction=0).float(), rtol=1e-5, atol=0)


@pytest.mark.parametrize("shape", SHAPES)
def test_layer_is_torchs_in_training_and_after(shape):
    layer, z = layer_and_maps(shape)
    theirs = (nn.BatchNorm1d if len(shape) == 2 else nn.BatchNorm2d)(3).double()
    theirs.load_state_dict(layer.state_dict())
    for scale in (1, 2):
        assert_close(layer(scale * z), theirs(scale * z), rtol=1e-12, atol=1e-12)
    assert_close(layer.running_mean, theirs.running_mean, rtol=1e-12, atol=1e-12)
    assert_close(layer.running_var, theirs.running_var, rtol=1e-12, atol=1e-12)
    assert_close(layer.eval()(z), theirs.eval()(z), rtol=1e-12, atol=1e-12)


def test_minibatch_1_is_response_normalisation():
    """Each sample is normalised by itself: alone or in company, with batch inference and one at a time, the same."""
    layer, z = layer_and_maps((3, 3, 5, 4), inference="batch")
    alone = torch.cat([layer(sample[None]) for sample in z])
    assert_close(alone, F.instance_norm(z, weight=layer.weight, bias=layer.bias))


def test_batch_inference_uses_the_batch_and_remembers_nothing():
    layer, z = layer_and_maps(inference="batch")
    before = {name: buffer.clone() for name, buffer in layer.named_buffers()}
    assert_close(layer.eval()(z), algorithm_1(z, layer.weight, layer.bias))
    assert all(torch.equal(before[name], buffer) for name, buffer in layer.named_buffers())


def test_running_inference_uses_the_averages():
    layer, z = layer_and_maps()
    layer(z)
    view = (1, -1, 1, 1)
    mean, variance = 0.1 * channels(z).mean(1), 0.9 + 0.1 * channels(z).var(1)
    expected = (z - mean.view(view)) / (variance.view(view) + 1e-5).sqrt()
    assert_close(layer.eval()(z), expected * layer.weight.view(view) + layer.bias.view(view))


@pytest.mark.parametrize("shape", [(1, 3), (1, 3, 1, 1)])
def test_single_value_gives_beta_and_leaves_the_averages_alone(shape):
    layer, z = layer_and_maps(shape)
    before = layer.running_var.clone()
    with pytest.warns(UserWarning, match="single value"):
        y = layer(z)
    assert_close(y.flatten(), layer.bias)
    assert torch.equal(layer.running_var, before)


def test_unknown_inference_is_named():
    for make in (lambda: BatchNorm2d(3, inference="median"), lambda: units_class("bn")(inference="median")):
        with pytest.raises(ValueError, match="inference: 'median'.*allowed are running, population, batch"):
            make()


# Algorithm 2


def small_network(**options):
    """Two convolutions and a linear layer with BN, dropout between."""
    torch.manual_seed(1)
    units = units_class("bn")(**options)
    network = nn.Sequential(
        units.conv_unit(3, 4, 3), nn.Dropout(0.5), units.conv_unit(4, 5, 3), nn.Flatten(), units.linear_unit(180, 6)
    ).double()
    for name, parameter in network.named_parameters():
        if ".1." in name:
            nn.init.normal_(parameter)
    return network, [torch.randn(4, 3, 6, 6, dtype=torch.float64) + shift for shift in (0, 1, 5)]


def norms(network):
    return [module for module in network.modules() if isinstance(module, BatchNorm2d)]


def test_population_is_algorithm_2():
    """Means of the minibatches' means and of their variances times m / (m - 1), upstream on their own statistics."""
    network, minibatches = small_network(inference="population")
    first, second, third = norms(network)
    seen = {layer: [] for layer in norms(network)}
    for x in minibatches:
        for unit in network:
            if isinstance(unit, nn.Dropout):
                continue
            if isinstance(unit, nn.Flatten):
                x = x.flatten(1)
                continue
            z = unit[0](x)
            seen[unit[1]].append(channels(z))
            x = algorithm_1(z, unit[1].weight, unit[1].bias).relu()
    gather_population(network, iter(minibatches))
    assert [seen[layer][0].shape[1] for layer in seen] == [4 * 36, 4 * 36, 4]  # m
    for layer in (first, second, third):
        means, variances = (
            torch.stack(part) for part in zip(*((z.mean(1), z.var(1, correction=1)) for z in seen[layer]))
        )
        assert_close(layer.population_mean, means.mean(0), rtol=1e-12, atol=1e-12)
        assert_close(layer.population_var, variances.mean(0), rtol=1e-12, atol=1e-12)


def test_population_inference_is_deterministic_in_the_sample():
    network, minibatches = small_network(inference="population")
    gather_population(network, minibatches)
    network.eval()
    x = minibatches[1]
    assert_close(network(x), torch.cat([network(sample[None]) for sample in x]))
    layer, z = norms(network)[0], network[0][0](x)
    view = (1, -1, 1, 1)
    scale = (layer.weight / (layer.population_var + 1e-5).sqrt()).view(view)
    assert_close(layer(z), z * scale + (layer.bias.view(view) - layer.population_mean.view(view) * scale))


def test_gathering_leaves_all_else_as_it_was():
    network, minibatches = small_network(inference="population")
    network[1].eval(), norms(network)[1].eval()
    modes = [module.training for module in network.modules()]
    before = {name: value.clone() for name, value in network.state_dict().items() if "population" not in name}
    random = torch.get_rng_state()
    network.register_forward_hook(lambda _network, _inputs, output: tracked.append(output.requires_grad))
    tracked = []
    gather_population(network, minibatches)
    assert [module.training for module in network.modules()] == modes
    assert all(torch.equal(before[name], network.state_dict()[name]) for name in before)
    assert torch.equal(random, torch.get_rng_state())  # no dropout
    assert tracked == [False] * 3  # the parameters are frozen: no graph is kept
    once = [layer.population_var.clone() for layer in norms(network)]
    gather_population(network.eval(), minibatches)  # afresh, not on top
    assert all(torch.equal(layer.population_var, variance) for layer, variance in zip(norms(network), once))


def test_gathering_that_fails_leaves_the_modes_too():
    network, minibatches = small_network(inference="population")
    with pytest.raises(RuntimeError):
        gather_population(network, [minibatches[0], torch.zeros(1, 7, 2, 2, dtype=torch.float64)])
    assert all(module.training for module in network.modules())
    before = norms(network)[0].running_mean.clone()
    network(minibatches[0])
    assert not torch.equal(norms(network)[0].running_mean, before)


@pytest.mark.parametrize("inference", ["running", "batch"])
def test_nothing_to_gather_reads_nothing(inference):
    network, minibatches = small_network(inference=inference)
    waiting = iter(minibatches)
    gather_population(network, waiting)
    assert len(list(waiting)) == 3
    assert not any("population" in name for name in network.state_dict())


def test_gathering_is_asked_for():
    network, minibatches = small_network(inference="population")
    with pytest.raises(RuntimeError, match="not gathered yet: call gather_population"):
        network.eval()(minibatches[0])
    with pytest.raises(ValueError, match="at least one minibatch"):
        gather_population(network, [])
    gather_population(network, minibatches)
    other, _ = small_network(inference="population")
    other.load_state_dict(network.state_dict())
    assert torch.equal(other.eval()(minibatches[0]), network.eval()(minibatches[0]))


def test_minibatch_1_has_no_variance_for_a_linear_layer():
    """Convolutions gather from one sample's positions; the linear layer keeps mean 0, variance 1, and is warned of."""
    network, minibatches = small_network(inference="population")
    with pytest.warns(UserWarning, match="single value"):
        gather_population(network, [images[:1] for images in minibatches])
    convolution, _, linear = norms(network)
    z = torch.stack([channels(network[0][0](images[:1])).var(1) for images in minibatches])
    assert_close(convolution.population_var, z.mean(0))
    assert_close(linear.population_mean, torch.zeros_like(linear.population_mean))
    assert_close(linear.population_var, torch.ones_like(linear.population_var))


# Over two processes


def one_of_two(rank, store, shares, parts):
    """Rank's part of the training step and of gathering; puts what came of it under ``parts``."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    layer, _ = layer_and_maps(synchronised=True, inference="population")
    z = shares[rank].clone().requires_grad_()
    y = layer(z)
    (y * y.detach().cos()).sum().backward()
    running = [layer.running_mean.clone(), layer.running_var.clone()]
    gather_population(layer, [shares[rank], 2 * shares[rank]])
    lone, before = torch.ones(1 - rank, 3, dtype=torch.float64), layer.running_mean.clone()  # one value in the group
    layer.train()
    alone = layer(lone)
    assert torch.equal(layer.running_mean, before)
    torch.save(
        [y.detach(), z.grad, layer.weight.grad, layer.bias.grad, running,
         [layer.population_mean, layer.population_var], alone.detach()],
        f"{parts}{rank}",
    )  # fmt: skip
    dist.destroy_process_group()


def test_synchronised_is_one_process_with_the_whole_minibatch(tmp_path):
    """Unequal shares; gradients of gamma and beta are parts of a sum, which data parallelism adds up."""
    layer, z = layer_and_maps((5, 3, 5, 4))
    shares = [z[:2], z[2:]]
    torch.multiprocessing.spawn(one_of_two, (tmp_path / "store", shares, tmp_path / "part"), nprocs=2)
    parts = [torch.load(f"{tmp_path}/part{rank}") for rank in (0, 1)]

    z.requires_grad_()
    y = layer(z)
    (y * y.detach().cos()).sum().backward()
    y_parts, z_gradients, gamma_gradients, beta_gradients, running, population, alone = zip(*parts)
    assert_close(torch.cat(y_parts), y.detach())
    assert_close(torch.cat(z_gradients), z.grad)
    assert_close(sum(gamma_gradients), layer.weight.grad)
    assert_close(sum(beta_gradients), layer.bias.grad)
    values = channels(z.detach())
    for rank in (0, 1):
        assert_close(running[rank], [layer.running_mean, layer.running_var])
        assert_close(population[rank], [1.5 * values.mean(1), 2.5 * values.var(1)])
    assert_close(alone[0][0], layer.bias.detach())
