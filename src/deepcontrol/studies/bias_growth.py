"""Why batch normalisation differentiates through its statistics: the bias that grows without end."""

import torch


def bias_growth(ignore_statistics: bool, scaled: bool = False, steps: int = 200, lr: float = 0.1) -> dict[str, list[float]]:
    """Gradient descent on the bias b below a normalisation; ``bias`` and ``loss`` before each step and after the last.

        x = u + b,   x^ = x - E[x]   (``scaled``: divided by the deviation of x),   loss = mean (x^ - 1)^2 / 2

    u are 64 fixed values of mean 0 and deviation 1/2. Normalisation takes b out again, so nothing depends on it. A step
    that ignores that E[x] (and the deviation) hold b still sees a gradient, -1 (scaled: -2), and moves b by the rate
    times that for ever, while output and loss stay where they are (batch normalisation notes, 'vanishing and exploding
    gradients'; Ioffe & Szegedy 2015, section 2). The whole gradient is 0.
    """
    u = torch.linspace(-1, 1, 64, dtype=torch.float64)
    u = (u - u.mean()) / u.std(correction=0) / 2
    b = torch.zeros((), dtype=torch.float64, requires_grad=True)
    record: dict[str, list[float]] = {"bias": [], "loss": []}
    for step in range(steps + 1):
        x = u + b
        mean, deviation = x.mean(), x.std(correction=0) if scaled else torch.ones_like(b)
        if ignore_statistics:
            mean, deviation = mean.detach(), deviation.detach()
        loss = ((x - mean) / deviation - 1).square().mean() / 2
        record["bias"].append(b.item())
        record["loss"].append(loss.item())
        if step < steps:
            (gradient,) = torch.autograd.grad(loss, b)
            b = (b - lr * gradient).detach().requires_grad_()
    return record
