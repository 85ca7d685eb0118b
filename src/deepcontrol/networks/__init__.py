"""The networks, one file each: built of a method's units, and never naming a method."""

from torch import nn

from deepcontrol.layers.unit import identity_
from deepcontrol.networks.classnet import ClassNet
from deepcontrol.networks.noisy import NoisyUnits
from deepcontrol.networks.segnet import SegNet
from deepcontrol.networks.small_cnn import SmallCNN
from deepcontrol.networks.vgg16 import VGG16

NETWORKS = {"segnet": SegNet, "classnet": ClassNet, "vgg16": VGG16, "small_cnn": SmallCNN}


def build(name: str, units, classes: int, noise: float = 0.0, identity_init: bool = False, **options) -> nn.Module:
    """The network ``name`` with ``classes`` outputs, made of ``units``; ValueError names the allowed ones.

    ``noise`` follows every unit. ``identity_init`` starts the convolutions that keep the width with the identity, all
    but the first after a pooling (Deep Control, section 3.1).
    """
    if name not in NETWORKS:
        raise ValueError(f"network: {name!r} is unknown; allowed are {', '.join(NETWORKS)}")
    network = NETWORKS[name](NoisyUnits(units, noise) if noise else units, classes, **options)
    if identity_init:
        for unit in network.identity_units():
            identity_(unit)
    return network
