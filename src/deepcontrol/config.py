"""What a cell's configuration may say: every key, its type and its range, checked before anything starts."""

import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from typing import Any

from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from deepcontrol.methods import units_class


class ConfigError(Exception):
    """One sentence: the key, what is wrong with it, and what is allowed."""


@dataclass
class Network:
    name: str = MISSING
    width: float = 1.0
    activation: str = "relu"
    dropout: float = 0.0
    identity_init: bool = False
    widths: dict[str, float] = field(default_factory=dict)  # width by preset


@dataclass
class Data:
    name: str = MISSING
    label: str | None = None  # its name in run folders and figures; ``name`` if left out
    root: str = MISSING
    cache: str = "cache"
    size: list[int] = MISSING  # height, width
    sizes: dict[str, list[int]] = field(default_factory=dict)  # size by preset
    class_weights: str = "enet"
    train_size: int | None = None  # a seeded choice of that many training samples; all if left out
    train_sizes: dict[str, int | None] = field(default_factory=dict)  # train_size by preset
    validation_size: int | None = None
    validation_sizes: dict[str, int | None] = field(default_factory=dict)
    scenes: list[int] | None = None  # streets: painted for training, for validation
    scene_counts: dict[str, list[int]] = field(default_factory=dict)  # scenes by preset
    objects: list[int] | None = None  # street_objects: painted of each class for training, for validation
    object_counts: dict[str, list[int]] = field(default_factory=dict)  # objects by preset


@dataclass
class Logger:
    name: str = "none"
    mode: str = "offline"
    project: str = "deepcontrol"


@dataclass
class Config:
    """One cell. ``check`` makes it from what Hydra composed; ``lr`` is never None afterwards."""

    method: dict[str, Any] = MISSING  # name, and the options of that method's Units
    network: Network = field(default_factory=Network)
    data: Data = field(default_factory=Data)
    logger: Logger = field(default_factory=Logger)
    preset: str = MISSING
    cell: str | None = None
    minibatch: int = MISSING
    optimiser: str = "sgd"
    base_lr: float = 0.02
    lr: float | None = None
    momentum: float = 0.9
    weight_decay: float = 0.0
    noise: float = 0.0
    gated_gradients: bool = False
    shuffle: str = "thorough"
    distortion: float = 0.0
    weighted_mean: bool = False
    divergence: float = 1000.0
    seed: int = 0
    epochs: int = MISSING
    epoch_counts: dict[str, int] = field(default_factory=dict)  # epochs by preset
    precision: str = "fp32"
    runs: str = "runs"
    device: str = "auto"
    devices: Any = 1
    threads: Any = "auto"


def _whole(least: int) -> tuple[Callable, str]:
    return lambda value: isinstance(value, int) and value >= least, f"a whole number of at least {least}"


def _one_of(*allowed: str) -> tuple[Callable, str]:
    return lambda value: value in allowed, f"one of {', '.join(allowed)}"


def _whole_or_auto(value: Any) -> bool:
    return value == "auto" or type(value) is int and value >= 1


def _pair(least: int) -> tuple[Callable, str]:
    return lambda pair: len(pair) == 2 and min(pair) >= least, f"two whole numbers of at least {least}"


_FRACTION = (lambda fraction: 0 <= fraction < 1, "a number from 0 to below 1")

PIXELS = ("segnet", "classnet"), ("streets", "cityscapes", "camvid")  # networks and data that label every pixel
WHOLE_IMAGES = ("vgg16", "small_cnn"), ("street_objects", "cifar10", "imagefolder")  # one label an image

# key: (test, what is allowed); a key that is None where that is its default is not tested
RANGES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "minibatch": _whole(1),
    "base_lr": (lambda rate: 0 < rate < float("inf"), "a number above 0"),
    "lr": (lambda rate: 0 < rate < float("inf"), "a number above 0"),
    "momentum": _FRACTION,
    "optimiser": _one_of("sgd", "adam"),
    "noise": _FRACTION,
    "distortion": _FRACTION,
    "shuffle": _one_of("thorough", "minibatches"),
    "weight_decay": (lambda decay: 0 <= decay < float("inf"), "a number of at least 0"),
    "divergence": (lambda bound: bound > 0, "a number above 0"),
    "seed": _whole(0),
    "epochs": _whole(1),
    "precision": _one_of("fp32", "bf16"),
    "device": _one_of("auto", "cpu", "cuda"),
    "devices": (_whole_or_auto, "a whole number of at least 1, or auto"),
    "threads": (_whole_or_auto, "a whole number of at least 1, or auto"),
    "network.name": _one_of(*PIXELS[0], *WHOLE_IMAGES[0]),
    "network.width": (lambda width: 0 < width <= 16, "a number above 0, up to 16"),
    "network.activation": _one_of("relu", "tanh", "sigmoid", "identity"),
    "network.dropout": _FRACTION,
    "data.name": _one_of(*PIXELS[1], *WHOLE_IMAGES[1]),
    "data.label": (
        re.compile(r"\w[\w.-]*").fullmatch, "a name of letters, digits, dots, dashes and underscores"
    ),
    "data.class_weights": _one_of("enet", "none"),
    "data.size": _pair(32),
    "data.scenes": _pair(1),
    "data.objects": _pair(1),
    "data.train_size": _whole(1),
    "data.validation_size": _whole(1),
    "logger.name": _one_of("none", "wandb"),
    "logger.mode": _one_of("offline", "online"),
}


def check(composed: Mapping | DictConfig) -> Config:
    """The configuration, typed and complete; ConfigError names the first key that is unknown or has a wrong value."""
    composed = OmegaConf.create(composed)
    _check_keys(composed, Config, "")
    try:
        OmegaConf.resolve(composed)
        config: Config = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(Config), composed))
    except OmegaConfBaseException as error:
        raise ConfigError(_sentence(error)) from error
    for key, (within, allowed) in RANGES.items():
        value = OmegaConf.select(OmegaConf.structured(config), key)
        if value is not None and not within(value):
            raise ConfigError(f"{key}: {value} is out of range; allowed is {allowed}")
    config.method = {"name": config.method.get("name"), **asdict(make_units(config))}
    for name, counts in (("streets", "scenes"), ("street_objects", "objects")):
        if config.data.name == name and getattr(config.data, counts) is None:
            raise ConfigError(f"data.{counts}: nothing to paint; allowed is {RANGES[f'data.{counts}'][1]}")
    config.data.label = config.data.label or config.data.name
    _check_network(config)
    if config.lr is None:
        config.lr = config.base_lr * config.minibatch
    if type(config.devices) is int and config.devices > config.minibatch:
        raise ConfigError(
            f"devices: {config.devices} devices cannot share a minibatch of {config.minibatch}; "
            f"allowed are 1 to {config.minibatch}"
        )
    return config


def _check_network(config: Config) -> None:
    network, data = config.network.name, config.data.name
    networks, fitting = PIXELS if network in PIXELS[0] else WHOLE_IMAGES
    if data not in fitting:
        does = "labels every pixel" if networks is PIXELS[0] else "classifies whole images"
        raise ConfigError(f"data: {data} does not fit {network}, which {does}; allowed are {', '.join(fitting)}")
    if config.data.label in (*PIXELS[1], *WHOLE_IMAGES[1]) and config.data.label != data:
        raise ConfigError(f"data.label: {config.data.label} is the name of other data; allowed is any other for {data}")
    if config.network.dropout and networks is PIXELS[0]:
        raise ConfigError(f"network.dropout: {network} has no hidden linear layer to drop from; allowed is 0")
    if config.network.identity_init and network == "small_cnn":
        raise ConfigError("network.identity_init: every layer of small_cnn changes the width; allowed is false")
    if config.gated_gradients and config.method["name"] == "selu":
        raise ConfigError("gated_gradients: the method selu brings its own activation; allowed with it is false")
    if config.network.identity_init and config.method["name"] == "zero_mean":
        raise ConfigError("network.identity_init: an identity kernel has no zero mean; allowed with zero_mean is false")


def make_units(config: Config):
    """The configured method's ``Units``; ConfigError for an unknown method or a wrong option."""
    name, options = config.method.get("name"), {key: value for key, value in config.method.items() if key != "name"}
    try:
        units = units_class(name)
        _check_keys(options, units, "method.")
        return OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(units), options))
    except OmegaConfBaseException as error:
        raise ConfigError(f"method.{_sentence(error)}") from error
    except ValueError as error:
        raise ConfigError(str(error)) from error


def _check_keys(given: Mapping, schema: type, prefix: str) -> None:
    known = {entry.name: entry.type for entry in fields(schema)}
    for key in given:
        if key not in known:
            raise ConfigError(f"{prefix}{key}: unknown key; allowed are {', '.join(prefix + name for name in known)}")
        if known[key] is bool and not isinstance(given[key], bool):
            raise ConfigError(f"{prefix}{key}: {given[key]} is out of range; allowed is true or false")
        if is_dataclass(known[key]):
            if not isinstance(given[key], Mapping | DictConfig):
                raise ConfigError(f"{prefix}{key}: {given[key]!r} is not a group of keys")
            _check_keys(given[key], known[key], f"{prefix}{key}.")


def _sentence(error: OmegaConfBaseException) -> str:
    return f"{error.full_key}: {str(error).splitlines()[0]}"
