"""Generate docs/results.md by question: the figure, what came out, a table, and what it does not show."""

import json
import re

from coupling import files
from coupling.analysis import tables
from coupling.report import answers, figures, largest, study
from coupling.report.claims_text import NOT_TESTED, capital, markdown_table, read_claims, where
from coupling.report.figures.style import interval_of, span
from coupling.report.questions import QUESTIONS, Part, Question
from coupling.report.setting_text import attention_parts, decoding_parts, gate_parts
from coupling.sweep import Sweep, read_sweep

LIMITS = "What it does not show"
_SETTING = {"gate": gate_parts, "bench_decoding": decoding_parts, "bench_attention": attention_parts}


def results_block() -> str:
    """Return the generated part of docs/results.md as Markdown.

    It has every question whose sweeps have tables, how large the effect is where it is largest, and at the
    end the setting for claims on a real model and what is known of the engine. What has no table is left out.
    """
    made = set(tables.collected())
    asked = [(question, _there(question, made)) for question in QUESTIONS]
    asked = [(question, parts) for question, parts in asked if parts]
    answered = {question.title: _question(question, parts) for question, parts in asked}
    if found := largest.largest_parts():
        first, *others = answered.items()
        answered = dict([first, (largest.TITLE, found), *others])
    text = ["\n".join(f"- [{title}](#{anchor(title)})" for title in answered)] if answered else []
    text += [paragraph for paragraphs in answered.values() for paragraph in paragraphs]
    for name, parts_of in _SETTING.items():
        if (files.tables_dir() / f"{name}.parquet").exists():
            text += parts_of(figures.study_table(name))
    return "\n\n".join(text)


def anchor(title: str) -> str:
    """Return the name by which a page links to a heading, as GitHub and Sphinx make it."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def _there(question: Question, made: set[tuple[str, str]]) -> list[Part]:
    return [part for part in question.parts if (part.profile, part.sweep) in made]


def _question(question: Question, parts: list[Part]) -> list[str]:
    """Return the paragraphs of one question."""
    text = [f"## {question.title}"]
    if question.figure and (files.figures_dir() / f"{question.figure}.png").exists():
        text.append(f"![{figures.what(question.figure)}](../figures/{question.figure}.png)")
    decided: set[tuple[str, str]] = set()
    for part in parts:
        text += _part(part, (part.profile, part.sweep) not in decided)
        decided.add((part.profile, part.sweep))
    used = list(dict.fromkeys(part.figure for part in parts))
    if limits := list(dict.fromkeys(line for figure in used for line in limits_of(figure))):
        text += [f"**{LIMITS}.**", "\n".join(limits)]
    there = [study.notebook_of(name) for name in used if study.has_notebook(name)]
    places = [f"[{notebook}](../notebooks/{notebook}.ipynb)" for notebook in there]
    rows = [f"[{claim_title(number)}](claims.md#{anchor(claim_title(number))})" for number in question.claims]
    more = {"Notebooks": places, "Verdicts": rows}
    return [*text, " ".join(f"{what}: {', '.join(links)}." for what, links in more.items() if links)]


def claim_title(number: str) -> str:
    """Return the heading that a claim has in docs/claims.md."""
    return "Our own claims" if number == "own" else f"Claim {number}"


def _part(part: Part, with_verdicts: bool) -> list[str]:
    """Return the paragraphs of one figure: how it was made, the figure, what came out, and the table.

    Verdicts are those of the whole sweep, so that of its figures the first one has them.
    """
    data = tables.read(part.profile, part.sweep)
    answer = answers.of_tables(part.figure, data, part.conditions)
    first, sweep = data.summary.iloc[0], read_sweep(part.sweep)
    m0s = f"{first['seeds']} M0s" if first["seeds"] > 1 else "one M0"
    runs = f"{span(data.summary['runs'])} run{'' if data.summary['runs'].max() == 1 else 's'}"
    about = (
        f"{_planned(sweep, set(data.summary['task']))}{m0s}, {runs} a condition, "
        f"{span(data.summary['items'])} test items. 95 % intervals: "
        f"{interval_of(first['seeds'], data.summary['runs'])}."
    )
    title = f"### {sweep.title} ({part.profile}): {part.figure.replace('_', ' ')}"
    made = (title, sweep.at(part.profile).question, capital(about))
    image = f"{part.profile}/{part.sweep}-{part.figure}.png"
    shown = [f"![{figures.what(part.figure)}](../figures/{image})"]
    return [
        *made,
        *(shown if (files.figures_dir() / image).exists() else []),
        answer.text,
        *(_verdicts(sweep, part.profile) if with_verdicts else []),
        markdown_table(list(answer.filled), answer.filled.to_numpy().tolist()),
    ]


def _verdicts(sweep: Sweep, profile: str) -> list[str]:
    """Say how the rows of a sweep were decided: its primary tests one by one, and how many others."""
    if not (files.tables_dir() / "claims.parquet").exists():
        return []
    rows = read_claims()
    rows = rows[rows["text"].isin([c.text for c in sweep.claims]) & (rows["profile"] == profile)]
    rows = rows[rows["verdict"] != NOT_TESTED]
    if rows.empty:
        return []
    primary = rows["primary"].astype(bool)
    lines = [
        f"- Primary test of claim {row['claim']} ({where(row)}): **{row['verdict']}**"
        f"{' (exploration)' if row['exploration'] else ''}"
        f"{': ' + row['why'] if row['why'] and not row['supported'] else ''}."
        for _, row in rows[primary].iterrows()
    ]
    counts = rows.loc[~primary, "verdict"].value_counts()
    if len(counts):
        each = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
        lines.append(f"- {'Other rows' if lines else 'Rows'} in [claims.md](claims.md): {each}.")
    return ["Verdicts:\n\n" + "\n".join(lines)]


def _planned(sweep: Sweep, tasks: set[str]) -> str:
    """Say whether the rules for these tasks stood before their data; nothing where no claim is decided."""
    rules = [claim for claim in sweep.claims if claim.rule and tasks & set("+".join(claim.tasks).split("+"))]
    if not rules:
        return ""
    return "An exploration: " if all(claim.exploration for claim in rules) else "Planned before its data: "


def limits_of(figure: str) -> list[str]:
    """Return the lines on what a figure does not show, from its notebook; none without a notebook."""
    found = sorted((files.root() / "notebooks").glob(f"[1-9][0-9]_{figure}.ipynb"))
    cells = json.loads(found[0].read_text())["cells"] if found else []
    text = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    section = text.partition(f"## {LIMITS}\n")[2].partition("\n## ")[0]
    return [line for line in section.splitlines() if line.startswith("- ")]
