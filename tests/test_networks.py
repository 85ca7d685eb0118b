"""The architectures: sizes, shapes, what they keep for backward, and that methods differ only in their units."""

import pytest
import torch

from deepcontrol import networks
from deepcontrol.gains import units_of
from deepcontrol.layers.unit import Unit
from deepcontrol.methods import METHODS, units_class


def build(network, method="agc", classes=5, width=1 / 16, **options):
    torch.manual_seed(0)
    return networks.build(network, units_class(method)(**options), classes, width=width)


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
