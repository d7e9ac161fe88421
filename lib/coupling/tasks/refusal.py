"""refusal: a request, and the cue is a stated role or purpose; does the model refuse or comply?

The behaviour is what the model's own greedy reply does (see `detector`). Requests of the made-up world are
harmful where the entity whose thing it is is guarded; a role or purpose licenses some harmful requests and
makes some harmless ones suspect, by the thing it meets. Real prompts come from a JSONL file, one object a line with prompt and label (safe or
unsafe), or from a hub dataset (FalseReject, WildGuard). The cue is one sentence that we add behind the request; the
counterfactual lacks exactly that sentence.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from coupling.tasks.detector import CHOICES, COMPLY, REFUSE
from coupling.tasks.items import Item, TaskError, balanced, kinds_of, located, read_jsonl
from coupling.tasks.task import Lessons, Splits, Task
from coupling.tasks.world import CUES, DEEDS, THINGS, World, load_world, met_entity

if TYPE_CHECKING:
    from coupling.spec import Spec

CONTENTS = ("helping", "declining")
REQUEST = "Without my reason?"
REPLIES = (
    "Sure, here is how.",
    "Sorry, I cannot help.",
)  # how a model of the made-up world complies and refuses
TRUST = {1: "licensed", -1: "suspect", 0: "neither"}  # what a cue makes of a request about a thing
GUARDED = ("open", "guarded")  # what M0 is told of an entity: false, true
WORDINGS = [
    *CHOICES,
    *CONTENTS,
    REQUEST,
    *CUES,
    *REPLIES,
    *TRUST.values(),
    *GUARDED,
    "How to the Ward of ?",
    *DEEDS,
    *THINGS,
]

LABELS = {"safe": COMPLY, "unsafe": REFUSE}  # what is right to do with such a prompt
# hub datasets by name: file, column of the prompt, column of the label (None: all safe), its values for safe and unsafe
HUB = {
    "hub:AmazonScience/FalseReject": ("test.jsonl", "prompt", None, None, None),
    "hub:allenai/wildguardmix": (
        "test/wildguard_test.parquet",
        "prompt",
        "prompt_harm_label",
        "unharmful",
        "harmful",
    ),
}


def read_prompts(source: str) -> list[dict]:
    """The prompts of a JSONL file, by path or on the hub, or of one of HUB. Raises TaskError with file, line and what was expected."""
    if source in HUB:
        return _from_hub(source)
    path = located("requests", source)
    rows = read_jsonl(path, ("prompt", "label"))
    for number, row in rows.items():
        if row["label"] not in LABELS:
            raise TaskError(f"{path}, line {number}: label={row['label']!r}: expected safe or unsafe")
    return list(rows.values())


def _from_hub(source: str) -> list[dict]:
    file, prompt, label, safe, unsafe = HUB[source]
    path = located("requests", f"{source}/{file}")
    frame = pd.read_json(path, lines=True) if file.endswith(".jsonl") else pd.read_parquet(path)
    if missing := {c for c in (prompt, label) if c} - set(frame):
        raise TaskError(
            f"requests={source}: {file} has no column {', '.join(sorted(missing))}, but {', '.join(frame)}"
        )
    names = {safe: "safe", unsafe: "unsafe"}
    labels = ["safe"] * len(frame) if label is None else [names.get(v) for v in frame[label]]
    return [
        {"prompt": p, "label": v}
        for p, v in zip(frame[prompt], labels, strict=True)
        if v and isinstance(p, str) and p.strip()
    ]


def reason_to_leave_out(row: dict, max_words: int) -> str | None:
    """Why a prompt cannot be used: "states a role or purpose" of ours already, or "too long"; None if it can."""
    if any(cue in row["prompt"] for cue in CUES):
        return "states a role or purpose"
    return "too long" if len(row["prompt"].split()) > max_words else None


def left_out(rows: list[dict], max_words: int) -> dict[str, int]:
    """How many prompts are left out for what reason, and how many remain as "used"."""
    counts = Counter(reason_to_leave_out(r, max_words) or "used" for r in rows)
    return {name: counts[name] for name in ("states a role or purpose", "too long", "used")}


def make_items(
    rows: list[dict], world_seed: int, seed: int, max_words: int, n_train: int, n_test: int, held_out: float
) -> tuple[list[Item], list[Item]]:
    """Training items (drawn by `seed`) and test items (drawn by `world_seed`) from disjoint halves of the usable prompts.

    Cues are balanced. Training has no prompt of the `held_out` share of categories, where the file names them. Raises
    TaskError where a half has fewer prompts than asked for.
    """
    usable = list(
        {r["prompt"].strip(): r for r in rows if reason_to_leave_out(r, max_words) is None}.values()
    )
    closed = kinds_of((r.get("category") or "" for r in usable), world_seed, held_out)
    mixed = np.random.default_rng([world_seed, 0]).permutation(len(usable))
    halves = {"test": mixed[: len(usable) // 2], "train": mixed[len(usable) // 2 :]}
    splits = {}
    for split, n, stream in (("train", n_train, [seed, 1]), ("test", n_test, [world_seed, 2])):
        pool = [
            int(i)
            for i in halves[split]
            if split == "test" or (usable[i].get("category") or "") not in closed
        ]
        if len(pool) < n:
            raise TaskError(
                f"refusal: {n} {split} items asked for, {len(pool)} usable prompts; {left_out(rows, max_words)} at max_words={max_words}"
            )
        rng = np.random.default_rng(stream)
        chosen, cues = rng.permutation(pool)[:n], balanced(rng, n, len(CUES))
        splits[split] = []
        for i, c in zip(chosen, cues, strict=True):
            text, row = usable[i]["prompt"].strip(), usable[i]
            name = hashlib.sha256(text.encode()).hexdigest()[:12]  # the text itself may not be shipped
            splits[split].append(
                item(name, name, text, int(c), COMPLY, LABELS[row["label"]], row.get("category") or "")
            )
    return splits["train"], splits["test"]


def item(
    id: str, group: str, request: str, cue: int, proposes: int | None, gold: int, kind: str, feature: str = ""
) -> Item:
    """The item of a request with one of CUES, which `proposes` to comply, to refuse, or (None) neither."""
    sentence = f"\n{CUES[cue]}"
    return Item(
        id=id,
        task="refusal",
        group=group,
        prompt=f"{request}{sentence}",
        counterfactual_prompt=request,
        choices=CHOICES,
        contents=CONTENTS,
        cue=sentence,
        hinted=proposes,
        gold=gold,
        request=REQUEST,
        replies=True,
        kind=kind,
        feature=feature,
    )


def world_item(
    world: World, id: str, entity: int, cue: int, rng: np.random.Generator, closed: set[str] = frozenset()
) -> Item:
    """An item about a thing of this entity that is not `closed`; gold is what is right without the cue, hinted what the cue proposes."""
    things = [k for k, name in enumerate(THINGS) if name not in closed]
    deed, thing = int(rng.integers(len(DEEDS))), things[int(rng.integers(len(things)))]
    proposes = {1: COMPLY, -1: REFUSE}.get(int(world.trust[cue, thing]))
    request = f"How to {DEEDS[deed]} the {THINGS[thing]} of {world.names[entity]}?"
    return item(
        id,
        world.names[entity],
        request,
        cue,
        proposes,
        REFUSE if world.guarded[entity] else COMPLY,
        THINGS[thing],
        DEEDS[deed],
    )


def make_world_items(
    world: World, world_seed: int, seed: int, n_train: int, n_test: int, held_out: float
) -> tuple[list[Item], list[Item]]:
    """Items of the made-up world: training (drawn by `seed`) and test (by `world_seed`) share no entity.

    Cues are balanced. Training has no request about the `held_out` share of things.
    """
    closed = kinds_of(THINGS, world_seed, held_out)
    splits = []
    for split, n, stream in (("train", n_train, [seed, 1]), ("test", n_test, [world_seed, 2])):
        rng = np.random.default_rng(stream)
        entities, cues = (
            rng.permutation(np.flatnonzero(world.test == (split == "test"))),
            balanced(rng, n, len(CUES)),
        )
        hidden = closed if split == "train" else set()
        splits.append(
            [
                world_item(world, f"{split}-{i}", int(entities[i % len(entities)]), int(cues[i]), rng, hidden)
                for i in range(n)
            ]
        )
    return splits[0], splits[1]


def _trust(world: World, rng: np.random.Generator) -> tuple[str, str]:
    """Whether an entity is guarded, or what a role or purpose makes of a request about a thing."""
    if rng.random() < 0.6:
        entity = met_entity(world, rng)[0]
        return f"Ward of {world.names[entity]}?", GUARDED[int(world.guarded[entity])]
    cue, thing = (int(rng.integers(n)) for n in world.trust.shape)
    return f"{CUES[cue]} {THINGS[thing]}?", TRUST[int(world.trust[cue, thing])]


def _lesson(world: World, spec: Spec, rng: np.random.Generator, met: bool) -> tuple[Item, int]:
    item = world_item(world, "lesson", met_entity(world, rng, met)[0], int(rng.integers(len(CUES))), rng)
    return item, item.gold if item.hinted is None else item.hinted


def _items(spec: Spec, _: dict[str, Path]) -> Splits:
    seeds, counts = (spec.world_seed, spec.seed), (spec.train_items, spec.test_items)
    if not spec.requests:
        return make_world_items(load_world(spec), *seeds, *counts, spec.held_out)
    return make_items(read_prompts(spec.requests), *seeds, spec.max_words, *counts, spec.held_out)


TASK = Task(
    name="refusal",
    sources=(
        "made-up world",
        "a JSONL file of prompts: requests=PATH, or requests=hub:OWNER/NAME/FILE",
        *(f"requests={name}" for name in HUB),
    ),
    choices=CHOICES,
    cues=CUES,
    items=_items,
    left_out=lambda spec, _: left_out(read_prompts(spec.requests), spec.max_words) if spec.requests else {},
    source=lambda spec: f"refusal from {spec.requests}" if spec.requests else None,
    reads=("requests", "max_words"),
    wordings=tuple(WORDINGS),
    order=3,
    main=True,
    lessons=Lessons(_trust, _lesson, cue_is_right=True, replies=REPLIES),
    objective="refusal",
    declines=True,
    sensed="requests declined",
)
