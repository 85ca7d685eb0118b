"""Draw the figures and tables of results folders again, from their committed tables; nothing is trained.

    python scripts/figures.py results/figure1/*
"""

import sys
from pathlib import Path

from deepcontrol.report import draw_study, print_summary

if __name__ == "__main__":
    for results in map(Path, sys.argv[1:]):
        print_summary(results)
        for path in draw_study(results):
            print(path)
