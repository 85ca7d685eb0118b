"""The small network of the Scale report's phase 1: two convolutions, four linear layers."""

from torch import Tensor, nn

from deepcontrol.layers.fractional_pooling import FractionalMaxPool2d
from deepcontrol.layers.unit import he_normal_

CONVOLUTIONS = (64, 128)  # 3x3, fractional max pooling by sqrt(2) after each
HIDDEN = (512, 256, 128)  # linear layers before the last


class SmallCNN(nn.Module):
    """(N, 3, H, W) -> {"classes": (N, classes, 1, 1)} for images of ``size`` = (H, W).

    ``width`` multiplies the widths; ``dropout`` is that of the hidden linear layers' outputs, in training. The report
    gives the kinds and numbers of layers only: kernels, widths and the pooling's ratio are our reading.
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
        self.features, self.hidden = nn.Sequential(), nn.Sequential()
        channels, (rows, columns) = 3, size
        for out_channels in (max(1, round(width * full)) for full in CONVOLUTIONS):
            pool = FractionalMaxPool2d()
            self.features.append(units.conv_unit(channels, out_channels, 3, activation))
            self.features.append(pool)
            channels, (rows, columns) = out_channels, pool.pooled_size(rows, columns)
        features = channels * rows * columns
        for out_features in (max(1, round(width * full)) for full in HIDDEN):
            self.hidden.append(units.linear_unit(features, out_features, activation))
            self.hidden.append(nn.Dropout(dropout))
            features = out_features
        self.classify = he_normal_(nn.Linear(features, classes))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        x = self.hidden(self.features(x).flatten(1))
        return {"classes": self.classify(x)[:, :, None, None]}
