"""The loader: standardised images, shares that make up the minibatch, orders that repeat."""

import numpy as np
import pytest
import torch
from PIL import Image

from deepcontrol.data import camvid
from deepcontrol.data.cache import pack
from deepcontrol.data.loader import Loader

CPU = torch.device("cpu")


@pytest.fixture
def packed(tmp_path):
    rng = np.random.default_rng(0)
    for split, count in (("train", 7), ("val", 2)):
        for folder in (split, f"{split}annot"):
            (tmp_path / folder).mkdir()
        for index in range(count):
            image = rng.integers(0, 256, (40, 48, 3), dtype=np.uint8)
            Image.fromarray(image).save(tmp_path / split / f"{index}.png")
            Image.fromarray(rng.integers(0, 12, (40, 48), dtype=np.uint8)).save(
                tmp_path / f"{split}annot" / f"{index}.png"
            )
    return pack(camvid, tmp_path, "train", (40, 48), tmp_path / "cache", progress=False)


def loader(packed, process=0, processes=1):
    return Loader(packed, packed.mean, packed.std, CPU, process, processes)


def test_images_are_standardised_over_the_split(packed):
    (whole,) = loader(packed).in_order(7)
    torch.testing.assert_close(whole.images.mean((0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(whole.images.var((0, 2, 3), unbiased=False), torch.ones(3), atol=1e-5, rtol=0)
    expected = (packed.images[3, 5, 6] / 255 - np.array(packed.mean)) / np.array(packed.std)
    np.testing.assert_allclose(whole.images[3, :, 5, 6], expected, rtol=1e-5)
    assert whole.images.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("processes", [2, 3])
def test_shares_make_up_the_minibatch(packed, processes):
    wholes = list(loader(packed).shuffled(3, seed=1, epoch=2))
    shares = [list(loader(packed, process, processes).shuffled(3, seed=1, epoch=2)) for process in range(processes)]
    for whole, *parts in zip(wholes, *shares):
        assert sum(len(part.images) for part in parts) == whole.samples == 3
        joined = torch.cat([part.labels for part in parts])
        assert sorted(label.numpy().tobytes() for label in joined) == sorted(
            label.numpy().tobytes() for label in whole.labels
        )
        for part in parts:
            assert torch.equal(part.class_counts, whole.class_counts) and part.samples == 3
        counts = torch.bincount(whole.labels.flatten(), minlength=256)[:11]
        assert torch.equal(whole.class_counts, counts.float())


def test_orders_repeat_by_seed_and_epoch(packed):
    def order(seed, epoch):
        return torch.cat([part.labels for part in loader(packed).shuffled(1, seed, epoch)])

    assert torch.equal(order(0, 1), order(0, 1))
    assert not torch.equal(order(0, 1), order(0, 2)) and not torch.equal(order(0, 1), order(1, 1))
    everything = {label.numpy().tobytes() for label in order(0, 1)}
    assert everything == {label.tobytes() for label in packed.labels}


def test_training_drops_a_part_minibatch_and_evaluation_does_not(packed):
    assert [part.samples for part in loader(packed).shuffled(3, 0, 1)] == [3, 3]
    assert [part.samples for part in loader(packed).in_order(3)] == [3, 3, 1]
    labels = torch.cat([part.labels for part in loader(packed).in_order(3)])
    assert torch.equal(labels, torch.from_numpy(np.array(packed.labels)))


def orders(packed, thorough, epochs=(1, 2), **options):
    """Which samples meet in each minibatch of two, by their names."""
    whole = loader(packed)
    found = []
    for epoch in epochs:
        minibatches = whole.shuffled(2, 0, epoch, thorough, **options)
        found.append([frozenset(names_of(whole, minibatch)) for minibatch in minibatches])
    return found


def names_of(whole, minibatch):
    reference = whole.images(len(whole))
    return [int((reference - image).abs().sum((1, 2, 3)).argmin()) for image in minibatch.images]


def test_thorough_shuffling_lets_other_samples_meet_in_each_epoch(packed):
    first, second = orders(packed, thorough=True)
    assert len(first) == len(second) == 3 and set(first) != set(second)


def test_shuffled_minibatches_keep_company_and_change_places(packed):
    epochs = orders(packed, thorough=False, epochs=range(1, 8))
    assert all(set(epoch) == set(epochs[0]) for epoch in epochs)
    assert any(epoch != epochs[0] for epoch in epochs)


def test_distortion_is_drawn_by_epoch_and_shared_out_alike(packed):
    def images(process=0, processes=1, epoch=1, distortion=0.4):
        minibatches = loader(packed, process, processes).shuffled(4, 0, epoch, True, distortion)
        return next(iter(minibatches)).images

    assert torch.equal(images(), images())
    assert not torch.allclose(images(), images(distortion=0.0))
    assert torch.equal(images(0, 2), images()[0::2]) and torch.equal(images(1, 2), images()[1::2])
