"""What the results say, in words and tables, beside what the papers say: generated, never typed."""

import re
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.markdown import Markdown

from deepcontrol.caption import caption
from deepcontrol.studies import STUDIES


def cost(folder: Path) -> str:
    summary = pd.read_csv(folder / "summary.csv")
    seeds = summary["seed"].nunique()
    minutes = summary["seconds"].sum() / seeds / 60
    return f"{seeds} seed{'s' if seeds > 1 else ''}; the cells of one took {minutes:.0f} minutes of a core or GPU"


def print_findings(folder: Path) -> None:
    """Table and answers of one results folder, on the terminal and in its findings.md."""
    # Links to configs/ hold in the README only.
    text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", findings(folder.parent.name, [folder]))
    (folder / "findings.md").write_text(text)
    Console(width=max(Console().width, 100)).print(Markdown(text))


def write_readme(readme: Path, folders: list[Path]) -> None:
    """Put each study's table and answers between its markers in the README."""
    text = readme.read_text()
    for study in sorted({folder.parent.name for folder in folders}):
        opening, closing = f"<!-- findings: {study} -->\n", f"<!-- /findings: {study} -->"
        before, marker, rest = text.partition(opening)
        _, end, after = rest.partition(closing)
        if not marker or not end:
            raise ValueError(f"{readme}: the markers {opening.strip()} and {closing} are missing")
        own = [folder for folder in folders if folder.parent.name == study]
        text = f"{before}{marker}{findings(study, own)}{end}{after}"
    readme.write_text(text)


def findings(study: str, folders: list[Path]) -> str:
    parts = [STUDIES[study].table(folders)]
    for folder in folders:
        parts.append(f"**{folder.name}.** {caption(folder)} What it says of the paper's claims ({cost(folder)}):")
        parts.append("\n".join(f"- {answer}" for answer in STUDIES[study].answers(folder)))
    return "\n\n".join(parts) + "\n"
