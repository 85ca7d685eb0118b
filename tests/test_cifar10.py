"""CIFAR-10 in its own layout, made small: read, packed, and refused when it is missing or damaged."""

import hashlib
import http.server
import pickle
import tarfile
import threading
from functools import partial

import numpy as np
import pytest
from torchvision.datasets import CIFAR10

from deepcontrol.data import cifar10
from deepcontrol.data.cache import pack
from deepcontrol.data.samples import DataError

NOWHERE = "http://127.0.0.1:9/cifar-10-python.tar.gz"  # nothing listens there
BATCHES = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]


@pytest.fixture
def archive(tmp_path, monkeypatch):
    """A CIFAR-10 of four images a batch, as an archive that torchvision takes for the real one; its pixels by batch."""
    folder = tmp_path / "made" / CIFAR10.base_folder
    folder.mkdir(parents=True)
    rng, pixels, sums = np.random.default_rng(0), {}, {}
    for name in BATCHES:
        pixels[name] = rng.integers(0, 256, (4, 3, 32, 32), dtype=np.uint8)
        content = {"data": pixels[name].reshape(4, -1), "labels": rng.integers(0, 10, 4).tolist()}
        (folder / name).write_bytes(pickle.dumps(content))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": list(cifar10.CLASSES)}))
    for path in folder.iterdir():
        sums[path.name] = hashlib.md5(path.read_bytes()).hexdigest()
    packed = tmp_path / "made" / CIFAR10.filename
    with tarfile.open(packed, "w:gz") as tar:
        tar.add(folder, CIFAR10.base_folder)
    monkeypatch.setattr(CIFAR10, "tgz_md5", hashlib.md5(packed.read_bytes()).hexdigest())
    monkeypatch.setattr(CIFAR10, "train_list", [[name, sums[name]] for name in BATCHES[:5]])
    monkeypatch.setattr(CIFAR10, "test_list", [[BATCHES[5], sums[BATCHES[5]]]])
    monkeypatch.setattr(CIFAR10, "meta", {**CIFAR10.meta, "md5": sums["batches.meta"]})
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=packed.parent)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(CIFAR10, "url", f"http://127.0.0.1:{server.server_port}/{CIFAR10.filename}")
        yield pixels
        server.shutdown()


def test_it_is_downloaded_and_packed_in_its_own_order(archive, tmp_path):
    root = tmp_path / "cifar10"
    train = pack(cifar10, root, "train", (32, 32), tmp_path / "cache", progress=False)
    expected = np.concatenate([archive[name] for name in BATCHES[:5]]).transpose(0, 2, 3, 1)
    assert np.array_equal(train.images, expected)
    assert train.labels.shape == (20, 1, 1) and train.classes == 10 and train.class_counts.sum() == 20
    labels = [cifar10.CLASSES.index(name.split("/")[0]) for name in train.names]
    assert labels == train.labels.ravel().tolist()
    val = pack(cifar10, root, "val", (32, 32), tmp_path / "cache", progress=False)
    assert np.array_equal(val.images, archive["test_batch"].transpose(0, 2, 3, 1))


def test_without_a_network_one_sentence_says_where_to_put_it(tmp_path, monkeypatch):
    monkeypatch.setattr(CIFAR10, "url", NOWHERE)
    with pytest.raises(DataError, match="could not be downloaded from http://127.0.0.1:9.*Put cifar-10-python.tar.gz there"):
        cifar10.find(tmp_path / "cifar10", "train")


def test_a_damaged_batch_is_not_read(archive, tmp_path, monkeypatch):
    root = tmp_path / "cifar10"
    cifar10.find(root, "train")
    (root / CIFAR10.filename).unlink()
    batch = root / CIFAR10.base_folder / "data_batch_2"
    batch.write_bytes(batch.read_bytes()[:-1] + b"x")
    monkeypatch.setattr(CIFAR10, "url", NOWHERE)
    with pytest.raises(DataError, match="is damaged"):
        cifar10.find(root, "train")
    with pytest.raises(DataError, match="no split 'test'"):
        cifar10.find(root, "test")
