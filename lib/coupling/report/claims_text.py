"""Words for the rows of the table of claims: names, effects, controls, verdicts, and the whole table."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from coupling.analysis import claims
from coupling.report import figures

_NUMBERS = ("effect", "low", "high")
NOT_TESTED = "not tested"
_SHARES = ("preference", "agreement")  # measures that are no differences, and so have no sign


def read_claims() -> pd.DataFrame:
    """Read the table of claims. Columns that older tables lack are added."""
    rows = figures.study_table("claims")
    missing = {"exploration": False, "part": float("nan"), "why": "", "primary": False, "supported": False}
    missing |= dict.fromkeys(("p_alone", "drawn_low", "drawn_high"), float("nan"))
    return rows.assign(**{name: value for name, value in missing.items() if name not in rows})


def counted_verdicts(rows: pd.DataFrame) -> str:
    """Return in one sentence how many rows of the table of claims have each verdict."""
    counts = rows["verdict"].value_counts()
    each = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
    return f"Verdicts of the {counts.sum()} rows of the table of claims: {each}."


def in_words(rows: pd.DataFrame) -> list[str]:
    """Say how many rows have each verdict, and what became of the primary test of each claim."""
    primary = rows[rows["primary"].astype(bool)]
    tested = primary[primary["verdict"] != NOT_TESTED]
    tests = [
        f"The primary test of {claim_number(row['claim'])}, {where(row)}: {row['verdict']}."
        for _, row in tested.iterrows()
    ]
    return [
        counted_verdicts(rows),
        f"{int(rows['exploration'].sum())} of the rows are explorations, which confirm nothing.",
        f"{len(tested)} of {len(primary)} primary tests have been run.",
        *tests,
    ]


def claim_number(number: str) -> str:
    """Return how a claim is called within a sentence."""
    return "our own" if number == "own" else f"claim {number}"


def claim_name(row: pd.Series) -> str:
    """Return a claim's text with its number, where it was tested, and whether it is an exploration."""
    about = [claim_number(row["claim"]), where(row), *(["exploration"] if row["exploration"] else [])]
    return f"{capital(row['text'])} ({'; '.join(about)})"


def capital(text: str) -> str:
    """Return a text that begins with a capital letter."""
    return f"{text[:1].upper()}{text[1:]}"


def effect_text(row: Mapping[str, Any]) -> str:
    """Return a claim's effect with its interval; nothing where it has none."""
    if pd.isna(row["effect"]):
        return ""
    share = row["measure"].startswith(_SHARES) and "−" not in row["measure"]
    effect, low, high = (f"{row[name]:.3f}" if share else f"{row[name]:+.3f}" for name in _NUMBERS)
    return f"{effect} ({low} to {high})"


def where(row: pd.Series) -> str:
    """Return where a claim was tested: task, profile and number of seeds, as far as there are any."""
    unit = row["unit"].removesuffix("s") if row["seeds"] == 1 else row["unit"]
    seeds = [f"{row['seeds']} {unit}"] if row["seeds"] else []
    tested = [] if row["verdict"] == NOT_TESTED else [row["profile"]]
    return ", ".join(filter(None, [row["task"], *tested, *seeds]))


def claims_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Write rows of the table of claims for readers: every cell is text, and no column is without entries."""
    cells = pd.DataFrame([_cells(row) for _, row in rows.iterrows()])
    return cells.loc[:, (cells != "").any()]


def _cells(row: pd.Series) -> dict[str, str]:
    """Return one row of the table of claims, by column."""
    part = "" if pd.isna(row["part"]) else f"part {row['part']:.0f}"
    verdict = f"{row['verdict']}: {row['why']}" if row["why"] else row["verdict"]
    drawn = "" if pd.isna(row["drawn_low"]) else f"{row['drawn_low']:+.3f} to {row['drawn_high']:+.3f}"
    about = (part, "primary" if row["primary"] else "", "exploration" if row["exploration"] else "")
    return {
        "claim": row["claim"],
        "what is claimed": row["text"],
        "task": where(row),
        "effect": row["measure"],
        "value": effect_text(row),
        "bootstrap": drawn,
        "seeds above": "" if pd.isna(row["seeds_above"]) else f"{row['seeds_above']:.0f} of {row['seeds']}",
        "p alone": "" if pd.isna(row["p_alone"]) else f"{row['p_alone']:.4f}",
        "p": "" if pd.isna(row["p"]) else f"{row['p']:.4f}",
        "controls": _controls(row),
        "plan": ", ".join(text for text in about if text),
        "verdict": verdict,
    }


def _controls(row: pd.Series) -> str:
    """Return how many of a claim's controls were passed, and the names of the others by outcome."""
    if not row["seeds"]:
        return ""
    names = {
        outcome: [c.removesuffix(f": {outcome}") for c in row["controls"] if c.endswith(f": {outcome}")]
        for outcome in claims.OUTCOMES.values()
    }
    passed = len(names.pop(claims.OUTCOMES[True]))
    missed = "".join(f"; {outcome}: {'; '.join(some)}" for outcome, some in names.items() if some)
    return f"{passed} of {len(row['controls'])}{missed}"


def markdown_table(header: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table."""
    lines = [f"| {' | '.join(cells)} |" for cells in (header, *rows)]
    return "\n".join([lines[0], "|" + "---|" * len(header), *lines[1:]])
