"""What an explainer is made from: items, their fixed labels, and the behaviours of M0 and S.

The behaviours of M0 on the training items are computed once and kept in `results/<profile>/behaviours/`.
All explainers with the same M0 and the same training items read them from there.
"""

import importlib.util
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from coupling import files, seals
from coupling.measure.behaviours import Behaviours, behaviours, joined
from coupling.measure.explanations import check_labels, labels
from coupling.measure.shallow import rule_accuracy
from coupling.models import Loaded
from coupling.runs import folders, graph
from coupling.runs.checks import check_run
from coupling.runs.m0 import Models
from coupling.runs.result import items_of
from coupling.spec import Spec
from coupling.tasks import Item, TaskError, load_taught
from coupling.training import shift
from coupling.training.data import TrainingSet, held_replies, taught_seams, training_set
from coupling.training.shift import Taught
from coupling.training.supervision import changed_features, fixed_labels, target


@dataclass(frozen=True)
class Material:
    """What an explainer is trained and tested on.

    Attributes:
        train: The training items that have a label.
        held: Items of kinds without labels whose behaviour the KL term holds to M0's.
        data: What the training loop reads of them.
        test: The test items on which both M0 and S have a label.
        base: B(M0) on the test items.
        source: B(S) on the test items. Noise on the labels does not enter it.
        pushed: Of each test item, whether the shift acts on items of its kind, or about its entity.
        about: What the manifest says of the labels: how many items were asked ("asked"), how many have a
            label ("items"), the share on which L(S) and L(M0) agree ("agreement"), how often each item is
            read ("reads"), and how well a shallow rule predicts L(M0) ("shallow_rule").
    """

    train: list[Item]
    held: list[Item]
    data: TrainingSet
    test: list[Item]
    base: Behaviours
    source: Behaviours
    pushed: list[bool]
    about: dict[str, Any]


def make_material(spec: Spec, models: Models) -> Material:
    """The material of an explainer. The bases of M0 and S must be complete.

    Args:
        spec: The explainer.
        models: The models in memory. M0 is the one that is left in it.

    Raises:
        LabelError: Where no training item has a label, or where the labels are nearly constant and the spec
            does not allow it.
        TaskError: Where the shift acts on none of its items.
    """
    train, test = items_of(spec)
    b_source = _on_training_items(spec.label_source, train, models)
    b_train = _on_training_items(spec, train, models)
    held = _held(spec, train, models) if spec.kl_kinds == "all" else Held()
    reached = shift.reaches(spec, train, test)
    after_shift = _after_shift_alone(spec, train, held, models) if spec.kl_to == "shifted" else None
    m0 = models.load(spec)
    check_run(spec, m0, train + held.items + test)
    b0, s0 = (
        Behaviours.from_frame(files.read_table(folders.verified(graph.base(of).folder, "behaviours.parquet")))
        for of in (spec, spec.label_source)
    )
    features = changed_features(spec, train + test[: len(b0.ids)])
    taught, taught_test = load_taught(spec)
    if taught_test:
        new = behaviours(m0, taught_test, spec.eval_batch)
        b0, s0 = joined(b0, new), joined(s0, new)
    about = {"asked": len(train), "shallow_rule": _shallow_rules(spec, train, b_train, test, b0)}
    replies = _replies(spec, m0, train, b_train)
    # A reply that is none of the choices has no label. The health of M0's base tells how many there are.
    train, b_train, b_source = _labelled(train, b_train, b_source)
    test, b0, s0 = _labelled(test, b0, s0)
    texts = fixed_labels(spec, train, b_train, b_source, features)
    check_labels(texts, spec.allow_constant_labels)
    own = labels(train, b_train, spec.label_format)
    agreement = float(np.mean([a == b for a, b in zip(texts, own, strict=True)]))
    about |= {"items": len(texts), "agreement": agreement, "reads": _reads(spec, len(texts))}
    beside = taught_seams(m0, taught) or _shifted(spec, m0, test, reached, models)
    if held.items:
        b_train = joined(b_train, held.base)
    data = training_set(m0, train, b_train, texts, replies | held.replies, beside, held.items)
    if after_shift:
        data = data.holding(after_shift)
    pushed = [reached(item) for item in test]
    return Material(train, held.items, data, test, b0, target(test, s0, features), pushed, about)


@dataclass(frozen=True)
class Held:
    """Items of kinds without labels, on which the KL term holds behaviour to that of M0.

    Attributes:
        items: The items.
        base: B(M0) on them; None without items.
        replies: M0's replies on those that are answered by a reply; see `held_replies`.
    """

    items: list[Item] = field(default_factory=list)
    base: Behaviours | None = None
    replies: dict[str, torch.Tensor] = field(default_factory=dict)


def _held(spec: Spec, train: list[Item], models: Models) -> Held:
    """Draw the items of kinds without labels: those among the training items of a run with all kinds.

    Args:
        spec: The explainer.
        train: Its own training items, which are of the kinds with labels.
        models: The models in memory.
    """
    whole = spec.model_copy(update={"held_out": 0.0, "kl_kinds": "labelled"})
    asked = items_of(whole)[0]
    base = _on_training_items(whole, asked, models)
    replies = _replies(whole, models.load(spec), asked, base)
    labelled = {(i.task, i.kind) for i in train}
    which = [k for k in np.flatnonzero(base.known()) if (asked[k].task, asked[k].kind) not in labelled]
    # Labelled items may have the same ids, since they are drawn with the same seed.
    items = [replace(asked[k], id=f"held-{asked[k].id}") for k in which]
    held = replace(base.take(which), ids=tuple(i.id for i in items))
    return Held(items, held, {f"held-{name}": kept for name, kept in replies.items()})


def _reads(spec: Spec, items: int) -> float:
    """How often the training reads each training item. A warning tells where there are few items."""
    reads = spec.steps * spec.batch_size / items
    if items < min(spec.train_items, spec.batch_size) or (spec.items_file and items < spec.train_items):
        warnings.warn(
            f"task={spec.task}: {items} training items with a label, of train_items={spec.train_items}; each "
            f"is read {reads:.0f} times in steps={spec.steps} with batch_size={spec.batch_size}. "
            "Give more items, or fewer steps",
            stacklevel=2,
        )
    return reads


def _shifted(
    spec: Spec, m0: Loaded, test: list[Item], reached: Callable[[Item], bool], models: Models
) -> Taught:
    """What the spec's shift teaches; empty where the spec has no shift.

    Args:
        spec: The explainer.
        m0: M0.
        test: The test items.
        reached: What `shift.reaches` gives.
        models: The models in memory.
    """
    if spec.shift in ("down", "up"):
        if spec.shift_reach == "entities":
            items = shift.entity_items(spec, test)
            base = behaviours(m0, items, spec.eval_batch)
        else:
            others = shift.other_items(spec)
            asked = items_of(others)[0]
            which = [k for k, item in enumerate(asked) if reached(item)]
            if not which:
                raise TaskError(
                    f"shift_reach={spec.shift_reach}: with seed={spec.seed} no item is of a kind that the "
                    "shift acts on; take a task with more kinds, or another seed"
                )
            items = [asked[k] for k in which]
            base = _on_training_items(others, asked, models).take(which)
        return shift.pushed(m0, items, base, spec.shift)
    if spec.shift == "neutral":
        return shift.unrelated(m0, spec)
    return shift.retaught(m0, spec, test) if spec.shift == "reteach" else ()


def _after_shift_alone(spec: Spec, train: list[Item], held: Held, models: Models) -> Behaviours:
    """The behaviours, on the items of the KL term, of the run that had the spec's shift alone."""
    alone = models.load_run(spec.shifted_alone)
    return behaviours(alone, train + held.items, spec.eval_batch)


def _on_training_items(spec: Spec, items: list[Item], models: Models) -> Behaviours:
    """B(M0) on the training items of a spec, computed once for all explainers that share both."""
    path = folders.shared_file(spec, ".parquet")
    return kept_behaviours(path, lambda: behaviours(models.load(spec), items, spec.eval_batch))


def kept_behaviours(path: Path, measure: Callable[[], Behaviours]) -> Behaviours:
    """The behaviours that are kept in an intermediate file. They are measured where it is not intact."""
    seals.kept(path, lambda part: files.put_table(part, measure().frame()))
    return Behaviours.from_frame(files.read_table(path))


def _replies(spec: Spec, m0: Loaded, items: list[Item], base: Behaviours) -> dict[str, torch.Tensor]:
    """The replies of M0 on the training items that are answered by a reply and have a label of M0's."""
    if not any(i.replies for i in items):
        return {}
    items = [items[k] for k in np.flatnonzero(base.known())]
    path = folders.shared_file(spec, ".safetensors")
    return load_file(seals.kept(path, lambda part: save_file(held_replies(m0, items, spec.eval_batch), part)))


def _labelled(
    items: list[Item], base: Behaviours, source: Behaviours
) -> tuple[list[Item], Behaviours, Behaviours]:
    """Leave out items that have no label, because M0 or S takes none of the choices.

    Returns:
        The items that are left, and the behaviours of M0 and of S on them.
    """
    known = np.flatnonzero(base.known() & source.known())
    return [items[k] for k in known], base.take(known), source.take(known)


def _shallow_rules(
    spec: Spec, items: list[Item], b: Behaviours, test: list[Item], b0: Behaviours
) -> dict[str, float]:
    """The accuracy of a shallow rule that predicts L(M0), 0 to 1, by task.

    It is NaN where no item has a label, and on a machine without scikit-learn, which fits the rule.
    """
    path = folders.shared_file(spec, ".json")
    if not seals.intact(path) and not importlib.util.find_spec("sklearn"):
        return {task.split(":")[0]: float("nan") for task in spec.tasks}

    def measured() -> dict[str, float]:
        rules = {}
        for task in spec.tasks:
            name = task.split(":")[0]
            pairs = []
            for some, does in ((items, b), (test, b0)):
                texts = labels(some, does, "letter")
                own = [k for k, text in enumerate(texts) if text and some[k].task == name]
                pairs += [[some[k] for k in own], [texts[k] for k in own]]
            rules[name] = rule_accuracy(*pairs) if all(pairs) else float("nan")
        return rules

    return files.read_json(seals.kept(path, lambda part: files.put_json(part, measured())))
