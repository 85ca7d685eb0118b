"""The scaled recurrent cell: its formula over several steps, and a task that needs memory."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from deepcontrol.layers.recurrent import ScaledRNNCell


def test_several_steps_equal_the_written_out_recursion_with_gradients():
    torch.manual_seed(0)
    cell = ScaledRNNCell(3, 5, momentum=0.7).double()
    sequence = torch.randn(4, 2, 3, dtype=torch.float64)  # (steps, N, inputs)
    h = None
    for x in sequence:
        h = cell(x, h)
    h.square().sum().backward()
    gradients = [parameter.grad for parameter in cell.parameters()]

    w_x, b, w_h = (p.detach().clone().requires_grad_() for p in (
        cell.from_input.weight, cell.from_input.bias, cell.from_hidden.weight))  # fmt: skip
    h, alpha = torch.zeros(2, 5, dtype=torch.float64), torch.ones((), dtype=torch.float64)
    for x in sequence:
        signal = x @ w_x.T + b + h @ w_h.T
        deviation = (signal - signal.mean()).square().mean().sqrt()
        alpha = 0.7 * alpha.detach() + 0.3 * deviation
        h = torch.tanh(signal / alpha)
    h.square().sum().backward()
    torch.testing.assert_close(cell.activation.alpha, alpha.detach(), rtol=1e-12, atol=0)
    for own, expected in zip(gradients, (w_x.grad, b.grad, w_h.grad)):
        torch.testing.assert_close(own, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("minibatch, steps", [(32, 250), (1, 1500)])
def test_it_learns_to_recall_the_first_symbol(minibatch, steps):
    """Four symbols; the first of eight has to be named at the end. Chance is one in four."""
    torch.manual_seed(0)
    cell, classify = ScaledRNNCell(4, 32), nn.Linear(32, 4)
    parameters = [*cell.parameters(), *classify.parameters()]
    optimiser = torch.optim.Adam(parameters, 3e-3 if minibatch > 1 else 1e-3)

    def answer(symbols):
        h = None
        for step in F.one_hot(symbols, 4).float():
            h = cell(step, h)
        return classify(h)

    for _ in range(steps):
        symbols = torch.randint(4, (8, minibatch))
        optimiser.zero_grad()
        F.cross_entropy(answer(symbols), symbols[0]).backward()
        optimiser.step()
    cell.eval()
    alpha, symbols = cell.activation.alpha.clone(), torch.randint(4, (8, 500))
    with torch.no_grad():
        assert (answer(symbols).argmax(1) == symbols[0]).float().mean() > 0.6
    assert torch.equal(cell.activation.alpha, alpha)
