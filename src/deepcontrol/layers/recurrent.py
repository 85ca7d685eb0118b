"""The scaling activation in a recurrent cell, which the Scale report (section 5) leaves to future work."""

import math
from collections.abc import Callable

from torch import Tensor, nn

from deepcontrol.layers.scale import ScaleActivation


class ScaledRNNCell(nn.Module):
    """A plain recurrent cell whose activation is scaled: h' = activation((W_x x + W_h h + b) / alpha).

    x: (N, input_size), h and h': (N, hidden_size); h left out is zero. One alpha serves all time steps: it follows the
    deviation from step to step, and in a sequence each step's gradient passes through that step's own deviation. In
    evaluation it is frozen. Initial weights as the report's for linear layers, W_x and W_h each by its own fan-in and
    divided by sqrt(2), as they are added.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        activation: str | Callable[[Tensor], Tensor] = "tanh",
        momentum: float = 0.9,
        detach: bool = False,
    ):
        super().__init__()
        self.from_input = nn.Linear(input_size, hidden_size)
        self.from_hidden = nn.Linear(hidden_size, hidden_size, bias=False)
        nn.init.normal_(self.from_input.weight, std=1 / math.sqrt(2 * input_size))
        nn.init.normal_(self.from_hidden.weight, std=1 / math.sqrt(2 * hidden_size))
        nn.init.zeros_(self.from_input.bias)
        self.activation = ScaleActivation(activation, momentum, detach=detach)

    def forward(self, x: Tensor, h: Tensor | None = None) -> Tensor:
        signal = self.from_input(x)
        return self.activation(signal if h is None else signal + self.from_hidden(h))

    def gains(self) -> dict[str, Tensor]:
        return self.activation.gains()
