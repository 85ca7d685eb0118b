"""Every method trains in every network: a smoke run of each pair, from configuration to finished run folder."""

import itertools
import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from deepcontrol.config import WHOLE_IMAGES
from deepcontrol.entry import compose_cell
from deepcontrol.methods import METHODS
from deepcontrol.networks import NETWORKS
from deepcontrol.records import run_folder
from deepcontrol.training import train_cell


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """A cache for painted scenes, and a folder of small images: two classes, told apart by brightness."""
    root = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for split, label, index in itertools.product(("train", "val"), (0, 1), range(4)):
        folder = root / split / f"class{label}"
        folder.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 128, (32, 32, 3), dtype=np.uint8) + np.uint8(100 * label)
        Image.fromarray(pixels).save(folder / f"{index}.png")
    return {"cache": tmp_path_factory.mktemp("cache"), "images": root}


def smoke(network, method, places, tmp_path, *more):
    overrides = [f"method={method}", f"network={network}", "preset=smoke", "epochs=1", "logger=none", "threads=1",
                 f"data.cache={places['cache']}", f"runs={tmp_path}"]  # fmt: skip
    if network in WHOLE_IMAGES[0]:
        images = ["data=imagefolder", f"data.root={places['images']}", "data.train_size=null", "data.validation_size=null"]
        overrides += images
    else:
        overrides.append("data.scenes=[4,2]")
    config = compose_cell([*overrides, *more])
    train_cell(config)
    return run_folder(config)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.filterwarnings("ignore:automatic gain control on maps")
@pytest.mark.filterwarnings("ignore:batch normalisation of a single value")
def test_every_method_trains_in_every_network(network, method, places, tmp_path):
    folder = smoke(network, method, places, tmp_path)
    assert json.loads((folder / "status.json").read_text())["status"] == "finished"
    curve = pd.read_csv(folder / "curve.csv")
    assert list(curve["split"]) == ["val", "train", "val"] and np.isfinite(curve["loss"]).all()
    before, after = curve[curve["split"] == "val"]["loss"]
    assert before != after  # something was learnt, or unlearnt


def test_alpha_is_logged_at_every_step(places, tmp_path):
    folder = smoke("small_cnn", "scale", places, tmp_path, "minibatch=2", "epochs=2")
    gains = pd.read_csv(folder / "gains.csv")
    alpha = gains[gains["quantity"] == "alpha"]
    for _, layer in alpha.groupby("layer"):
        assert list(layer["samples_seen"]) == [0, 2, 4, 6, 8, 10, 12, 14, 16]
        assert layer["mean"].iloc[0] == 1 and layer["mean"].nunique() == 9
    assert list(alpha.groupby("layer", sort=False)["depth"].first()) == [0, 1, 2, 3, 4]


def test_kernel_means_are_logged(places, tmp_path):
    folder = smoke("vgg16", "zero_mean", places, tmp_path)
    gains = pd.read_csv(folder / "gains.csv")
    means = gains[gains["quantity"] == "kernel_mean"]
    assert means["layer"].nunique() == 13 and (means["max"] < 1e-6).all() and (means["max"] > 0).any()


def test_adam_leaves_zero_mean_kernels_on_zero_mean(places, tmp_path):
    folder = smoke("vgg16", "zero_mean", places, tmp_path, "optimiser=adam", "lr=0.003")
    gains = pd.read_csv(folder / "gains.csv")
    means = gains[gains["quantity"] == "kernel_mean"]
    assert len(means) == 26 and (means["max"] < 1e-6).all()


def test_population_statistics_are_gathered_before_each_evaluation(places, tmp_path):
    running = pd.read_csv(smoke("vgg16", "bn", places, tmp_path, "minibatch=4") / "curve.csv")
    population = smoke("vgg16", "bn", places, tmp_path, "minibatch=4", "method.inference=population")
    population = pd.read_csv(population / "curve.csv")
    train = [curve[curve["split"] == "train"]["loss"].tolist() for curve in (running, population)]
    validation = [curve[curve["split"] == "val"]["loss"].tolist() for curve in (running, population)]
    assert train[0] == train[1] and validation[0] != validation[1]  # the same training, another evaluation
