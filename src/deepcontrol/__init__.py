"""Four answers to what deep convolutional networks need from normalisation, as layers for your own networks."""

from deepcontrol.layers.auto_gain import AutoGainControl2d
from deepcontrol.layers.auto_gain_conv import AutoGainConv2d
from deepcontrol.layers.batch_norm import BatchNorm2d

__all__ = ["AutoGainControl2d", "AutoGainConv2d", "BatchNorm2d"]
