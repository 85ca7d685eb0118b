"""Draw the figures of results folders again from their committed tables, and put the findings in the README:

python scripts/figures.py results/*/*
"""

import sys
from pathlib import Path

from deepcontrol.curves import MissingCell
from deepcontrol.findings import print_findings, write_readme
from deepcontrol.report import draw_study, print_summary

if __name__ == "__main__":
    folders = [Path(argument) for argument in sys.argv[1:]]
    try:
        for folder in folders:
            print_summary(folder)
            for path in draw_study(folder):
                print(path)
            print_findings(folder)
    except MissingCell as error:
        sys.exit(f"figures.py: {folder}: {error}")
    write_readme(Path(__file__).parents[1] / "README.md", folders)
