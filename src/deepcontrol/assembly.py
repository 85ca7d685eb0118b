"""The parts of a cell, made as its configuration says: network, optimiser, criterion."""

import torch
from torch import Tensor, nn

from deepcontrol import networks
from deepcontrol.config import WHOLE_IMAGES, Config, make_units
from deepcontrol.gains import units_of
from deepcontrol.layers.gated_gradient import gate_gradients
from deepcontrol.layers.zero_mean import ZeroMeanConv2d, re_project
from deepcontrol.losses import Criterion, enet_weights


def build_network(config: Config, classes: int) -> nn.Module:
    options = {"width": config.network.width, "activation": config.network.activation}
    if config.network.name in WHOLE_IMAGES[0]:
        options |= {"size": tuple(config.data.size), "dropout": config.network.dropout}
    units, starts = make_units(config), {"noise": config.noise, "identity_init": config.network.identity_init}
    network = networks.build(config.network.name, units, classes, **starts, **options)
    if config.gated_gradients:
        gate_gradients(units_of(network).values(), config.network.activation)
    return network


def make_optimiser(config: Config, network: nn.Module) -> torch.optim.Optimizer:
    """SGD with momentum, or Adam. After each step zero-mean kernels are put back on zero mean: Adam, not linear in the
    gradient, takes them off it; SGD's rounding adds up over many steps."""
    if config.optimiser == "adam":
        optimiser = torch.optim.Adam(network.parameters(), config.lr, weight_decay=config.weight_decay)
    else:
        optimiser = torch.optim.SGD(
            network.parameters(), config.lr, momentum=config.momentum, weight_decay=config.weight_decay
        )
    if any(isinstance(module, ZeroMeanConv2d) for module in network.modules()):
        optimiser.register_step_post_hook(lambda *_: re_project(network))
    return optimiser


def make_criterion(config: Config, class_counts: Tensor) -> Criterion:
    weighted = config.data.class_weights == "enet"
    weights = enet_weights(class_counts) if weighted else torch.ones(len(class_counts), device=class_counts.device)
    return Criterion(weights, config.weighted_mean)
