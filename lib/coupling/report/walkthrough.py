"""The method on one item, from the committed rows of two explainers, for people who read notebooks.

Nothing is computed by a model, and importing this module imports no torch. What the two explainers were asked
is made anew from the made-up world. The keys of their runs say that it is the same.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from coupling import files
from coupling.analysis import preference, tables
from coupling.analysis.measures import label_code, stated_code
from coupling.measure.wording import Statement, render_label
from coupling.spec import Spec, key, make_spec
from coupling.sweep import plan
from coupling.tasks import Item, load_items

PROFILE, SWEEP, TASK, CONDITION = "tiny", "confirm", "hint_qa", "KL on"
M0_SEED = 10  # the first M0 of the sweep
PAIR = (0, 1)  # the explainer seeds of the two runs
TICK, CROSS = "✓", "✗"


@dataclass(frozen=True)
class Example:
    """Two explainers of one M0 that were trained on the same fixed labels.

    Attributes:
        rows: The rows of both runs at their final step, one an item and run.
        items: The items that they were asked, by id.
        label_format: What labels call choices, "letter" or "content".
    """

    rows: pd.DataFrame
    items: dict[str, Item]
    label_format: str

    def label(self, item: Item, x: int, cf: int) -> str:
        """Write the label that two choices make true: that on x and that without the cue, by index."""
        return render_label(item, Statement(bool(x != cf), int(cf)), self.label_format)

    def said(self, item: Item, row: pd.Series) -> str:
        """Write the explanation that a row holds."""
        if not row["valid"]:
            return "no label"
        return render_label(item, Statement(bool(row["changes"]), int(row["answer"])), self.label_format)


def example(m0_seed: int = M0_SEED) -> Example:
    """Read the two explainers of one M0 from the committed tables of the confirmation.

    Raises:
        StoreError: Where there are no such tables, or where they are of other runs than the sweep's.
    """
    keys = {run["key"] for run in tables.read_keys(PROFILE, SWEEP)["runs"]}
    specs = list(_specs(m0_seed))
    if not specs or any(key(spec, "explain") not in keys for spec in specs):
        raise files.StoreError(
            f"{tables.folder(PROFILE, SWEEP)} has no explainers {PAIR[0]} and {PAIR[1]} of M0 {m0_seed} on "
            f"{TASK}: take the tables from git again"
        )
    rows = tables.read(PROFILE, SWEEP).items
    mine = (rows["task"] == TASK) & (rows["condition"] == CONDITION) & (rows["m0_seed"] == m0_seed)
    items = {item.id: item for item in load_items(specs[0], {})[1]}
    return Example(rows[mine & rows["seed"].isin(PAIR)].reset_index(drop=True), items, specs[0].label_format)


def is_there() -> bool:
    """Tell whether the committed tables have the explainers of `example`."""
    if (PROFILE, SWEEP) not in tables.collected():
        return False
    keys = {run["key"] for run in tables.read_keys(PROFILE, SWEEP)["runs"]}
    return all(key(spec, "explain") in keys for spec in _specs(M0_SEED))


def _specs(m0_seed: int) -> Iterator[Spec]:
    """The specs of the two explainers."""
    for condition, spec in plan(PROFILE, SWEEP, TASK):
        if condition == CONDITION and spec.m0_seed == m0_seed and spec.seed in PAIR:
            yield spec


def telling(found: Example) -> str:
    """Return the id of an item that tells the two runs apart.

    On it the first run has left its label and the second has not, and each run's explanation states its own
    behaviour. Items are gone through in the order of the rows.

    Raises:
        StoreError: Where there is no such item.
    """
    both = [ticked(found, seed).set_index("id") for seed in PAIR]
    fits = both[0]["divergent"] & ~both[1]["divergent"] & both[0]["self"] & both[1]["self"]
    if not fits.any():
        raise files.StoreError("no item of these two runs is explained by each as its own behaviour is")
    return str(fits.idxmax())


def whole(found: Example, item_id: str) -> pd.DataFrame:
    """Show one item with everything that the method makes of it.

    Returns:
        One row a step of the method, with the columns step and text.
    """
    item = found.items[item_id]
    rows = found.rows[found.rows["id"] == item_id].set_index("seed")
    first = rows.iloc[0]
    steps = words(item) | {
        "M0 answers x": _choice(item, first["base_x"]),
        "M0 answers x without C": _choice(item, first["base_cf"]),
        "fixed label L(S), from M0": found.label(item, first["target_x"], first["target_cf"]),
    }
    for seed, row in rows.iterrows():
        steps |= _of_run(found, item, seed, row)
    return pd.DataFrame({"step": steps.keys(), "text": steps.values()})


def _of_run(found: Example, item: Item, seed: int, row: pd.Series) -> dict[str, str]:
    """What one run does and says on an item, and whether that states its behaviour and its label."""
    return {
        f"run {seed} answers x": _choice(item, row["x"]),
        f"run {seed} answers x without C": _choice(item, row["cf"]),
        f"run {seed}, its own label L(M_t)": found.label(item, row["x"], row["cf"]),
        f"run {seed}, its explanation E(M_t)": found.said(item, row),
        f"run {seed}, self: E(M_t) is L(M_t)": TICK if row["self"] else CROSS,
        f"run {seed}, target: E(M_t) is L(S)": TICK if row["target"] else CROSS,
    }


def ticked(found: Example, seed: int) -> pd.DataFrame:
    """Tick off self and target on every item of one run.

    Returns:
        One row an item: id, label L(S), label L(M_t), explanation (texts), divergent (whether the two labels
        differ), self and target (whether the explanation is L(M_t), and whether it is L(S)).
    """
    rows = found.rows[found.rows["seed"] == seed]
    items = [found.items[name] for name in rows["id"]]
    texts = {
        "label L(S)": _labels(found, items, rows["target_x"], rows["target_cf"]),
        "label L(M_t)": _labels(found, items, rows["x"], rows["cf"]),
        "explanation": [found.said(item, row) for item, (_, row) in zip(items, rows.iterrows(), strict=True)],
    }
    divergent = label_code(rows, "").to_numpy() != label_code(rows, "target_").to_numpy()
    about = {name: rows[name].to_numpy(bool) for name in ("self", "target")}
    return pd.DataFrame({"id": list(rows["id"])} | texts | {"divergent": divergent} | about)


def _labels(found: Example, items: list[Item], x: pd.Series, cf: pd.Series) -> list[str]:
    return [found.label(item, *choices) for item, *choices in zip(items, x, cf, strict=True)]


def halves(found: Example) -> pd.DataFrame:
    """Count what the preference of the two runs is made of.

    Returns:
        One row a half, that is the items that only this run left: left by (the run), items, "own" (how many
        explanations of the two runs there state the behaviour of the run that gave them), "other" (how many
        state that of the other run) and share (own among both).
    """
    wide = found.rows.assign(
        stated=stated_code(found.rows),
        own=label_code(found.rows, ""),
        source=label_code(found.rows, "target_"),
    ).pivot(index="id", columns="seed", values=["stated", "own", "source"])
    left = {seed: wide["own"][seed] != wide["source"][seed] for seed in PAIR}
    rows = []
    for seed, other in (PAIR, PAIR[::-1]):
        half = wide[left[seed] & ~left[other]]
        own = sum(int((half["stated"][s] == half["own"][s]).sum()) for s in PAIR)
        crossed = sum(int((half["stated"][s] == half["own"][o]).sum()) for s, o in (PAIR, PAIR[::-1]))
        rows.append(
            {"left by": f"run {seed} alone", "items": len(half), "own": own, "other": crossed}
            | {"share": own / (own + crossed)}
        )
    return pd.DataFrame(rows)


def measured_preference(found: Example) -> float:
    """Return the preference of the two runs as the study measures it."""
    return float(preference.by_pair(found.rows)["preference"].iloc[0])


def items_of_tasks(*tasks: str) -> pd.DataFrame:
    """Show the words of one test item of each task on the made-up world.

    Returns:
        One row for each part of an item, with the columns task, part and text.
    """
    rows = []
    for task in tasks:
        spec = make_spec(PROFILE, task=task, train_items=8, test_items=8)
        item = load_items(spec, {})[1][0]
        rows += [{"task": task, "part": part, "text": text} for part, text in words(item).items()]
    return pd.DataFrame(rows)


def words(item: Item) -> dict[str, str]:
    """Return the parts of an item by what the method calls them. The cue stands between « and »."""
    cue = item.cue.strip()
    choices = [_choice(item, k) for k in range(len(item.choices))]
    return {
        "x, the input with its cue C": item.prompt.replace(cue, f"«{cue}»"),
        "x without C": item.counterfactual_prompt,
        "choices": ", ".join(choices),
        "what is asked for an explanation": item.request,
    }


def _choice(item: Item, k: int) -> str:
    """Write a choice with what it stands for."""
    if k < 0:
        return "no choice"
    choice, content = item.choices[k], item.contents[k]
    return f"{choice} ({content})" if choice != content else choice
