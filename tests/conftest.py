import pytest
import torch

torch.set_num_threads(1)  # small tensors, and several tests at once


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    """Caches of painted and packed data go to the test's own folder, unless it says otherwise."""
    monkeypatch.setenv("DEEPCONTROL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("WANDB_MODE", "offline")
