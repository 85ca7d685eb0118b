"""Four answers to what deep convolutional networks need from normalisation, as layers for your own networks."""

from deepcontrol.layers.auto_gain import AutoGainControl2d
from deepcontrol.layers.auto_gain_conv import AutoGainConv2d
from deepcontrol.layers.batch_norm import BatchNorm2d, gather_population
from deepcontrol.layers.folding import fold
from deepcontrol.layers.noise import GainNoise2d
from deepcontrol.layers.recurrent import ScaledRNNCell
from deepcontrol.layers.scale import ScaleActivation
from deepcontrol.layers.zero_mean import ZeroMeanConv2d, re_project

__all__ = [
    "AutoGainControl2d",
    "AutoGainConv2d",
    "BatchNorm2d",
    "GainNoise2d",
    "ScaleActivation",
    "ScaledRNNCell",
    "ZeroMeanConv2d",
    "fold",
    "gather_population",
    "re_project",
]
