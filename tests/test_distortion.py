"""Photometric distortion: each factor does what it says, and the loader draws them by seed and epoch."""

import colorsys

import numpy as np
import pytest
import torch

from deepcontrol.data.distortion import GREY, distort, draw_factors


@pytest.fixture
def images():
    return 60 + 100 * torch.rand(2, 3, 8, 9, generator=torch.Generator().manual_seed(0))


def changed(images, brightness=1.0, contrast=1.0, saturation=1.0):
    return distort(images, torch.tensor([[brightness, contrast, saturation]]).repeat(len(images), 1))


def luma(images):
    return (images * torch.tensor(GREY).view(1, 3, 1, 1)).sum(1)


def test_factors_of_one_change_nothing(images):
    torch.testing.assert_close(changed(images), images, rtol=1e-5, atol=1e-3)


def test_brightness_scales_and_is_cut_off(images):
    torch.testing.assert_close(changed(images, brightness=1.2), 1.2 * images, rtol=1e-5, atol=1e-3)
    assert changed(images, brightness=1.9).max() == 255


def test_contrast_scales_the_distance_from_the_mean_grey(images):
    mean = luma(images).mean((1, 2)).view(-1, 1, 1, 1)
    torch.testing.assert_close(changed(images, contrast=0.5), mean + 0.5 * (images - mean), rtol=1e-5, atol=1e-3)


def test_saturation_keeps_the_grey_of_each_pixel(images):
    dull = changed(images, saturation=0.5)
    torch.testing.assert_close(luma(dull), luma(images), rtol=1e-5, atol=1e-3)
    before, after = (colorsys.rgb_to_hsv(*(pixels[0, :, 3, 4] / 255).tolist())[1] for pixels in (images, dull))
    assert after < before
    grey = changed(images, saturation=0.0)
    torch.testing.assert_close(grey, luma(images)[:, None].expand_as(images), rtol=1e-5, atol=1e-3)


def test_samples_have_factors_of_their_own(images):
    factors = draw_factors(1000, 0.4, np.random.default_rng(0))
    assert factors.shape == (1000, 3) and factors.min() >= 0.6 and factors.max() <= 1.4
    assert (factors.min() < 0.61) and (factors.max() > 1.39) and abs(factors.mean() - 1) < 0.02
    two = distort(images, torch.tensor([[1.0, 1.0, 1.0], [0.5, 1.0, 1.0]]))
    torch.testing.assert_close(two, images * torch.tensor([1.0, 0.5]).view(2, 1, 1, 1), rtol=1e-5, atol=1e-3)
