"""What every task has in common: an item, its texts, and the splits by group."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

LETTERS = "ABCDEFGH"
HINT = "Hint: {letter}"
HINT_REQUEST = "Without the hint?"


class TaskError(ValueError):
    """Items that cannot be used; the message names the file, the line and what was expected."""


@dataclass(frozen=True)
class Item:
    """One question with a cue C, and the same question without it.

    prompt (x) minus cue is counterfactual_prompt (x without C), byte for byte. choices are the answers a model may
    give after "Answer:", contents what each of them stands for, in the same order. hinted and gold are indices into
    choices; None where the cue names no choice or no answer is known to be right. request asks what the answer would be
    without the cue. Splits are by group.
    """

    id: str
    task: str
    group: str
    prompt: str
    counterfactual_prompt: str
    choices: tuple[str, ...]
    contents: tuple[str, ...]
    cue: str
    hinted: int | None = None
    gold: int | None = None
    request: str = HINT_REQUEST

    def __post_init__(self) -> None:
        if not self.cue or self.prompt.count(self.cue) != 1:
            raise TaskError(f"item {self.id}: the cue {self.cue!r} must stand in the prompt exactly once")
        if self.prompt.replace(self.cue, "") != self.counterfactual_prompt:
            raise TaskError(f"item {self.id}: the prompt without the cue is not the counterfactual prompt")
        for name, values in (("choices", self.choices), ("contents", self.contents)):
            if len(set(values)) != len(values) or len(values) < 2 or not all(v.strip() for v in values):
                raise TaskError(f"item {self.id}: {name} must be two or more different non-empty strings, not {list(values)}")
        if len(self.contents) != len(self.choices):
            raise TaskError(f"item {self.id}: {len(self.contents)} contents for {len(self.choices)} choices")
        for name in ("hinted", "gold"):
            if (index := getattr(self, name)) is not None and not 0 <= index < len(self.choices):
                raise TaskError(f"item {self.id}: {name}={index} is no index into {len(self.choices)} choices")


def question_item(
    task: str, id: str, group: str, question: str, contents: Sequence[str], hinted: int, gold: int, wording: str = HINT
) -> Item:
    """A lettered multiple-choice item whose cue is a line, in this wording, that proposes the letter `hinted`."""
    choices = tuple(LETTERS[: len(contents)])
    body = question + "\n" + "\n".join(f"{c} {text}" for c, text in zip(choices, contents, strict=True))
    cue = "\n" + wording.format(letter=choices[hinted])
    return Item(id, task, group, body + cue, body, choices, tuple(contents), cue, hinted, gold)


def check_splits(train: Iterable[Item], test: Iterable[Item]) -> None:
    """Raise TaskError where train and test share a group or an item id."""
    train, test = list(train), list(test)
    for what, of in (("group", lambda i: i.group), ("item id", lambda i: i.id)):
        if shared := {of(i) for i in train} & {of(i) for i in test}:
            raise TaskError(
                f"{len(shared)} {what}s stand in training and in test, for instance {sorted(shared)[0]!r}: splits must not share any"
            )


def read_items(path: Path) -> tuple[list[Item], list[Item]]:
    """Training and test items of a JSONL file, one object a line.

    Fields: id, group, split ("train" or "test"), prompt, cue, choices; optional contents (default: the choices),
    counterfactual_prompt (default: the prompt without the cue), hinted, gold, request (default: "Without the hint?").
    Raises TaskError with file and line.
    """
    splits: dict[str, list[Item]] = {"train": [], "test": []}
    try:
        lines = path.read_bytes().decode("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise TaskError(f"{path}: not UTF-8 at byte {error.start}") from None
    seen: set[str] = set()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            if not isinstance(row, dict):
                raise TaskError(f"expected a JSON object, not {type(row).__name__}")
            if missing := {"id", "group", "split", "prompt", "cue", "choices"} - row.keys():
                raise TaskError(f"missing {', '.join(sorted(missing))}")
            if unknown := row.keys() - {"split", *Item.__dataclass_fields__} | ({"task"} & row.keys()):
                raise TaskError(f"unknown {', '.join(sorted(unknown))}")
            split = row.pop("split")
            if split not in splits:
                raise TaskError(f"split={split!r}: expected 'train' or 'test'")
            for name in ("id", "group", "prompt", "cue", *({"request"} & row.keys())):
                if not isinstance(row[name], str) or not row[name]:
                    raise TaskError(f"{name} must be a non-empty string, not {row[name]!r}")
            row.setdefault("contents", row["choices"])
            for name in ("contents", "choices"):
                value = row[name]
                if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
                    raise TaskError(f"{name} must be a list of strings, not {value!r}")
                row[name] = tuple(value)
            row.setdefault("counterfactual_prompt", row["prompt"].replace(row["cue"], ""))
            item = Item(task="file", **row)
            if item.id in seen:
                raise TaskError(f"id {item.id!r} stands twice in the file")
            seen.add(item.id)
            splits[split].append(item)
        except (json.JSONDecodeError, TaskError, TypeError) as error:
            raise TaskError(f"{path}, line {number}: {error}") from None
    for split, items in splits.items():
        if not items:
            raise TaskError(f"{path}: no items with split={split!r}")
    return splits["train"], splits["test"]


def as_json(item: Item) -> str:
    """The item as one line of JSON, keys in a fixed order."""
    return json.dumps(asdict(item), sort_keys=True, ensure_ascii=False)


def balanced(rng: np.random.Generator, n: int, among: int) -> np.ndarray:
    """n integers below `among`, each equally often (to within one), in random order; int64."""
    return rng.permutation(np.arange(n) % among)
