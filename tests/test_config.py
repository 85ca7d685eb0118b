"""What a configuration may say, and that every cell and group composes."""

import itertools
from pathlib import Path

import pytest

from deepcontrol.config import PIXELS, WHOLE_IMAGES, ConfigError
from deepcontrol.entry import CONFIGS, cells, compose_cell
from deepcontrol.records import identity, run_folder


def options(group: str) -> list[str]:
    return sorted(path.stem for path in (CONFIGS / group).glob("*.yaml"))


FITTING = [pair for networks, data in (PIXELS, WHOLE_IMAGES) for pair in itertools.product(networks, data)]


@pytest.mark.parametrize("preset", options("preset"))
@pytest.mark.parametrize("network, data", FITTING)
@pytest.mark.parametrize("method", options("method"))
def test_every_combination_composes(method, network, data, preset):
    config = compose_cell([f"method={method}", f"network={network}", f"data={data}", f"preset={preset}"])
    assert (config.method["name"], config.network.name, config.data.name, config.preset) == (
        method, network, data, preset,
    )  # fmt: skip
    assert config.data.size == config.data.sizes[config.preset]
    assert config.epochs == config.epoch_counts[config.preset]


def test_every_network_and_data_set_is_of_one_kind():
    assert sorted(name for networks, _ in (PIXELS, WHOLE_IMAGES) for name in networks) == options("network")
    assert sorted(name for _, data in (PIXELS, WHOLE_IMAGES) for name in data) == options("data")


@pytest.mark.parametrize("network, data", [("segnet", "streets"), ("vgg16", "street_objects")])
def test_a_network_brings_data_that_fits_it(network, data):
    assert compose_cell([f"network={network}"]).data.name == data


@pytest.mark.parametrize("cell", cells("*"))
def test_every_cell_composes_and_is_as_named(cell):
    config = compose_cell([f"cell={cell}"])
    assert config.cell == cell and run_folder(config)


FIGURE_1 = {  # section 3: every pair of minibatch and learning rate that a panel shows
    ("segnet", "bn"): {(1, 0.02), (4, 0.08), (8, 0.16), (8, 0.08)},
    ("segnet", "agc"): {(1, 0.02), (4, 0.08), (8, 0.16), (8, 0.08), (8, 0.32), (8, 0.64)},
    ("classnet", "bn"): {(4, 0.08)},
    ("classnet", "agc"): {(4, 0.08)},
}


def test_figure_1_is_its_twelve_cells():
    found: dict = {}
    for name in cells("figure1"):
        config = compose_cell([f"cell={name}"])
        assert config.cell == name
        found.setdefault((config.network.name, config.method["name"]), set()).add((config.minibatch, config.lr))
    assert found == FIGURE_1
    assert sum(map(len, found.values())) == len(cells("figure1")) == 12


def test_learning_rate_follows_the_minibatch_unless_given():
    assert compose_cell(["minibatch=8"]).lr == pytest.approx(0.16)
    assert compose_cell(["minibatch=8", "lr=0.5"]).lr == 0.5
    assert compose_cell(["cell=figure1_segnet_bn_minibatch1_lr002", "lr=0.5"]).lr == 0.5


WRONG = {
    "minibatch=0": "minibatch: 0 .*at least 1",
    "minibatch=1.5": "minibatch: .*1.5.*Integer",
    "lr=0": "lr: 0.* above 0",
    "lr=-0.1": "lr: -0.1 .*above 0",
    "lr=nan": "lr: nan .*above 0",
    "lr=fast": "lr: .*fast.*Float",
    "epochs=0": "epochs: 0 .*at least 1",
    "network.width=0": "network.width: 0.0 .*above 0",
    "network.activation=gelu": "network.activation: gelu .*relu, tanh, sigmoid, identity",
    "+network.dropout=0.5": "network.dropout: segnet has no hidden linear layer",
    "network=vgg16 network.dropout=1": "network.dropout: 1.0 .*below 1",
    "network=small_cnn +network.identity_init=true": "network.identity_init: .*small_cnn",
    "network.identity_init=true method=zero_mean": "network.identity_init: .*zero mean",
    "network=vgg16 data=camvid": "data: camvid does not fit vgg16.*street_objects, cifar10, imagefolder",
    "data=imagefolder": "data: imagefolder does not fit segnet.*streets, cityscapes, camvid",
    "network=vgg16 data.objects=null": "data.objects: nothing to paint.*two whole numbers",
    "data.class_weights=equal": "data.class_weights: equal .*enet, none",
    "optimiser=lion": "optimiser: lion .*sgd, adam",
    "noise=1": "noise: 1.0 .*below 1",
    "distortion=-0.1": "distortion: -0.1 .*from 0",
    "shuffle=never": "shuffle: never .*thorough, minibatches",
    "gated_gradients=2": "gated_gradients: 2 .*true or false",
    "method=scale method.detach=3": "method.detach: 3 .*true or false",
    "network.identity_init=5": "network.identity_init: 5 .*true or false",
    "data.label=../elsewhere": "data.label: ../elsewhere .*letters, digits, dots",
    "data=imagefolder network=vgg16 data.label=cifar10": "data.label: cifar10 is the name of other data",
    "method=selu gated_gradients=true": "gated_gradients: the method selu .*allowed with it is false",
    "method=scale method.momentum=1.5": "method.momentum: 1.5 .*from 0 to 1",
    "method=zero_mean method.projection_weight=2": "method.projection_weight: 2.0 .*from 0 to 1",
    "method=group_norm +method.channels_per_group=0": "method.channels_per_group: 0 .*at least 1",
    "method=bn method.inference=batch method.synchronised=true": "method.synchronised: .*use false",
    "method=bn method.inference=moving": "method.inference: 'moving' .*running, population, batch",
    "data.size=[64]": r"data.size: \[64\] .*two whole numbers",
    "data.size=[16,64]": r"data.size: \[16, 64\] .*at least 32",
    "data.scenes=null": "data.scenes: nothing to paint.*two whole numbers",
    "data.scenes=[4]": r"data.scenes: \[4\] .*two whole numbers",
    "devices=0": "devices: 0 .*at least 1, or auto",
    "devices=8": "devices: 8 .*minibatch of 4.*1 to 4",
    "threads=none": "threads: none .*auto",
    "precision=fp8": "precision: fp8 .*fp32, bf16",
    "+epoch=3": "epoch: unknown key.*epochs",
    "+network.depth=3": "network.depth: unknown key.*network.width",
    "+method.inference=batch": "method.inference: unknown key.*method.background",
    "method.background=mode": "method.background: 'mode' .*mean, median, window",
    "method.window=4": "method.window: 4 .*odd",
    "method.window=wide": "method.window: .*wide.*Integer",
    "method.name=gain": "method: 'gain' .*agc, bn, .*none",
    "logger.mode=sometimes": "logger.mode: sometimes .*offline, online",
    "momentum=1": "momentum: 1.0 .*below 1",
    "seed=-1": "seed: -1 .*at least 0",
}


@pytest.mark.parametrize("override", WRONG)
def test_wrong_values_are_refused_by_name(override):
    with pytest.raises(ConfigError, match=WRONG[override]):
        compose_cell(override.split())


def test_run_folders_tell_experiments_apart_and_ignore_where_they_run():
    base = run_folder(compose_cell([]))
    elsewhere = ["logger=none", "threads=1", "device=cpu", "data.cache=/elsewhere", "base_lr=0.5 lr=0.08".split()[1]]
    assert run_folder(compose_cell(elsewhere)) == base
    others = ["lr=0.081", "seed=1", "method=bn", "momentum=0.8", "method.window=9", "data.size=[64,130]", "epochs=11",
              "network.width=0.2", "data.scenes=[400,101]", "devices=2", "weighted_mean=true", "noise=0.1",
              "gated_gradients=true", "shuffle=minibatches", "distortion=0.1", "optimiser=adam", "data.label=painted",
              "network.identity_init=true", "data.class_weights=none", "+data.validation_size=5"]  # fmt: skip
    folders = {run_folder(compose_cell([other])) for other in others}
    assert len(folders) == len(others) and base not in folders
    assert base.name.startswith("segnet-agc-minibatch4-lr0.08-seed0-")


def test_a_cell_and_the_same_settings_by_hand_are_one_run():
    by_hand = compose_cell(["method=bn", "network=segnet", "minibatch=8", "lr=0.16"])
    assert run_folder(by_hand) == run_folder(compose_cell(["cell=figure1_segnet_bn_minibatch8_lr016"]))
    assert "cell" not in identity(by_hand)


def test_config_files_are_as_named():
    for path in (CONFIGS / "cell").glob("*.yaml"):
        text = path.read_text()
        assert f"cell={path.stem}\n" in text, f"{path.name}: its header must give its own command"


def test_readme_names_no_option_that_does_not_exist():
    readme = (Path(__file__).parents[1] / "README.md").read_text()
    commands = [line.strip() for line in readme.splitlines() if line.strip().startswith("python scripts/train.py")]
    assert len(commands) >= 3
    for command in commands:
        words = [word.strip("'\"") for word in command.partition("#")[0].split()[2:]]
        single = [word.partition(",")[0] if "glob(" not in word else f"cell={cells('figure1')[0]}" for word in words]
        compose_cell([word for word in single if not word.startswith("--")])
