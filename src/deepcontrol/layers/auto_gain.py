"""Automatic gain control as a layer of its own (Ruff 2017, Deep Control, arXiv 1706.03907, eq. 1)."""

import warnings

import torch
import torch.nn.functional as F
from torch import Tensor, nn

BACKGROUNDS = ("mean", "median", "window")


class AutoGainControl2d(nn.Module):
    """Subtract each sample's own scaled background from a convolution's output, then scale and shift.

        y = (z - lambda * background(z)) * gamma + beta

    z and y: (N, C, H, W); lambda, gamma, beta: trainable, one a channel. ``background`` is, per sample and channel,

    - ``mean``: the mean over positions (eq. 1);
    - ``median``: the median over positions, the mean of the middle two where their number is even;
    - ``window``: the mean over a sliding ``window`` x ``window`` square, cut off at the border.

    The last two are the paper's proposals (end of section 2). No statistic crosses samples and nothing is
    remembered: training and inference run the same graph, at any minibatch.

    Statistics are computed in float32 or better. On a map of one position with lambda = 1 the output is
    exactly beta, so maps of fewer than four positions are warned of once.

    The paper gives no initial values; here lambda = 1 and gamma = 1, beta = 0. With ReLU the signal then shrinks
    by about sqrt(1 - 1/pi) a layer; ``gamma_init=1.211`` holds it.
    """

    def __init__(
        self,
        num_features: int,
        background: str = "mean",
        window: int = 7,
        lambda_init: float = 1.0,
        gamma_init: float = 1.0,
    ):
        super().__init__()
        if background not in BACKGROUNDS:
            raise ValueError(f"background: {background!r} is unknown; allowed are {', '.join(BACKGROUNDS)}")
        if window < 1 or window % 2 == 0:
            raise ValueError(f"window: {window} has no centre; an odd number of at least 1 is allowed")
        self.num_features, self.background, self.window = num_features, background, window
        self.lambda_ = nn.Parameter(torch.full((num_features,), float(lambda_init)))
        self.gamma = nn.Parameter(torch.full((num_features,), float(gamma_init)))
        self.beta = nn.Parameter(torch.zeros(num_features))

    def forward(self, z: Tensor) -> Tensor:
        warn_of_tiny_maps(z)
        exact = z.to(torch.promote_types(z.dtype, torch.float32))
        lambda_, gamma, beta = (gain.view(1, -1, 1, 1) for gain in (self.lambda_, self.gamma, self.beta))
        return ((exact - lambda_ * self._background(exact)) * gamma + beta).to(z.dtype)

    def _background(self, z: Tensor) -> Tensor:
        if self.background == "mean":
            return z.mean((2, 3), keepdim=True)
        if self.background == "window":
            return F.avg_pool2d(z, self.window, stride=1, padding=self.window // 2, count_include_pad=False)
        ranked = z.flatten(2).sort(dim=2).values  # (N, C, positions)
        positions = ranked.shape[2]
        median = (ranked[:, :, (positions - 1) // 2] + ranked[:, :, positions // 2]) / 2
        return median[:, :, None, None]

    def gains(self) -> dict[str, Tensor]:
        return {"lambda": self.lambda_, "gamma": self.gamma, "beta": self.beta}

    def extra_repr(self) -> str:
        window = f", window={self.window}" if self.background == "window" else ""
        return f"{self.num_features}, background={self.background}{window}"


def warn_of_tiny_maps(z: Tensor) -> None:
    if z.shape[2] * z.shape[3] < 4:
        warnings.warn(
            "automatic gain control on maps of fewer than four positions: little is left but beta "
            "once each map's mean is subtracted",
            stacklevel=3,
        )
