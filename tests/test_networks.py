"""The architectures: sizes, shapes, what they keep for backward, and that methods differ only in their units."""

import pytest
import torch

from deepcontrol import networks
from deepcontrol.gains import units_of
from deepcontrol.layers.noise import GainNoise2d
from deepcontrol.layers.unit import Unit, identity_
from deepcontrol.methods import METHODS, units_class


OF_NETWORKS = ("activation", "size", "dropout", "noise", "identity_init")


def build(network, method="agc", classes=5, width=1 / 16, **options):
    torch.manual_seed(0)
    of_network = {name: options.pop(name) for name in OF_NETWORKS if name in options}
    return networks.build(network, units_class(method)(**options), classes, width=width, **of_network)


def test_segnet_at_full_width():
    with torch.device("meta"):
        network = networks.build("segnet", units_class("none")(), 19)
    kernels = [parameter.numel() for parameter in network.parameters() if parameter.dim() == 4]
    assert len(kernels) == 26
    assert sum(kernels) == pytest.approx(29.4e6, rel=0.005)
    widths = [unit[0].out_channels for unit in units_of(network).values()]
    encoder = [64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512]
    assert widths == encoder + [512, 512, 512, 512, 512, 256, 256, 256, 128, 128, 64, 64]


def test_classnet_at_full_width():
    with torch.device("meta"):
        network = networks.build("classnet", units_class("none")(), 19)
    units = units_of(network)
    level_widths = [units[f"levels.{level}.project"][0].out_channels for level in range(7)]
    assert level_widths == [32, 64, 96, 128, 192, 256, 256]
    assert units["levels.3.first.0"][0].in_channels == 96 + 3  # the pooled features with the down-sampled image
    assert units["laterals.2.contours"][0].out_channels == 20 and units["laterals.2.classes"][0].out_channels == 19
    assert units["merges.0.classes.0"][0].in_channels == 19 + 19 + 20


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("network, size", [("segnet", (32, 32)), ("segnet", (45, 67)), ("classnet", (50, 37))])
def test_any_size_comes_back_whole(network, size, method):
    outputs = build(network, method)(torch.randn(2, 3, *size))
    assert outputs["classes"].shape == (2, 5, *size)
    if network == "classnet":
        assert outputs["contours"].shape == (2, 1, *size)
    sum(output.sum() for output in outputs.values()).backward()


@pytest.mark.parametrize("network", ["segnet", "classnet"])
def test_every_parameter_gets_a_gradient(network):
    model = build(network, "agc", width=0.125)
    torch.manual_seed(0)
    outputs = model(torch.randn(2, 3, 160, 150))
    sum(output.square().sum() for output in outputs.values()).backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []


def bytes_kept(model: torch.nn.Module, x: torch.Tensor) -> int:
    """Bytes that backward keeps besides the parameters: each storage once, as the saved-tensor hooks see them."""
    own = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    storages = {}

    def keep(saved):
        storage = saved.untyped_storage()
        if storage.data_ptr() not in own:
            storages[storage.data_ptr()] = storage  # held, so that no address is used twice
        return saved

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda saved: saved):
        outputs = model(x)
    assert outputs["classes"].requires_grad
    return sum(storage.nbytes() for storage in storages.values())


def test_folded_agc_keeps_what_no_normalisation_keeps():
    x = torch.randn(2, 3, 64, 96).contiguous(memory_format=torch.channels_last)
    kept = {
        name: bytes_kept(build("segnet", method, width=1 / 8, **options), x)
        for name, method, options in (
            ("none", "none", {}),
            ("agc", "agc", {}),
            ("bn", "bn", {}),
            ("plain agc", "agc", {"folded": False}),
        )  # fmt: skip
    }
    assert kept["agc"] <= 1.02 * kept["none"]
    assert kept["bn"] > 1.5 * kept["none"] and kept["plain agc"] > 1.5 * kept["none"]


@pytest.mark.parametrize("network", ["segnet", "classnet"])
def test_folded_and_plain_networks_are_one_function(network):
    folded, plain = (
        build(network, folded=True, width=1 / 8).double(),
        build(network, folded=False, width=1 / 8).double(),
    )
    for one, other in zip(units_of(folded).values(), units_of(plain).values()):
        with torch.no_grad():
            other[0].weight.copy_(one[0].weight)
            for ours, theirs in zip(one.gains().values(), other.gains().values()):
                theirs.copy_(ours.normal_())
    heads = {name: value for name, value in folded.state_dict().items() if name.startswith(("classify", "delineate"))}
    plain.load_state_dict(heads, strict=False)
    x = torch.randn(2, 3, 40, 56, dtype=torch.float64)
    for name, output in folded(x).items():
        torch.testing.assert_close(output, plain(x)[name], rtol=1e-9, atol=1e-9)


def test_initial_weights_are_he_normal():
    unit = units_class("agc")().conv_unit(64, 256, 3)
    assert isinstance(unit, Unit)
    assert unit[0].weight.std().item() == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.02)


def test_segnet_exports():
    model = build("segnet", "agc").eval()
    x = torch.randn(1, 3, 45, 67)
    exported = torch.export.export(model, (x,))
    torch.testing.assert_close(exported.module()(x)["classes"], model(x)["classes"])


def test_linear_units():
    x = torch.randn(6, 4)
    torch.manual_seed(1)
    unit = units_class("agc")().linear_unit(4, 3)
    torch.nn.init.normal_(unit.gains()["gamma"]), torch.nn.init.normal_(unit.gains()["beta"])
    expected = torch.relu(x @ unit[0].weight.T * unit.gains()["gamma"] + unit.gains()["beta"])
    torch.testing.assert_close(unit(x), expected)
    with pytest.raises(ValueError, match="method: 'nothing' is unknown; allowed are agc, bn, .*none"):
        units_class("nothing")


def test_vgg16_at_full_width():
    with torch.device("meta"):
        network = networks.build("vgg16", units_class("none")(), 10)
    kernels = [parameter for parameter in network.parameters() if parameter.dim() == 4]
    assert [kernel.shape[0] for kernel in kernels] == [64] * 2 + [128] * 2 + [256] * 3 + [512] * 6
    weights = [parameter for parameter in network.parameters() if parameter.dim() == 2]
    assert [tuple(weight.shape) for weight in weights] == [(512, 512), (512, 512), (10, 512)]
    assert sum(kernel.numel() for kernel in kernels) == 14_710_464  # configuration D's convolutions


def test_small_cnn_at_full_width():
    with torch.device("meta"):
        network = networks.build("small_cnn", units_class("none")(), 10)
    weights = [tuple(parameter.shape) for parameter in network.parameters() if parameter.dim() > 1]
    assert weights == [
        (64, 3, 3, 3), (128, 64, 3, 3), (512, 128 * 15 * 15), (256, 512), (128, 256), (10, 128),
    ]  # fmt: skip


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("network, size", [("vgg16", (32, 32)), ("vgg16", (70, 40)), ("small_cnn", (32, 32)), ("small_cnn", (20, 33))])  # fmt: skip
def test_whole_images_get_one_label(network, size, method, activation):
    model = build(network, method, activation=activation, size=size)
    logits = model(torch.randn(3, 3, *size))["classes"]
    assert logits.shape == (3, 5, 1, 1)
    logits.square().sum().backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []


def test_evaluation_of_the_small_cnn_repeats():
    model, x = build("small_cnn", "scale"), torch.randn(2, 3, 32, 32)
    assert not torch.equal(model(x)["classes"], model(x)["classes"])
    model.eval()
    assert torch.equal(model(x)["classes"], model(x)["classes"])


def test_dropout_is_of_the_hidden_linear_layers():
    model, x = build("vgg16", "none", size=(32, 32), dropout=0.5), torch.randn(2, 3, 32, 32)
    assert [layer.p for layer in model.modules() if isinstance(layer, torch.nn.Dropout)] == [0.5, 0.5]
    assert not torch.equal(model(x)["classes"], model(x)["classes"])


@pytest.mark.parametrize("method", [method for method in METHODS if method != "zero_mean"])
@pytest.mark.parametrize("network, count", [("segnet", 12), ("classnet", 35), ("vgg16", 8)])
def test_identity_starts_all_layers_that_keep_the_width_but_the_first_after_a_pooling(network, count, method):
    model = build(network, method, identity_init=True, width=1 / 8)
    identities = [name for name, unit in units_of(model).items() if is_identity(unit[0].weight)]
    assert len(identities) == count
    firsts = {"segnet": ("coder.2.0", "coder.0.0"), "classnet": ("first.0",), "vgg16": ("groups.1.0", "groups.4.0")}
    assert not any(name.endswith(firsts[network]) for name in identities)
    if network == "vgg16":
        assert identities == [f"groups.{group}.{place}" for group, places in enumerate(((1,), (1,), (1, 2), (1, 2), (1, 2)))
                              for place in places]  # fmt: skip


def is_identity(weight: torch.Tensor) -> bool:
    if weight.dim() != 4 or weight.shape[0] != weight.shape[1]:
        return False
    return torch.allclose(weight, torch.nn.init.dirac_(torch.empty_like(weight)), atol=1e-6)


def test_identity_units_pass_a_positive_signal_on():
    unit = units_class("none")().conv_unit(4, 4, 3)
    identity_(unit)
    x = torch.rand(2, 4, 5, 6)
    torch.testing.assert_close(unit(x), x)


@pytest.mark.parametrize("method", METHODS)
def test_noise_comes_with_every_method_in_every_unit_and_in_training_only(method):
    model = build("vgg16", method, size=(32, 32), noise=0.2)
    noisy = [layer for layer in model.modules() if isinstance(layer, GainNoise2d)]
    assert len(noisy) == len(units_of(model)) == 15 and all(layer.deviation == 0.2 for layer in noisy)
    plain, x = build("vgg16", method, size=(32, 32)), torch.randn(4, 3, 32, 32)
    torch.testing.assert_close(model.eval()(x)["classes"], plain.eval()(x)["classes"])
    first, second = model.train()(x)["classes"], model(x)["classes"]
    assert not torch.allclose(first, second)
