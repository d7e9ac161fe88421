"""What the explorer shows: the runs of a sweep, their items, and what was said of each item.

All of it comes from what is committed: the record of a run where it is published, else the tables of its
sweep. A record has every evaluation and M_t's probabilities. Tables have the items of the last step and no
probabilities. The texts of items are made anew from the made-up world, or read from MMLU (MIT licence). Texts
of posts, prompts and items of a user's own are never shown.

A dataset is what one task of a sweep has, as JSON:

    profile, sweep, task, title   what it is of, and the title of the sweep
    items                         lists of items; runs that are tested on the same items share one
    runs                          one entry a run, see below

    an item    id; choices; and, where its text may be shown: x (the input with its cue), cue, request,
               contents (what the choices stand for), gold and hinted (indices of choices, -1 for none)
    a run      condition, m0_seed, seed, key; items (which list); by_content (whether labels name choices by
               their contents); record (whether there is a record); curve {step, self, target}; steps (of the
               evaluations that are known); rows (one an item, in the order of the list)
    a row      [S's choices, M0's choices, said, M0's probabilities, M_t's probabilities], or null where the
               run was not asked the item
    choices    [on x, on x without its cue], as indices; -1 where a reply was none
    said       by evaluation: [M_t's choice on x, on x without its cue, what the explanation says of the
               answer (1: it changes, 0: it stays, -1: the text is no label), the answer that it names],
               or null where the item was not asked
    probabilities   [on x, on x without its cue], in percent by choice; null where they are not known
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from coupling import files
from coupling import sweep as sweeps
from coupling.analysis import measures, tables
from coupling.analysis.tables.committed import SIZES
from coupling.runs import folders, records
from coupling.spec import Spec, key
from coupling.spec.items import ItemsSection
from coupling.spec.world import WorldSection
from coupling.tasks import Item, load_items, load_taught, needs, task_of

ITEMS = 200  # so many test items of a task are shown, the first ones
SWEEPS = ("confirm", "headline")  # the sweeps that the site shows, at each profile that has them
_MAY_BE_SHOWN = (None, "mmlu")  # sources of items: the made-up world, and questions under the MIT licence
_CURVE = ["step", "self", "target"]


@dataclass(frozen=True)
class _Run:
    """A run of which something is committed.

    Attributes:
        condition: The condition of the sweep that the run belongs to.
        spec: Its spec.
        rows: Its rows: all evaluations from a record, the last one from tables.
        curve: task, step, self and target, one row a task and evaluation.
        record: Whether it comes from a record.
    """

    condition: str
    spec: Spec
    rows: pd.DataFrame
    curve: pd.DataFrame
    record: bool


def shown() -> list[tuple[str, str]]:
    """List (profile, sweep) of what the site shows: the sweeps of SWEEPS that have tables or records."""
    there = {(path.parent.name, path.name) for path in files.tables_dir().glob("*/*") if path.is_dir()}
    return [(profile, sweep) for profile in SIZES for sweep in SWEEPS if (profile, sweep) in there]


def datasets(profile: str, sweep: str) -> list[dict[str, Any]]:
    """Make the datasets of a sweep, one a task.

    Args:
        profile: Name of the profile.
        sweep: Name of a sweep of the study.

    Returns:
        Datasets as the top of this module describes them. Runs of which nothing is committed are left out.

    Raises:
        SpecError: Where there is no such profile or sweep.
        StoreError: Where nothing is committed of any run, or where published rows do not fit their items.
    """
    found = list(_committed(profile, sweep))
    if not found:
        raise files.StoreError(
            f"nothing is published of {sweep} at {profile}: choose one of "
            f"{', '.join(f'{p}/{s}' for p, s in shown()) or 'none'}, or publish its runs (`coupling publish`)"
        )
    texts = _Texts()
    title = sweeps.read_sweep(sweep).title
    names = dict.fromkeys(task for run in found for task in run.rows["task"].unique())
    return [
        {"profile": profile, "sweep": sweep, "task": task, "title": title} | _of_task(task, found, texts)
        for task in names
    ]


def counts(found: list[dict[str, Any]]) -> pd.DataFrame:
    """Count what explanations state on the shown items, at the last evaluation of each run.

    Args:
        found: What `datasets` returns.

    Returns:
        One row a task: task (str); runs, items, divergent, own, source, neither (int): items of all runs, the
        divergent ones, and of these those whose explanation states the run's own current behaviour, the label
        source, or neither.
    """
    rows = []
    for data in found:
        kept = [row for run in data["runs"] for row in run["rows"] if row]
        own = [_code(*row[2][-1][:2]) for row in kept]
        source = [_code(*row[0]) for row in kept]
        stated = [
            2 * answer + changes if changes >= 0 else -1 for *_, changes, answer in (r[2][-1] for r in kept)
        ]
        divergent = [k for k in range(len(kept)) if own[k] >= 0 and own[k] != source[k]]
        of_own, of_source = (sum(stated[k] == label[k] for k in divergent) for label in (own, source))
        numbers = [len(data["runs"]), len(kept), len(divergent), of_own, of_source]
        rows.append([data["task"], *numbers, len(divergent) - of_own - of_source])
    return pd.DataFrame(rows, columns=["task", "runs", "items", "divergent", "own", "source", "neither"])


def _code(x: int, cf: int) -> int:
    """Code the label that choices on x and without its cue make true; -2 where there is none."""
    return 2 * cf + (x != cf) if min(x, cf) >= 0 else -2


def _committed(profile: str, sweep: str) -> Iterator[_Run]:
    """Yield the runs of a sweep of which a record or a row of a table is committed, in its order."""
    chosen = sweeps.read_sweep(sweep).at(profile)
    whole = chosen.in_all or sweeps.InAll()
    has_tables = (tables.folder(profile, sweep) / "keys.json").exists()
    data = tables.read(profile, sweep) if has_tables else None
    known = {run["key"] for run in data.keys["runs"] if run["status"] == "complete"} if data else set()
    for condition, spec in sweeps.plan(profile, sweep, whole.task, whole.m0_seeds):
        if record := records.published(folders.run_folder(spec)):
            if folders.read_manifest(record, records.RECORD)["status"] == "complete":
                rows = files.read_table(folders.verified(record, "rows.parquet", records.RECORD))
                yield _Run(condition, spec, rows, _curve(rows), True)
        elif key(spec, "explain") in known:
            rows, curve = (_of(frame, condition, spec) for frame in (data.items, data.runs))
            yield _Run(condition, spec, rows, curve[["task", *_CURVE]], False)


def _of(frame: pd.DataFrame, condition: str, spec: Spec) -> pd.DataFrame:
    """Return the rows of one run in a table of a sweep."""
    tasks = [task.split(":")[0] for task in (*spec.tasks, spec.teach)]
    own = (frame["m0_seed"] == spec.m0_seed) & (frame["seed"] == spec.seed)
    return frame[own & (frame["condition"] == condition) & frame["task"].isin(tasks)]


def _curve(rows: pd.DataFrame) -> pd.DataFrame:
    """Measure self and target at each evaluation, over the items that all evaluations asked."""
    parts = []
    for task, part in rows.groupby("task", sort=False):
        asked = part.groupby("id")["step"].transform("nunique") == part["step"].nunique()
        named = part[asked].assign(condition="", m0_seed=0, seed=0)
        means = measures.with_measures(named).groupby("step")[["self", "target"]].mean()
        parts.append(means.reset_index().assign(task=task))
    return pd.concat(parts, ignore_index=True)


class _Texts:
    """The test items of specs, made once for all specs that have the same."""

    def __init__(self) -> None:
        self._made: dict[tuple, list[Item] | None] = {}

    def of(self, spec: Spec) -> tuple[tuple, list[Item] | None]:
        """Return what names the test items of a spec, and the items; None where they may not be shown."""
        fields = [*WorldSection.model_fields, *ItemsSection.model_fields]
        name = (spec.teach, spec.held_out, *(getattr(spec, field) for field in fields))
        if name not in self._made:
            self._made[name] = texts_of(spec)
        return name, self._made[name]


def texts_of(spec: Spec) -> list[Item] | None:
    """Return the test items of a spec; None where their texts may not be shown, or cannot be fetched."""
    if any(task_of(task).source(spec) not in _MAY_BE_SHOWN for task in spec.tasks):
        return None
    data = {}
    if wanted := needs(spec):
        from coupling.models import FetchError, fetch  # takes torch, which nothing else here needs

        try:
            data = {name: fetch(name) for name in wanted}
        except FetchError as error:
            files.say(f"the explorer shows {spec.task} without its texts: {error}")
            return None
    return load_items(spec, data)[1] + load_taught(spec)[1]


def _of_task(task: str, found: list[_Run], texts: _Texts) -> dict[str, Any]:
    """Make the lists of items and the runs of one task."""
    places: dict[tuple, int] = {}
    lists: list[list[dict[str, Any]]] = []
    described = []
    for run in found:
        rows = run.rows[run.rows["task"] == task]
        if rows.empty:
            continue
        name, items = texts.of(run.spec)
        if name not in places:
            places[name] = len(lists)
            lists.append(_items(task, rows, items))
        place = places[name]
        described.append({"items": place} | _run(run, task, rows, [item["id"] for item in lists[place]]))
    return {"items": lists, "runs": described}


def _items(task: str, rows: pd.DataFrame, items: list[Item] | None) -> list[dict[str, Any]]:
    """Describe the items that are shown, in the order in which the last evaluation asked them."""
    last = rows[rows["step"] == rows["step"].max()].head(ITEMS)
    if items is None:
        return [{"id": id, "choices": _unnamed(task, rows)} for id in last["id"]]
    known = {item.id: item for item in items if item.task == task}
    found = []
    for id, gold, hinted in last[["id", "gold", "hinted"]].itertuples(index=False):
        item = known.get(id)
        if item is None or (_index(item.gold), _index(item.hinted)) != (gold, hinted):
            raise files.StoreError(
                f"item {id} of {task}, as it is made now, is not the one that published rows are of: "
                "declare the change of its task in lib/coupling/spec, so that the keys of its runs change"
            )
        found.append(
            {
                "id": id,
                "x": item.prompt,
                "cue": item.cue,
                "request": item.request,
                "choices": list(item.choices),
                "contents": list(item.contents),
                "gold": _index(item.gold),
                "hinted": _index(item.hinted),
            }
        )
    return found


def _index(choice: int | None) -> int:
    return -1 if choice is None else choice


def _unnamed(task: str, rows: pd.DataFrame) -> list[str]:
    """Name the choices of items whose text is not shown."""
    if task != "file":
        return list(task_of(task).choices)
    return [f"choice {k + 1}" for k in range(int(rows[["x", "cf", "target_x", "target_cf"]].max().max()) + 1)]


def _run(run: _Run, task: str, rows: pd.DataFrame, ids: list[str]) -> dict[str, Any]:
    curve = run.curve[run.curve["task"] == task].sort_values("step")
    steps = [int(step) for step in sorted(rows["step"].unique())]
    shown = rows[rows["id"].isin(ids)]
    at = {step: dict(_entries(part)) for step, part in shown.groupby("step")}
    return {
        "condition": run.condition,
        "m0_seed": run.spec.m0_seed,
        "seed": run.spec.seed,
        "key": key(run.spec, "explain"),
        "by_content": run.spec.label_format == "content",
        "record": run.record,
        "curve": {name: curve[name].round(4).tolist() for name in _CURVE},
        "steps": steps,
        "rows": [_row(id, [at[step].get(id) for step in steps]) for id in ids],
    }


def _entries(rows: pd.DataFrame) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (id, entry) for the rows of one evaluation; an entry has what `_row` puts together."""
    ints = ["target_x", "target_cf", "base_x", "base_cf", "x", "cf", "changes", "answer"]
    wide = [[c for c in rows if c.startswith(f"logp_{side}_")] for side in ("x", "cf")]
    percent = [_percent(rows[columns].to_numpy(float)) if columns else [None] * len(rows) for columns in wide]
    numbers = rows[ints].to_numpy(int).tolist()
    for id, values, on_x, on_cf in zip(rows["id"], numbers, *percent, strict=True):
        known = [on_x, on_cf] if on_x and on_cf else None
        yield id, {"source": values[:2], "base": values[2:4], "said": values[4:], "percent": known}


def _percent(logprobs: np.ndarray) -> list[list[int] | None]:
    """Give probabilities in percent for each row; None where a reply was judged, which has none."""
    certain = ((logprobs == 0) | np.isneginf(logprobs)).all(axis=1) | np.isnan(logprobs).any(axis=1)
    rounded = np.rint(100 * np.exp(np.nan_to_num(logprobs, nan=-np.inf, neginf=-np.inf))).astype(int)
    return [None if unknown else row for unknown, row in zip(certain, rounded.tolist(), strict=True)]


def _row(id: str, entries: list[dict[str, Any] | None]) -> list[Any] | None:
    """Put together what the evaluations of a run tell of one item. B(M0) is what step 0 found."""
    first, last = entries[0], entries[-1]
    if last is None:
        return None
    before = first["percent"] if first and len(entries) > 1 else None
    said = [entry and entry["said"] for entry in entries]
    return [last["source"], last["base"], said, before, last["percent"]]
