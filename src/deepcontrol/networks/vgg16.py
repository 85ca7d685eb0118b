"""VGG-16 for small images (Simonyan & Zisserman 2015, configuration D), as the Scale report's phase 2 uses it."""

from torch import Tensor, nn

from deepcontrol.layers.pooling import max_pool
from deepcontrol.layers.unit import he_normal_

GROUPS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))  # 2x2 max pooling after each
HIDDEN = (512, 512)  # linear layers before the last; the original's 4096 serve images of 224x224


class VGG16(nn.Module):
    """13 layers of 3x3 convolution, two hidden linear layers and a bare one.

    (N, 3, H, W) -> {"classes": (N, classes, 1, 1)} for images of ``size`` = (H, W), at least 32x32. ``width`` multiplies
    the widths; ``dropout`` is that of the hidden linear layers' outputs, in training.
    """

    def __init__(
        self,
        units,
        classes: int,
        width: float = 1.0,
        activation: str = "relu",
        size: tuple[int, int] = (32, 32),
        dropout: float = 0.0,
    ):
        super().__init__()
        self.groups, self.hidden = nn.ModuleList(), nn.Sequential()
        channels = 3
        for widths in GROUPS:
            group = nn.Sequential()
            for out_channels in (max(1, round(width * full)) for full in widths):
                group.append(units.conv_unit(channels, out_channels, 3, activation))
                channels = out_channels
            self.groups.append(group)
        features = channels * (size[0] // 32) * (size[1] // 32)
        for out_features in (max(1, round(width * full)) for full in HIDDEN):
            self.hidden.append(units.linear_unit(features, out_features, activation))
            self.hidden.append(nn.Dropout(dropout))
            features = out_features
        self.classify = he_normal_(nn.Linear(features, classes))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        for group in self.groups:
            x = max_pool(group(x))[0]
        x = self.hidden(x.flatten(1))
        return {"classes": self.classify(x)[:, :, None, None]}

    def identity_units(self) -> list[nn.Module]:
        """The units between two convolutions: all but the first after a pooling."""
        return [unit for group in self.groups for unit in group[1:]]
