"""What every task has in common: an item, its texts, and the splits by group."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from coupling import files
from coupling.errors import StudyError
from coupling.files import BY_CONTENT

LETTERS = "ABCDEFGH"
HINT = "Hint: {letter}"
HINT_REQUEST = "Without the hint?"


class TaskError(StudyError, ValueError):
    """Items that cannot be used; the message names the file, the line and what was expected."""


@dataclass(frozen=True)
class Item:
    """One question with a cue C, and the same question without it.

    prompt (x) minus cue is counterfactual_prompt (x without C), byte for byte. choices are the answers a model may
    give after "Answer:", contents what each of them stands for, in the same order. hinted and gold are indices into
    choices; None where the cue names no choice or no answer is known to be right. request asks what the answer would be
    without the cue. replies: whether the behaviour is what the model's own greedy reply to the prompt does (see
    `detector`), rather than its choice after "Answer:". Splits are by group; kind names the region of input space that the
    item lies in, where the task has regions; feature a word of the prompt by which labels can be changed and that decides
    nothing else, where there is one.
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
    replies: bool = False
    kind: str = ""
    feature: str = ""

    def __post_init__(self) -> None:
        if not self.cue or self.prompt.count(self.cue) != 1:
            raise TaskError(f"item {self.id}: the cue {self.cue!r} must stand in the prompt exactly once")
        if self.prompt.replace(self.cue, "") != self.counterfactual_prompt:
            raise TaskError(f"item {self.id}: the prompt without the cue is not the counterfactual prompt")
        for name, values in (("choices", self.choices), ("contents", self.contents)):
            if len(set(values)) != len(values) or len(values) < 2 or not all(v.strip() for v in values):
                raise TaskError(
                    f"item {self.id}: {name} must be two or more different non-empty strings, not {list(values)}"
                )
        if len(self.contents) != len(self.choices):
            raise TaskError(f"item {self.id}: {len(self.contents)} contents for {len(self.choices)} choices")
        for name in ("hinted", "gold"):
            if (index := getattr(self, name)) is not None and not 0 <= index < len(self.choices):
                raise TaskError(
                    f"item {self.id}: {name}={index} is no index into {len(self.choices)} choices"
                )


def question_item(
    task: str,
    id: str,
    group: str,
    question: str,
    contents: Sequence[str],
    hinted: int,
    gold: int,
    wording: str = HINT,
    kind: str = "",
    feature: str = "",
) -> Item:
    """A lettered multiple-choice item whose cue is a line, in this wording, that proposes the letter `hinted`."""
    choices = tuple(LETTERS[: len(contents)])
    body = question + "\n" + "\n".join(f"{c} {text}" for c, text in zip(choices, contents, strict=True))
    cue = "\n" + wording.format(letter=choices[hinted])
    return Item(
        id,
        task,
        group,
        body + cue,
        body,
        choices,
        tuple(contents),
        cue,
        hinted,
        gold,
        kind=kind,
        feature=feature,
    )


def check_splits(train: Iterable[Item], test: Iterable[Item]) -> None:
    """Raise TaskError where train and test share a group or an item id."""
    train, test = list(train), list(test)
    for what, of in (("group", lambda i: i.group), ("item id", lambda i: i.id)):
        if shared := {of(i) for i in train} & {of(i) for i in test}:
            raise TaskError(
                f"{len(shared)} {what}s stand in training and in test, for instance {sorted(shared)[0]!r}: splits must not share any"
            )


def kinds_of(kinds: Iterable[str], world_seed: int, share: float) -> set[str]:
    """The share of an item set's kinds whose explanations are never trained, the same for every run of the world."""
    kinds = sorted(set(kinds))
    return {
        str(k) for k in np.random.default_rng([world_seed, 6]).permutation(kinds)[: round(share * len(kinds))]
    }


def located(field: str, source: str) -> Path:
    """The file of a source: a path, hub:OWNER/NAME/FILE of a dataset on the hub, or sha256:DIGEST of a file in the data folder (`files.data_dir`).
    Raises TaskError that names the field."""
    if source.startswith(BY_CONTENT):
        where = files.data_dir()
        found = (
            p for p in sorted(where.rglob("*")) if p.is_file() and BY_CONTENT + files.sha256(p) == source
        )
        if (path := next(found, None)) is None:
            raise TaskError(
                f"{field}={source}: no file in {where.resolve()} has this content; put it there, or name its folder in COUPLING_DATA"
            )
        return path
    if not source.startswith("hub:"):
        return Path(source)
    from huggingface_hub import hf_hub_download

    owner, name, file = [*source.removeprefix("hub:").split("/", 2), "", ""][:3]
    if not file:
        raise TaskError(
            f"{field}={source}: expected hub:OWNER/NAME/FILE, a path, or one of the named datasets"
        )
    try:
        return Path(hf_hub_download(f"{owner}/{name}", file, repo_type="dataset"))
    except (
        Exception
    ) as error:  # no network, no such file, a gate: the hub's library has a class of its own for each
        raise TaskError(
            f"{field}={source}: it cannot be fetched from the hub ({str(error).splitlines()[0]}); give the path of a file"
        ) from None


def read_jsonl(path: Path, fields: Sequence[str]) -> dict[int, dict]:
    """Rows of a JSONL file by line number, each an object with these fields as non-empty strings; blank lines do not count.

    Raises TaskError with file, line and what was expected.
    """
    rows: dict[int, dict] = {}
    for number, line in enumerate(path.read_bytes().split(b"\n"), 1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        try:
            row = json.loads(line.decode("utf-8"))
        except UnicodeDecodeError as error:
            raise TaskError(f"{where}: not UTF-8 at byte {error.start} of the line") from None
        except json.JSONDecodeError as error:
            raise TaskError(f"{where}: not JSON ({error})") from None
        if not isinstance(row, dict):
            raise TaskError(f"{where}: expected a JSON object, not {type(row).__name__}")
        for name in fields:
            if name not in row:
                raise TaskError(f"{where}: missing {name}; expected {', '.join(fields)}")
            if not isinstance(row[name], str) or not row[name].strip():
                raise TaskError(f"{where}: {name} must be a non-empty string, not {row[name]!r}")
        rows[number] = row
    if not rows:
        raise TaskError(f"{path}: no rows; expected JSONL with {', '.join(fields)}")
    return rows


def read_items(path: Path) -> tuple[list[Item], list[Item]]:
    """Training and test items of a JSONL file, one object a line.

    Fields: id, group, split ("train" or "test"), prompt, cue, choices; optional contents (default: the choices),
    counterfactual_prompt (default: the prompt without the cue), hinted, gold, kind, feature, request (default: "Without the hint?").
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
            if unknown := row.keys() - {"split", *Item.__dataclass_fields__} | (
                {"task", "replies"} & row.keys()
            ):
                raise TaskError(f"unknown {', '.join(sorted(unknown))}")
            split = row.pop("split")
            if split not in splits:
                raise TaskError(f"split={split!r}: expected 'train' or 'test'")
            for name in ("id", "group", "prompt", "cue", *({"request", "kind", "feature"} & row.keys())):
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
