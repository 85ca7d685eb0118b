"""SegNet, pooling-indices version (Badrinarayanan, Kendall & Cipolla 2017), as Deep Control's section 3 uses it."""

from torch import Tensor, nn

from deepcontrol.layers.pooling import max_pool, max_unpool
from deepcontrol.layers.unit import he_normal_

ENCODER = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))  # 2x2 max pooling after each
DECODER = ((512, 512, 512), (512, 512, 256), (256, 256, 128), (128, 64), (64,))  # 2x2 max unpooling before each


class SegNet(nn.Module):
    """26 layers of 3x3 convolution with no lateral connection but the pooling offsets.

    (N, 3, H, W) -> {"classes": (N, classes, H, W)}; any H, W of at least 32. The last layer is a bare convolution.
    ``width`` multiplies the widths; 29.4 million kernel weights at 1.
    """

    def __init__(self, units, classes: int, width: float = 1.0, activation: str = "relu"):
        super().__init__()
        self.encoder, self.decoder = nn.ModuleList(), nn.ModuleList()
        channels = 3
        for half, groups in ((self.encoder, ENCODER), (self.decoder, DECODER)):
            for widths in groups:
                group = nn.Sequential()
                for out_channels in (max(1, round(width * full)) for full in widths):
                    group.append(units.conv_unit(channels, out_channels, 3, activation))
                    channels = out_channels
                half.append(group)
        self.classify = he_normal_(nn.Conv2d(channels, classes, 3, padding=1))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        pooled = []
        for group in self.encoder:
            x = group(x)
            size = x.shape[2:]
            x, offsets = max_pool(x)
            pooled.append((offsets, size))
        for group in self.decoder:
            x = group(max_unpool(x, *pooled.pop()))
        return {"classes": self.classify(x)}

    def identity_units(self) -> list[nn.Module]:
        """The units between two convolutions: all but the first after a pooling or unpooling."""
        return [unit for group in [*self.encoder, *self.decoder] for unit in group[1:]]
