"""Folded networks compute what the networks do in evaluation, without their normalisations."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.utils import prune
from torch.testing import assert_close

from deepcontrol import BatchNorm2d, networks
from deepcontrol.layers.auto_gain_conv import AutoGainConv2d
from deepcontrol.layers.batch_norm import gather_population
from deepcontrol.layers.folding import fold
from deepcontrol.methods import units_class


def trained_ish(network: nn.Module, seed: int = 0) -> nn.Module:
    """Every normalisation gets gains and statistics as training might leave them."""
    generator = torch.Generator().manual_seed(seed)
    for norm in normalisations(network):
        for values, low, high in (
            (norm.weight, 0.5, 1.5), (norm.bias, -0.5, 0.5), (norm.running_mean, -0.5, 0.5), (norm.running_var, 0.3, 2)
        ):  # fmt: skip
            if values is not None:
                nn.init.uniform_(values, low, high, generator=generator)
    return network


def normalisations(network: nn.Module) -> list[nn.Module]:
    return [module for module in network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]


@pytest.mark.parametrize(
    "inference, precision, tolerance",  # ClassNet by this population is itself 2e-4 off in float32
    [("running", torch.float32, 1e-5), ("running", torch.float64, 1e-12), ("population", torch.float64, 1e-9)],
)
@pytest.mark.parametrize(
    "name, options", [("segnet", {}), ("classnet", {}), ("vgg16", {}), ("small_cnn", {"dropout": 0.5})]
)
def test_networks_of_bn_units(name, options, inference, precision, tolerance):
    torch.manual_seed(0)
    units = units_class("bn")(inference=inference)
    network = trained_ish(networks.build(name, units, 5, width=1 / 16, **options)).to(precision)
    images = torch.randn(3, 3, 32, 32, dtype=precision)
    gather_population(network, [images, images + 1])
    state, modes = copy.deepcopy(network.state_dict()), [module.training for module in network.modules()]

    folded = fold(network)
    assert normalisations(folded) == [] and not any(module.training for module in folded.modules())
    assert [module.training for module in network.modules()] == modes and any(modes)  # the original is untouched
    assert network.state_dict().keys() == state.keys()
    assert all(torch.equal(state[key], value) for key, value in network.state_dict().items())
    with torch.no_grad():
        network.eval()
        expected, found = network(images), folded(images)
        for output in expected:
            size = expected[output].abs().max().item()
            assert_close(found[output], expected[output], rtol=0, atol=tolerance * size)


LAYERS = {
    "bias": (nn.Conv2d(4, 6, 3), (2, 4, 7, 7)),
    "no bias": (nn.Conv2d(4, 6, 3, bias=False), (2, 4, 7, 7)),
    "grouped": (nn.Conv2d(4, 6, 3, groups=2), (2, 4, 7, 7)),
    "strided and dilated": (nn.Conv2d(4, 6, 3, stride=2, dilation=2, padding=1), (2, 4, 7, 7)),
    "reflected": (nn.Conv2d(4, 6, 3, padding=1, padding_mode="reflect"), (2, 4, 7, 7)),
    "linear": (nn.Linear(4, 6), (5, 4)),
    "linear, no bias": (nn.Linear(4, 6, bias=False), (5, 4)),
}


@pytest.mark.parametrize("ours", [True, False])
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("kind", LAYERS)
def test_any_convolution_and_linear_layer(kind, affine, ours):
    layer, shape = LAYERS[kind]
    if ours and affine:
        norm = BatchNorm2d(6, eps=0.1)
    else:
        norm = (nn.BatchNorm1d if len(shape) == 2 else nn.BatchNorm2d)(6, eps=0.1, affine=affine)
    network = trained_ish(nn.Sequential(copy.deepcopy(layer), norm, nn.Tanh()).double())
    x = torch.randn(shape, dtype=torch.float64)
    folded = fold(network)
    assert normalisations(folded) == []
    assert_close(folded(x), network.eval()(x), rtol=1e-12, atol=1e-12)


def test_weights_shared_by_two_normalisations():
    shared = nn.Conv2d(4, 4, 3, padding=1)
    network = trained_ish(
        nn.Sequential(
            nn.Sequential(shared, nn.BatchNorm2d(4)), nn.Sequential(shared, BatchNorm2d(4)), nn.Sequential(shared)
        ).double()
    )
    x = torch.randn(2, 4, 5, 5, dtype=torch.float64)
    assert_close(fold(network)(x), network.eval()(x), rtol=1e-12, atol=1e-12)


def test_what_cannot_merge_stays():
    """An activation in between, a normalisation first, a layer that is more than linear."""
    network = trained_ish(
        nn.Sequential(
            BatchNorm2d(3), nn.Conv2d(3, 4, 3), nn.ReLU(), nn.BatchNorm2d(4), AutoGainConv2d(4, 5, 3), BatchNorm2d(5)
        ).double()
    )
    x = torch.randn(2, 3, 9, 9, dtype=torch.float64)
    folded = fold(network)
    assert len(normalisations(folded)) == 3
    assert_close(folded(x), network.eval()(x), rtol=1e-12, atol=1e-12)


def test_statistics_are_needed():
    convolution = nn.Conv2d(3, 3, 1)
    for norm, message in (
        (BatchNorm2d(3, inference="batch"), "inference: 'batch'.*allowed"),
        (nn.BatchNorm2d(3, track_running_stats=False), "without running averages"),
    ):
        with pytest.raises(ValueError, match=message):
            fold(nn.Sequential(convolution, norm))
    with pytest.raises(RuntimeError, match="not gathered"):
        fold(nn.Sequential(convolution, BatchNorm2d(3, inference="population")))


@pytest.mark.parametrize("reweigh", [
    torch.nn.utils.weight_norm, torch.nn.utils.spectral_norm, lambda layer: prune.l1_unstructured(layer, "weight", 0.3),
], ids=["weight norm", "spectral norm", "pruning"])  # fmt: skip
@pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")
def test_weights_that_are_computed_anew_in_every_forward_are_left_alone(reweigh):
    torch.manual_seed(0)
    network = nn.Sequential(reweigh(nn.Conv2d(3, 4, 3)), nn.BatchNorm2d(4))
    x = torch.randn(8, 3, 6, 6)
    with torch.no_grad():
        network(x)
        network.eval()
        torch.testing.assert_close(fold(network)(x), network(x))
