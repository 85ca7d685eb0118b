"""The bias grows as the closed form says, and only where the gradient ignores the statistics."""

import numpy as np
import pytest

from deepcontrol.studies.bias_growth import bias_growth


@pytest.mark.parametrize("scaled, slope", [(False, 1.0), (True, 2.0)])
def test_ignoring_the_statistics_the_bias_grows_while_the_loss_stands(scaled, slope):
    record = bias_growth(ignore_statistics=True, scaled=scaled, steps=500, lr=0.1)
    np.testing.assert_allclose(record["bias"], 0.1 * slope * np.arange(501), rtol=1e-9, atol=1e-12)
    # mean (x^ - 1)^2 / 2 = (variance of x^ + 1) / 2
    np.testing.assert_allclose(record["loss"], (1 + (1 if scaled else 0.25)) / 2, rtol=1e-12)


@pytest.mark.parametrize("scaled", [False, True])
def test_the_whole_gradient_leaves_the_bias_where_it_is(scaled):
    record = bias_growth(ignore_statistics=False, scaled=scaled, steps=50)
    assert np.abs(record["bias"]).max() < 1e-12
    assert np.ptp(record["loss"]) < 1e-12
