"""Train a study's cells, or skip what is trained; then write its tables and figures.

python scripts/reproduce.py figure1 --data streets --preset desk --seeds 0
python scripts/reproduce.py scale --seeds 0,1,2
"""

import argparse
import json
import sys
from pathlib import Path

from deepcontrol.config import ConfigError
from deepcontrol.curves import read_provenance, read_runs
from deepcontrol.data.samples import DataError
from deepcontrol.data.sources import open_data
from deepcontrol.entry import cells, compose_cell
from deepcontrol.findings import print_findings
from deepcontrol.provenance import describe_data
from deepcontrol.records import RunError, check_data
from deepcontrol.report import draw_study, print_summary
from deepcontrol.studies import STUDIES
from deepcontrol.sweep import Job, SweepError, train_all


def main(arguments: argparse.Namespace) -> None:
    jobs = [job(cell, seed, arguments) for seed in arguments.seeds for cell in cells(arguments.study)]
    data = open_data(jobs[0].config.data, progress=True)
    for known in jobs:
        if known.ended:
            check_data(known.folder, describe_data(known.config, data))
    train_all(jobs, arguments.at_once)
    runs = [(job.cell, job.folder) for job in jobs]
    results = arguments.results / arguments.study / f"{jobs[0].config.data.label}-{arguments.preset}"
    results.mkdir(parents=True, exist_ok=True)
    tables = read_runs(runs)
    for name in ("curves", "summary"):
        tables[name].to_csv(results / f"{name}.csv", index=False)
    compressed = {"method": "gzip", "mtime": 0}  # no date in it, so that the same runs give the same bytes
    for name in ("gains", *["steps"] * STUDIES[arguments.study].by_step):
        tables[name].to_csv(results / f"{name}.csv.gz", index=False, float_format="%.6g", compression=compressed)
    (results / "provenance.json").write_text(json.dumps(read_provenance(runs), indent=2) + "\n")
    print_summary(results)
    print_findings(results)
    for path in draw_study(results):
        print(path)


def job(cell: str, seed: int, arguments: argparse.Namespace) -> Job:
    overrides = [f"cell={cell}", f"seed={seed}", f"preset={arguments.preset}", f"runs={arguments.runs}"]
    overrides += [f"data={arguments.data}"] * bool(arguments.data) + arguments.overrides
    if arguments.at_once != 1:
        overrides.append("threads=1")
    train = str(Path(__file__).with_name("train.py"))
    return Job(cell, (sys.executable, train, *overrides), compose_cell(overrides))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", choices=list(STUDIES))
    parser.add_argument("--data", help="a file of configs/data; left out, what is painted on the spot")
    parser.add_argument("--preset", default="desk", help="smoke, desk, gpu or paper")
    parser.add_argument("--seeds", default="0", type=lambda text: [int(seed) for seed in text.split(",")], help="0,1,2")
    parser.add_argument("--at-once", type=int, help="cells trained at the same time; one a GPU or core if left out")
    parser.add_argument("--runs", default="runs", help="where run folders go")
    parser.add_argument("--results", default=Path("reproduced"), type=Path, help="where tables and figures go")
    parser.add_argument("overrides", nargs="*", help="further Hydra overrides, such as epochs=20")
    try:
        main(parser.parse_intermixed_args())
    except (ConfigError, DataError, RunError, SweepError) as error:
        sys.exit(f"reproduce.py: {error}")
