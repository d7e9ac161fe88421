"""Write the table of claims as Markdown: lists by verdict, and every row."""

import pandas as pd

from coupling.analysis import claims
from coupling.report import figures

_LISTED = {"replicated": "What replicated", "not replicated": "What did not replicate"}
_EXPLORATIONS = (
    "A row marked *exploration* was written down after its data had been seen. Its verdict follows the same "
    "rule as the others, but it confirms nothing: it says where to look."
)


def _read_claims() -> pd.DataFrame:
    """Read the table of claims. Columns that older tables lack are added: exploration, part and why."""
    rows = figures.study_table("claims")
    missing = {"exploration": False, "part": float("nan"), "why": ""}
    return rows.assign(**{name: value for name, value in missing.items() if name not in rows})


def claims_parts() -> list[str]:
    """Return the paragraphs on the claims: lists by verdict, the counts of the rest, and the whole table."""
    rows = _read_claims()
    parts = [_EXPLORATIONS] if rows["exploration"].any() else []
    for verdict, title in _LISTED.items():
        found = [_claim_line(row) for _, row in rows[rows["verdict"] == verdict].iterrows()]
        parts += [f"### {title}", "\n".join(found) or "Nothing."]
    failed = rows[rows["verdict"] == "not computable"]
    if len(failed):
        reasons = [f"- {_claim_name(row)}: {row['why'].rstrip('.')}." for _, row in failed.iterrows()]
        parts += ["### What could not be computed", "\n".join(reasons)]
    counts = rows["verdict"].value_counts()
    parts.append(
        f"Beside these, {counts.get('inconclusive', 0)} rows are inconclusive "
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
    return f"- {_claim_name(row)}: {row['measure']} {_effect(row)}."


def _effect(row: pd.Series) -> str:
    """Return a claim's effect with its interval; nothing where it has none."""
    if pd.isna(row["effect"]):
        return ""
    return f"{row['effect']:+.3f} ({row['low']:+.3f} to {row['high']:+.3f})"


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
    verdict = f"{row['verdict']}: {row['why']}" if row["verdict"] == "not computable" else row["verdict"]
    return {
        "claim": row["claim"],
        "what is claimed": row["text"],
        "task": _where(row),
        "effect": row["measure"],
        "value": _effect(row),
        "seeds above": "" if pd.isna(row["seeds_above"]) else f"{row['seeds_above']:.0f} of {row['seeds']}",
        "p": "" if pd.isna(row["p"]) else f"{row['p']:.4f}",
        "controls": _controls(row),
        "plan": ", ".join(text for text in (part, "exploration" if row["exploration"] else "") if text),
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
