"""Words for the final errors of a cell's runs."""

import pandas as pd


def final_error(runs: pd.DataFrame) -> str:
    diverged = (runs["status"] == "diverged").sum()
    if diverged:
        return f"diverged ({diverged} of {len(runs)})"
    if len(runs) == 1:
        return f"{runs['final_error'].iloc[0]:.1%}"
    low, high = runs["final_error"].min(), runs["final_error"].max()
    return f"{runs['final_error'].mean():.1%} ({low:.1%} to {high:.1%})"
