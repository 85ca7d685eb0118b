"""CamVid is fetched whole or not at all; the source is a small local repository."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deepcontrol.data import camvid
from deepcontrol.data.samples import DataError

SCRIPT = Path(__file__).parents[1] / "scripts" / "fetch_camvid.py"
COUNTS = {"train": 3, "val": 2, "test": 1}

specification = importlib.util.spec_from_file_location("fetch_camvid", SCRIPT)
fetch_camvid = importlib.util.module_from_spec(specification)
specification.loader.exec_module(fetch_camvid)


def commit(repository: Path) -> None:
    git = ["git", "-C", str(repository), "-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run(["git", "init", "--quiet", str(repository)], check=True)
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "--quiet", "-m", "data"], check=True)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    for split, count in COUNTS.items():
        for number in range(count):
            for folder, values in (split, random.integers(256, size=(6, 8, 3))), (f"{split}annot", np.ones((6, 8))):
                path = tmp_path / "tutorial" / "CamVid" / folder / f"{split}_{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(values.astype(np.uint8)).save(path)
    (tmp_path / "tutorial" / "CamVid" / "train.txt").write_text("a list that we have no use for")
    commit(tmp_path / "tutorial")
    return tmp_path / "tutorial"


def test_fetches_all_pairs_byte_for_byte(repository: Path, tmp_path: Path) -> None:
    fetch_camvid.fetch(str(repository), tmp_path / "data", COUNTS)
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["camvid"]
    fetched = {
        path.relative_to(tmp_path / "data" / "camvid"): path.read_bytes()
        for path in (tmp_path / "data" / "camvid").rglob("*")
        if path.is_file()
    }
    source = {path.relative_to(repository / "CamVid"): path.read_bytes() for path in repository.glob("CamVid/*/*.png")}
    assert fetched == source and len(source) == 2 * sum(COUNTS.values())
    assert len(camvid.find(tmp_path / "data" / "camvid", "train")) == 3


def test_skips_when_complete(repository: Path, tmp_path: Path) -> None:
    fetch_camvid.fetch(str(repository), tmp_path, COUNTS)
    before = (tmp_path / "camvid").stat().st_mtime_ns
    said = fetch_camvid.fetch("/there/is/no/such/source", tmp_path, COUNTS)
    assert "already" in said and (tmp_path / "camvid").stat().st_mtime_ns == before


def test_an_incomplete_folder_is_refused_and_kept(repository: Path, tmp_path: Path) -> None:
    fetch_camvid.fetch(str(repository), tmp_path, COUNTS)
    (tmp_path / "camvid" / "val" / "val_0.png").unlink()
    with pytest.raises(DataError, match=r"not complete; move it away .* has 1 val pairs; expected: 2"):
        fetch_camvid.fetch(str(repository), tmp_path, COUNTS)
    assert (tmp_path / "camvid" / "val" / "val_1.png").exists()


def test_wrong_counts_are_refused_and_nothing_is_left(repository: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"has 3 train pairs; expected: 4"):
        fetch_camvid.fetch(str(repository), tmp_path / "data", COUNTS | {"train": 4})
    assert list((tmp_path / "data").iterdir()) == []


@pytest.mark.parametrize("folder", ["val", "valannot"])
def test_a_truncated_file_is_named_and_nothing_is_left(repository: Path, tmp_path: Path, folder: str) -> None:
    broken = repository / "CamVid" / folder / "val_1.png"
    broken.write_bytes(broken.read_bytes()[:50])
    commit(repository)
    with pytest.raises(DataError, match=f"{folder}/val_1.png cannot be read"):
        fetch_camvid.fetch(str(repository), tmp_path / "data", COUNTS)
    assert list((tmp_path / "data").iterdir()) == []


def test_a_repository_without_camvid_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "readme").write_text("nothing here")
    commit(tmp_path / "other")
    with pytest.raises(DataError, match="has no folder CamVid/train"):
        fetch_camvid.fetch(str(tmp_path / "other"), tmp_path / "data", COUNTS)
    assert list((tmp_path / "data").iterdir()) == []


def test_without_git_the_command_says_so(tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPT), "--source", str(tmp_path / "none"), "--root", str(tmp_path / "data")]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PATH": str(tmp_path)})
    assert done.returncode == 1
    assert done.stderr.strip() == "Fetching CamVid needs the program git, which is not installed."


def test_an_unreachable_source_is_one_sentence_from_the_command(tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPT), "--source", str(tmp_path / "none")]
    environment = {**os.environ, "DATA_ROOT": str(tmp_path / "data")}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 1
    assert done.stderr.startswith(f"git could not clone {tmp_path / 'none'}") and done.stderr.count("\n") == 1
    assert list((tmp_path / "data").iterdir()) == []
