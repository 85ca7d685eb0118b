"""Noise in every unit, with any method."""

from dataclasses import dataclass
from typing import Any

from deepcontrol.layers.noise import GainNoise2d
from deepcontrol.layers.unit import Unit


@dataclass(frozen=True)
class NoisyUnits:
    """A method's units, each followed by ``GainNoise2d(deviation)`` (Mean Shift Rejection; Deep Control, section 4)."""

    units: Any
    deviation: float

    def conv_unit(self, in_channels: int, out_channels: int, kernel_size: int, activation: str = "relu") -> Unit:
        return self.units.conv_unit(in_channels, out_channels, kernel_size, activation).append(
            GainNoise2d(self.deviation)
        )

    def linear_unit(self, in_features: int, out_features: int, activation: str = "relu") -> Unit:
        return self.units.linear_unit(in_features, out_features, activation).append(GainNoise2d(self.deviation))
