"""ClassNet (Deep Control, section 3 and appendix A): our reading of a network published nowhere else."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deepcontrol.layers.pooling import max_pool
from deepcontrol.layers.unit import he_normal_

WIDTHS = (32, 64, 96, 128, 192, 256, 256)  # one a level, 2x2 max pooling after each
CONTOUR_MAPS = 20


class ClassNet(nn.Module):
    """Seven levels with lateral class and contour paths; 1 to about 50 layers from image to output.

    (N, 3, H, W) -> {"classes": (N, classes, H, W), "contours": (N, 1, H, W)}, both logits at full resolution; any H, W
    (pooling rounds up, up-sampling is cut to fit). ``width`` multiplies the encoder's widths and the contour maps; the
    class path is as wide as there are classes.

    Where the paper is silent we read: the paths start from 1x1 projections of the last pooling's output, so that all
    seven poolings count; the image is halved by averaging; all layers but the two heads are units.
    """

    def __init__(self, units, classes: int, width: float = 1.0, activation: str = "relu"):
        super().__init__()
        contours = max(4, round(width * CONTOUR_MAPS))
        self.levels, self.laterals, self.merges = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        channels = 0
        for level_width in (max(4, round(width * full)) for full in WIDTHS):
            self.levels.append(_Level(units, channels + 3, level_width, activation))
            self.laterals.append(_Lateral(units, level_width, classes, contours, activation))
            self.merges.append(_Merge(units, classes, contours, activation))
            channels = level_width
        self.deepest = _Lateral(units, channels, classes, contours, activation)
        self.classify = he_normal_(nn.Conv2d(classes, classes, 1))
        self.delineate = he_normal_(nn.Conv2d(contours, 1, 1))

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        laterals = []
        x = image
        for level, lateral in zip(self.levels, self.laterals):
            x = level(x)
            laterals.append(lateral(x))
            image = F.avg_pool2d(image, 2, ceil_mode=True)
            x = max_pool(x, ceil=True)[0]
            pooled, x = x, torch.cat([x, image], 1)
        paths = self.deepest(pooled)
        for merge, lateral in zip(reversed(self.merges), reversed(laterals)):
            paths = merge(lateral, paths)
        class_path, contour_path = paths
        return {"classes": self.classify(class_path), "contours": self.delineate(contour_path)}

    def identity_units(self) -> list[nn.Module]:
        """The units between two convolutions: all but the first after a pooling and those that join paths."""
        levels = [unit for level in self.levels for unit in (level.first[1], *level.second)]
        return levels + [path[1] for merge in self.merges for path in (merge.contours, merge.classes)]


class _Level(nn.Module):
    """Twice a 3x3 and a 1x1 unit, the two 1x1 outputs concatenated and projected back to the width."""

    def __init__(self, units, in_channels: int, width: int, activation: str):
        super().__init__()
        self.first, self.second = (
            nn.Sequential(units.conv_unit(channels, width, 3, activation), units.conv_unit(width, width, 1, activation))
            for channels in (in_channels, width)
        )
        self.project = units.conv_unit(2 * width, width, 1, activation)

    def forward(self, x: Tensor) -> Tensor:
        first = self.first(x)
        return self.project(torch.cat([first, self.second(first)], 1))


class _Lateral(nn.Module):
    """1x1 projections of a level to its class maps and its contour maps."""

    def __init__(self, units, in_channels: int, classes: int, contours: int, activation: str):
        super().__init__()
        self.classes = units.conv_unit(in_channels, classes, 1, activation)
        self.contours = units.conv_unit(in_channels, contours, 1, activation)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.classes(x), self.contours(x)


class _Merge(nn.Module):
    """One level of the decoder:

    contour_L = 1x1(3x3([lateral contour_L, up(contour_{L+1})]))
    class_L   = 1x1(3x3([lateral class_L, up(class_{L+1}), contour_L]))
    """

    def __init__(self, units, classes: int, contours: int, activation: str):
        super().__init__()
        self.contours, self.classes = (
            nn.Sequential(units.conv_unit(channels, maps, 3, activation), units.conv_unit(maps, maps, 1, activation))
            for channels, maps in ((2 * contours, contours), (2 * classes + contours, classes))
        )

    def forward(self, lateral: tuple[Tensor, Tensor], below: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        class_lateral, contour_lateral = lateral
        class_below, contour_below = (_up(path, class_lateral.shape[2:]) for path in below)
        contours = self.contours(torch.cat([contour_lateral, contour_below], 1))
        classes = self.classes(torch.cat([class_lateral, class_below, contours], 1))
        return classes, contours


def _up(x: Tensor, size: tuple[int, int]) -> Tensor:
    """2x2 up-sampling by repeat, cut to the size of the level above."""
    return F.interpolate(x, scale_factor=2, mode="nearest")[:, :, : size[0], : size[1]]
