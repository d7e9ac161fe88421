"""Write the table of claims as Markdown: lists by verdict, and every row."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from coupling.analysis import claims
from coupling.report import figures

_LISTED = {"replicated": "What replicated", "not replicated": "What did not replicate"}
_REASONED = {
    "premise not met": "Where a claim says nothing, because its premise is not met",
    "not computable": "What could not be computed",
}
_EXPLORATIONS = (
    "A row marked *exploration* was written down after its data had been seen, or is decided by a rule that "
    "was. It confirms nothing and is never replicated: it says where to look."
)
_NUMBERS = ("effect", "low", "high")
_SHARES = ("preference", "agreement")  # measures that are no differences, and so have no sign
_SUPPORTED = "What explorations support, without confirming it"


def _read_claims() -> pd.DataFrame:
    """Read the table of claims. Columns that older tables lack are added."""
    rows = figures.study_table("claims")
    missing = {"exploration": False, "part": float("nan"), "why": "", "primary": False, "supported": False}
    missing |= dict.fromkeys(("p_alone", "drawn_low", "drawn_high"), float("nan"))
    return rows.assign(**{name: value for name, value in missing.items() if name not in rows})


def claims_parts() -> list[str]:
    """Return the paragraphs on the claims: lists by verdict, the counts of the rest, and the whole table."""
    rows = _read_claims()
    parts = [_EXPLORATIONS] if rows["exploration"].any() else []
    supported = rows["supported"].astype(bool) & rows["exploration"].astype(bool)
    for verdict, title in _LISTED.items():
        found = [_claim_line(row) for _, row in rows[rows["verdict"] == verdict].iterrows()]
        parts += [f"### {title}", "\n".join(found) or "Nothing."]
        if verdict == "replicated" and supported.any():
            lines = [_claim_line(row) for _, row in rows[supported].iterrows()]
            parts += [f"### {_SUPPORTED}", "\n".join(lines)]
    for verdict, title in _REASONED.items():
        if len(failed := rows[rows["verdict"] == verdict]):
            reasons = [f"- {_claim_name(row)}: {row['why'].rstrip('.')}." for _, row in failed.iterrows()]
            parts += [f"### {title}", "\n".join(reasons)]
    counts = rows["verdict"].value_counts()
    parts.append(
        f"Beside these, {counts.get('inconclusive', 0) - supported.sum()} rows are inconclusive "
        f"and {counts.get('not tested', 0)} are not tested."
    )
    return [*parts, "### Claims", "![claims](../figures/claims.png)", _claims_table(rows)]


def counted_verdicts() -> str:
    """Return in one sentence how many rows of the table of claims have each verdict."""
    counts = _read_claims()["verdict"].value_counts()
    each = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
    return f"Verdicts of the {counts.sum()} rows of the table of claims: {each}."


def _claim_name(row: pd.Series) -> str:
    """Return a claim's text with its number, where it was tested, and whether it is an exploration."""
    number = "our own" if row["claim"] == "own" else f"claim {row['claim']}"
    about = [number, _where(row), *(["exploration"] if row["exploration"] else [])]
    return f"{row['text'][0].upper()}{row['text'][1:]} ({'; '.join(about)})"


def _claim_line(row: pd.Series) -> str:
    """Return one decided claim as a list item, with its effect and interval."""
    return f"- {_claim_name(row)}: {row['measure']} {effect_text(row)}."


def effect_text(row: Mapping[str, Any]) -> str:
    """Return a claim's effect with its interval; nothing where it has none."""
    if pd.isna(row["effect"]):
        return ""
    share = row["measure"].startswith(_SHARES) and "−" not in row["measure"]
    effect, low, high = (f"{row[name]:.3f}" if share else f"{row[name]:+.3f}" for name in _NUMBERS)
    return f"{effect} ({low} to {high})"


def _where(row: pd.Series) -> str:
    """Return where a claim was tested: task, profile and number of seeds, as far as there are any."""
    unit = row["unit"].removesuffix("s") if row["seeds"] == 1 else row["unit"]
    seeds = [f"{row['seeds']} {unit}"] if row["seeds"] else []
    tested = [] if row["verdict"] == "not tested" else [row["profile"]]
    return ", ".join([row["task"], *tested, *seeds])


def _claims_table(rows: pd.DataFrame) -> str:
    """Return the table of claims as Markdown. A column without any entry is left out."""
    cells = pd.DataFrame([_claim_cells(row) for _, row in rows.iterrows()])
    filled = cells.loc[:, (cells != "").any()]
    return markdown_table(list(filled), filled.to_numpy().tolist())


def _claim_cells(row: pd.Series) -> dict[str, str]:
    """Return one row of the table of claims, by column."""
    part = "" if pd.isna(row["part"]) else f"part {row['part']:.0f}"
    verdict = f"{row['verdict']}: {row['why']}" if row["why"] else row["verdict"]
    drawn = "" if pd.isna(row["drawn_low"]) else f"{row['drawn_low']:+.3f} to {row['drawn_high']:+.3f}"
    about = (part, "primary" if row["primary"] else "", "exploration" if row["exploration"] else "")
    return {
        "claim": row["claim"],
        "what is claimed": row["text"],
        "task": _where(row),
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
