"""Momentum as an implicit minibatch (Deep Control, section 2): what moving it towards 1 does to a step."""

import pytest
import torch

from deepcontrol.assembly import make_optimiser
from deepcontrol.entry import compose_cell


def velocities(gradients: torch.Tensor, cell: str) -> torch.Tensor:
    """The step taken after each of the given gradients, by the cell's own optimiser."""
    parameter = torch.nn.Parameter(torch.zeros((), dtype=torch.float64))
    optimiser = make_optimiser(compose_cell([f"cell={cell}"]), torch.nn.ParameterList([parameter]))
    steps = []
    for gradient in gradients:
        before = parameter.item()
        parameter.grad = gradient.clone()
        optimiser.step()
        steps.append(before - parameter.item())
    return torch.tensor(steps, dtype=torch.float64)


CELLS = {"figure1_segnet_agc_minibatch1_lr002": 0.9, "ideas_momentum": 0.975}


@pytest.mark.parametrize("cell, momentum", CELLS.items())
def test_a_step_is_the_papers_weighted_sum_of_all_gradients_so_far(cell, momentum):
    gradients = torch.randn(60, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    lr = compose_cell([f"cell={cell}"]).lr
    expected = [sum(lr * momentum**age * gradients[now - age] for age in range(now + 1)) for now in range(60)]
    torch.testing.assert_close(velocities(gradients, cell), torch.stack(expected), rtol=1e-9, atol=1e-12)


def test_the_cell_keeps_the_mean_step_and_divides_its_variance_as_a_fourfold_minibatch_would():
    gradients = 1 + torch.randn(40_000, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    before, after = (velocities(gradients, cell)[2000:] for cell in CELLS)
    assert after.mean().item() == pytest.approx(before.mean().item(), rel=0.02)
    # a sum of m^k has variance (1 - m) / (1 + m) of one gradient's at an unchanged mean
    assert (before.var() / after.var()).item() == pytest.approx((0.1 / 1.9) / (0.025 / 1.975), rel=0.15)
