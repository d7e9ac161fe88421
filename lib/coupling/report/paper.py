"""The page that maps what is known of the paper's claims, experiments and figures to those of this study."""

import re

import pandas as pd

from coupling import files
from coupling.analysis import tables
from coupling.report import figures, study
from coupling.report.claims_text import markdown_table

_CLAIM = re.compile(r"^\| (\d+) \| (.+) \| ([^|]+) \|$", re.MULTILINE)
_INTRODUCTION = """\
# The paper and this study

This page shows what is known of the paper ([arXiv 2606.32038](https://arxiv.org/abs/2606.32038)) beside what
this study has on it. The paper's body text could not be obtained and its code is not public. So each
statement has a grade, which [method.md](method.md#what-the-paper-claims) explains, and what is not known is
not guessed. The page is generated from the list of the paper's claims in method.md, from the sweeps, and from
the verdicts in figures/data/claims.parquet."""
_CLAIMS = """\
## Claim by claim

The *primary test* is the one by which a claim of the paper stands or falls here. Where there are two, the
planned one decides, and the other one is an exploration. The verdicts are those of the committed tables.
[claims.md](claims.md) has every row with its numbers."""
_FIGURES = """\
## Experiments and figures

The paper has 19 figures on 32 pages. Of these we know the start of Figure 1, and that appendices D.1 and D.2
vary the rank and the learning rate. Which figure shows what else is not known, so that experiments stand in
the place of figures. A figure of ours asks the same question, by our own models, items and settings. It is no
copy of theirs."""
_OURS = """\
## What the paper does not have, as far as is known

The preference and the excess gap, the teacher matrix, facts that are taught anew, the sensor of behaviour,
the knowledge of M0 as something that is varied, and the controls are our own. [method.md](method.md#controls)
defines them."""
# What is known of the paper's experiments: what, its grade, and the figures of ours that ask the same.
_EXPERIMENTS = (
    (
        "Self and target on three tasks (claim 1)",
        "[A]; the values [B]",
        ["*/confirm-headline", "*/headline-headline", "scale"],
    ),
    (
        "With and without the KL term (claim 2)",
        "[B]",
        ["*/confirm-headline", "*/confirm_kl-curve", "*/headline-headline", "*/kl_weight-curve"],
    ),
    (
        "Labels of another family (claim 3)",
        "[A]; the values [B]",
        ["*/confirm_labels-headline", "*/sources-curve"],
    ),
    ("A sweep of the mixing ratio α of own and other labels (claim 3)", "[C]", ["*/sources-curve"]),
    (
        "The ν-sweep of the agreement of labels with behaviour (claim 4)",
        "[B]",
        [
            *("*/confirm_agreement-curve", "*/confirm_disagreement-curve"),
            *("*/agreement-curve", "*/agreement_tasks-curve"),
        ],
    ),
    (
        "Another objective beside explanation training: sycophancy reduction, refusal tuning (claim 5)",
        "[A]; the objectives [C]",
        ["*/shift-tracking", "*/shift-directions"],
    ),
    ("Label noise (claim 6)", "[A]", ["*/confirm_labels-headline", "*/label_noise-curve"]),
    ("Appendix D.1: LoRA rank (claim 7)", "[B]", ["*/confirm_rank-headline", "*/rank-curve"]),
    ("Appendix D.2: learning rate (claim 8)", "[B]", ["*/confirm_rate-curve", "*/learning_rate-curve"]),
    ("A new behaviour, Jabberwocky (claim 9)", "[B]", ["*/new_behaviour-new_behaviour"]),
    (
        "Regions of input space without labels (claim 9)",
        "[A]",
        ["*/confirm_regions-held_out", "*/held_out-held_out"],
    ),
    ("Activation patching (claim 10)", "[B]", ["*/circuits-circuits"]),
    ("Near-constant labels (claim 11)", "[B]", ["*/depth-depth"]),
)


def write() -> None:
    """Write docs/paper.md, where there are committed tables and the page of the method."""
    if (files.tables_dir() / "claims.parquet").exists() and (files.root() / "docs/method.md").exists():
        files.write_text(files.root() / "docs" / "paper.md", page() + "\n")


def page() -> str:
    """Return the page as Markdown."""
    rows = figures.study_table("claims")
    method = (files.root() / "docs" / "method.md").read_text()
    sweeps = _sweeps()
    claims = [
        [number, claim, grade, _verdicts(rows, number), ", ".join(sweeps.get(number, [])) or "none"]
        for number, claim, grade in _CLAIM.findall(method)
    ]
    experiments = [
        [what, grade, ", ".join(link for figure in ours for link in _links(figure)) or "none"]
        for what, grade, ours in _EXPERIMENTS
    ]
    header = ["claim", "what is claimed", "grade", "our primary test", "our sweeps with results"]
    parts = [_INTRODUCTION, _CLAIMS, markdown_table(header, claims), _FIGURES]
    return "\n\n".join([*parts, markdown_table(["of the paper", "grade", "ours"], experiments), _OURS])


def _verdicts(rows: pd.DataFrame, number: str) -> str:
    """Return the verdicts of a claim's primary tests, with where they were tested."""
    primary = rows[(rows["claim"] == number) & rows["primary"].astype(bool)]
    tested = primary[primary["verdict"] != "not tested"].sort_values("exploration", kind="stable")
    said = [
        f"{'exploration: ' if row['exploration'] else ''}{row['verdict']} ({row['task']}, {row['profile']})"
        for _, row in tested.iterrows()
    ]
    return "; ".join(said) or "not tested"


def _sweeps() -> dict[str, list[str]]:
    """Return by the number of a claim the sweeps that decide rows of it and have tables."""
    found: dict[str, list[str]] = {}
    for profile, sweep in tables.collected():
        decided = [claim.number for claim in study.load(sweep).at(profile).claims if claim.rule]
        for number in dict.fromkeys(decided):
            found.setdefault(number, []).append(f"{sweep} ({profile})")
    return found


def _links(figure: str) -> list[str]:
    """Return links to the images of a figure at each profile that has it."""
    top = files.figures_dir()
    paths = sorted((path.relative_to(top) for path in top.glob(f"{figure}.png")), reverse=True)
    return [f"[{path.with_suffix('')}](../figures/{path})" for path in paths]
