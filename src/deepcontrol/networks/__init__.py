"""The networks, one file each: built of a method's units, and never naming a method."""

from torch import nn

from deepcontrol.networks.classnet import ClassNet
from deepcontrol.networks.segnet import SegNet

NETWORKS = {"segnet": SegNet, "classnet": ClassNet}


def build(name: str, units, classes: int, **options) -> nn.Module:
    """The network ``name`` with ``classes`` outputs, made of ``units``; ValueError names the allowed ones."""
    if name not in NETWORKS:
        raise ValueError(f"network: {name!r} is unknown; allowed are {', '.join(NETWORKS)}")
    return NETWORKS[name](units, classes, **options)
