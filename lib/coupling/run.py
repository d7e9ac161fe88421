"""Runs: the one place that joins items, models, labels, training and faithfulness. Notebooks and the CLI call this.

Every result lies in `results/<profile>/<slug>-<key>/` (see `store`). A result that is complete is read, never
computed again, unless `force` is set.
"""

import gc
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from peft import set_peft_model_state_dict
from safetensors.torch import load_file, save_file
from transformers.utils import logging

from coupling import shift, store
from coupling.behaviours import Behaviours, behaviour_texts, behaviours, health
from coupling.evaluation import evaluate
from coupling.explanations import check_labels, forced_choice, generate, labels, request
from coupling.faithfulness import metrics, shifted
from coupling.faithfulness.rows import score
from coupling.faithfulness.shallow import rule_accuracy
from coupling.memory import forget_peak, memory_ceiling, peak_memory_gb
from coupling.models import PACKAGES, Loaded, adapted, device, fetch, load_from, locate, merged
from coupling.preparation import prepare
from coupling.progress import quiet
from coupling.shift import Taught
from coupling.spec import SCHEMA_VERSION, STAGES, Spec, given, key, make_spec
from coupling.supervision import changed_features, fixed_labels, target
from coupling.tasks import Item, left_out, load_items, load_taught, needs
from coupling.training import Diverged, TrainingSet, held_replies, reply_seams, taught_seams, train, training_set

WORK = ".work"  # what a run needs to go on after it was stopped


@dataclass(frozen=True)
class Result:
    """A finished run. computed: False if it was there already. frames are read when asked for."""

    spec: Spec
    folder: Path
    computed: bool

    @property
    def manifest(self) -> dict[str, Any]:
        return store.read_json(self.folder / "manifest.json")

    def table(self, name: str) -> pd.DataFrame:
        """One of the run's tables: "rows" and "history" of an explainer, "behaviours" and "history" of a base model."""
        return store.read_table(self.folder / f"{name}.parquet")


def items_of(spec: Spec) -> tuple[list[Item], list[Item]]:
    """Training and test items of the spec, fetching what they are read from; those of a taught behaviour are tested too."""
    train, test = load_items(spec, {name: fetch(name) for name in needs(spec)})
    return train, test + load_taught(spec)[1]


def load_m0(spec: Spec) -> Loaded:
    """M0 of the spec: as it is, or as it was prepared, wholly or in part, or as explanation training left it. The last one stays in memory for
    the process's next run."""
    adapter = store.run_folder(spec.explained) / "adapter" if spec.explainer >= 0 else None
    if spec.m0_steps:
        folder = store.m0_folder(spec) / "model"
        if spec.m0_checkpoint < 1:
            kept = {int(p.name): p for p in (folder.parent / "checkpoints").iterdir()}
            wanted = spec.m0_checkpoint * store.read_json(folder.parent / "manifest.json")["steps"]
            folder = kept[min(kept, key=lambda step: (abs(step - wanted), step))]
        return _load(folder, spec.dtype, None, adapter)
    return replace(_load(locate(spec), spec.dtype, spec.revision, adapter), system=spec.system)


_held: dict[tuple, Loaded] = {}  # at most one


def _load(source: str | Path, dtype: str, revision: str | None, adapter: Path | None) -> Loaded:
    if (asked := (source, dtype, revision, adapter)) not in _held:
        _let_go()  # before the next is loaded: large ones do not fit beside each other under the ceiling
        loaded = load_from(source, dtype, revision)
        _held[asked] = merged(loaded, adapter) if adapter else loaded
    return _held[asked]


def _let_go() -> None:
    """Forget the M0 that is held, and what refers to itself in it."""
    _held.clear()
    gc.collect()


def prepared(spec: Spec) -> Result:
    """M0 prepared by behaviour training, one for all tasks of its world; the folder holds model/, history.parquet, and checkpoints/ by
    step if the spec keeps any."""
    spec = spec.model_copy(update={"m0_checkpoint": 1.0, "explainer": -1})  # the whole way, whatever part of it is asked for
    folder = store.m0_folder(spec)
    with _working(folder, spec, force=False) as fresh:
        if fresh:
            _let_go()
            start = time.monotonic()

            if quiet():
                logging.disable_progress_bar()

            def keep(where: Path, loaded: Loaded) -> None:
                loaded.model.save_pretrained(where)
                loaded.tokenizer.save_pretrained(where)

            (folder / WORK).mkdir(exist_ok=True)
            m0, history = prepare(spec, folder / WORK, lambda step, loaded: keep(folder / "checkpoints" / str(step), loaded))
            keep(folder / "model", m0)
            store.write_table(folder / "history.parquet", pd.DataFrame(history))
            about = {"steps": len(history), "regime": history[-1], "seconds": {"prepare": time.monotonic() - start}}
            store.finish(folder, _manifest(spec, "m0", m0) | about)
    return Result(spec, folder, fresh)


def base(spec: Spec, force: bool = False) -> Result:
    """M0, prepared if the spec says so, with its behaviours and its untrained explanations on the test items.

    The folder holds behaviours.parquet, untrained.parquet (forced choice among the labels and free generation, before any
    training) and the manifest with the health of the behaviours, by task.
    """
    spec = spec.model_copy(update={"teach": ""})  # whose items an M0 knows nothing of
    folder = store.base_folder(spec)
    with _working(folder, spec, force) as fresh:
        if fresh:
            _, test = items_of(spec)  # bad items end the run before any compute
            if spec.m0_steps:
                prepared(spec)
            if spec.explainer >= 0:
                explain(spec.explained)
            start = time.monotonic()
            m0 = load_m0(spec)
            b0, said, guessed = evaluate(m0, test, "letter", spec.eval_batch, forced=True)  # as M_t is evaluated later, in the same shapes
            store.write_table(folder / "behaviours.parquet", b0.frame())
            truth = labels(test, b0, "letter")
            untrained = {"id": b0.ids, "task": [i.task for i in test], "label": truth, "forced_choice": guessed, "free": said}
            store.write_table(folder / "untrained.parquet", pd.DataFrame(untrained))
            regimes = {}
            for task in spec.tasks:
                which = [k for k, i in enumerate(test) if i.task == task.split(":")[0]]
                own = [truth[k] for k in which]
                regimes[task] = health([test[k] for k in which], b0.take(which), own)
                regimes[task]["untrained_forced_choice"] = float(np.mean([truth[k] == guessed[k] for k in which]))
                few = which[: spec.interim_items]
                again = _computed_otherwise(m0, [test[k] for k in few], spec)
                regimes[task] |= {f"flips_{how}": float(np.mean([truth[k] != t for k, t in zip(few, texts, strict=True)])) for how, texts in again.items()}
            about = {"health": regimes, "left_out": left_out(spec, {name: fetch(name) for name in needs(spec)})}
            store.finish(folder, _manifest(spec, "base", m0) | about | {"seconds": {"behaviours": time.monotonic() - start}})
    return Result(spec, folder, fresh)


def _computed_otherwise(m0: Loaded, items: list[Item], spec: Spec) -> dict[str, list[str]]:
    """Labels of M0 where nothing but how it is computed differs, the floor below which a change of behaviour means nothing: an
    eighth of the items to a pass ("batch"), and products in bfloat16 where they are in float32 ("dtype")."""
    ways = {"batch": (m0, max(1, spec.eval_batch // 8))}
    if m0.dtype == torch.float32:
        ways["dtype"] = (replace(m0, dtype=torch.bfloat16), spec.eval_batch)
    return {how: labels(items, behaviours(model, items, batch), "letter") for how, (model, batch) in ways.items()}


@dataclass(frozen=True)
class Material:
    """What an explainer is made from and tested on: training items with what `train` reads of them, test items, B(M0) and B(S) on
    these, and what is known of the labels."""

    train: list[Item]
    data: TrainingSet
    test: list[Item]
    base: Behaviours
    source: Behaviours
    about: dict[str, Any]


def explain(spec: Spec, force: bool = False) -> Result:
    """One explainer: fixed labels L(S), LoRA training of M0, and an evaluation at each of the spec's evaluation steps.

    The folder holds rows.parquet (one row an item and evaluation; held_out: whether its kind has no labels), history.parquet (one row a step), adapter/ (peft,
    safetensors) and the manifest. Interrupted, it goes on from its last checkpoint. A run whose loss stops being finite
    is finished with status "diverged" and the rows it had. Raises LabelError before any training on constant labels.
    """
    source = base(spec.label_source)  # S first and M0 last, so that it is M0 which stays in memory
    started = base(spec)
    folder = store.run_folder(spec)
    with _working(folder, spec, force) as fresh:
        if fresh:
            clock = [time.monotonic()]
            material, m0 = _material(spec, started, source), load_m0(spec)
            work = folder / WORK
            work.mkdir(exist_ok=True)
            clock.append(time.monotonic())

            def look(step: int) -> TrainingSet | None:
                path = work / f"rows-{step:06d}.parquet"
                if not path.exists():
                    store.write_table(path, _rows(spec, explainer, material, step))
                if spec.relabel and 0 < step < spec.final_step:
                    return _relabelled(spec, explainer, material, work / f"behaviours-{step:06d}.parquet")
                return None

            status, error, history = "complete", None, []
            with adapted(m0, spec) as explainer:
                try:
                    for k, stage in enumerate(spec.stages):
                        data = _of_stage(stage, explainer, material, work / f"stage-{k}")
                        start = len(history)
                        rows = train(stage, explainer, data, work / f"stage-{k}", lambda step, start=start: look(start + step))
                        history += [row | {"step": start + row["step"]} for row in rows]
                except Diverged as divergence:
                    status, error = "diverged", str(divergence)
                    history += [row | {"step": len(history) + k} for k, row in enumerate(divergence.history, 1)]
                rows = pd.concat([store.read_table(p) for p in sorted(work.glob("rows-*.parquet"))], ignore_index=True)
                store.write_table(folder / "rows.parquet", rows)
                store.write_table(folder / "history.parquet", pd.DataFrame(history))
                explainer.model.save_pretrained(folder / "adapter")
                seconds = {"load": clock[1] - clock[0], "train_and_evaluate": time.monotonic() - clock[1]}
                about = {"status": status, "error": error, "base": started.folder.name, "source": source.folder.name, "labels": material.about}
                store.finish(folder, _manifest(spec, "explain", explainer) | about | {"seconds": seconds})
    return Result(spec, folder, fresh)


def _material(spec: Spec, started: Result, source: Result) -> Material:
    """The material of an explainer from the finished bases of M0 and S."""
    train_items, test = items_of(spec)
    b_source = _on_training_items(spec.label_source, train_items)
    b_train, m0 = _on_training_items(spec, train_items), load_m0(spec)
    b0, s0 = (Behaviours.from_frame(r.table("behaviours")) for r in (started, source))
    features = changed_features(spec, train_items + test[: len(b0.ids)])
    taught, taught_test = load_taught(spec)
    if taught_test:
        new = behaviours(m0, taught_test, spec.eval_batch)
        b0, s0 = _joined(b0, new), _joined(s0, new)
    about = {"asked": len(train_items), "shallow_rule": _shallow_rules(spec, train_items, b_train, test, b0)}
    # a reply that is no choice has no label; how many there are stands in M0's health
    (train_items, b_train, b_source), (test, b0, s0) = (_labelled(*three) for three in ((train_items, b_train, b_source), (test, b0, s0)))
    texts = fixed_labels(spec, train_items, b_train, b_source, features)
    check_labels(texts, spec.allow_constant_labels)
    own = labels(train_items, b_train, spec.label_format)
    about |= {"items": len(texts), "agreement": float(np.mean([a == b for a, b in zip(texts, own, strict=True)]))}
    data = training_set(m0, train_items, b_train, texts, _replies(spec, m0, train_items), taught_seams(m0, taught) or _shifted(spec, m0, test))
    return Material(train_items, data, test, b0, target(test, s0, features), about)


def _of_stage(spec: Spec, explainer: Loaded, material: Material, folder: Path) -> TrainingSet:
    """The training set of a stage: what is taught only where the stage teaches, and of explanation training that comes after a shift, the
    behaviours of the shifted model as those to hold."""
    folder.mkdir(exist_ok=True)
    if spec.shift != "none" or spec.teach or not material.data.taught:
        return material.data
    data = replace(material.data, taught=())
    if folder.name == "stage-0":
        return data
    path = folder / "behaviours.parquet"
    if not path.exists():
        store.write_table(path, behaviours(explainer, material.train, spec.eval_batch).frame())
    return data.holding(Behaviours.from_frame(store.read_table(path)))


def _shifted(spec: Spec, m0: Loaded, test: list[Item]) -> Taught:
    """What the spec's shift teaches, if it has one."""
    if spec.shift in ("down", "up"):
        others = shift.other_items(spec)
        items = items_of(others)[0]
        return shift.pushed(m0, items, _on_training_items(others, items), spec.shift)
    return {"none": lambda: (), "neutral": lambda: shift.unrelated(m0, spec), "reteach": lambda: shift.retaught(m0, spec, test)}[spec.shift]()


def _rows(spec: Spec, explainer: Loaded, material: Material, step: int) -> pd.DataFrame:
    """The rows of an evaluation: all test items at the final step, the first of each task before."""
    test, kinds = material.test, {(i.task, i.kind) for i in material.train}
    which = np.arange(len(test)) if step == spec.final_step else _first_of_each_task(test, spec.interim_items)
    some = [test[k] for k in which]
    # what it would say if it could say nothing but a label, of a behaviour or a model that was never trained to say one
    forced = (bool(spec.teach) or not spec.explanation_weight) and step == spec.final_step
    now, said, guessed = evaluate(explainer, some, spec.label_format, spec.eval_batch, forced)
    rows = score(some, said, spec.label_format, now, material.source.take(which), material.base.take(which), step)
    rows["held_out"] = [spec.held_out > 0 and (i.task, i.kind) not in kinds for i in some]
    if spec.shift == "reteach":
        rows["retaught"], rows["new_gold"] = shift.new_gold(spec, some)
    if forced:
        rows["forced_self"] = [g == t for g, t in zip(guessed, labels(some, now, spec.label_format), strict=True)]
    return rows


def _relabelled(spec: Spec, explainer: Loaded, material: Material, path: Path) -> TrainingSet:
    """The training set with labels of M_t as it is now; its behaviours are kept at `path`, for a run that is resumed."""
    if not path.exists():
        store.write_table(path, behaviours(explainer, material.train, spec.eval_batch).frame())
    now = Behaviours.from_frame(store.read_table(path))
    return material.data.relabelled(explainer, material.train, labels(material.train, now, spec.label_format))


def measures(result: Result) -> pd.DataFrame:
    """What an explainer came to: one row a task and evaluation with the means of `metrics.per_run`, fractions from 0 to 1."""
    spec, rows = result.spec, result.table("rows")
    alone = rows.assign(condition="this run", m0_seed=spec.m0_seed, seed=spec.seed)
    parts = [metrics.per_run(metrics.with_measures(part)).assign(task=task) for task, part in alone.groupby("task", sort=False)]
    return pd.concat(parts, ignore_index=True)[["task", "step", "items", "self", "target", "gap", "agreement", "valid", "collapsed"]]


def readings(result: Result) -> pd.DataFrame:
    """What the behaviour sensor reads off an explainer at each of its evaluations after the first, beside what was measured (`shifted.estimates`)."""
    spec = result.spec
    rows = result.table("rows").assign(condition="this run", m0_seed=spec.m0_seed, seed=spec.seed, **shifted.about(spec))
    return shifted.estimates(rows)[["task", "step", "items", "valid", "estimated", "low", "high", "measured", "m0_rate"]]


@contextmanager
def explainer(result: Result) -> Iterator[Loaded]:
    """Within the block, the model of a finished run: M0 with the adapter that the run trained."""
    with adapted(load_m0(result.spec), result.spec) as loaded:
        set_peft_model_state_dict(loaded.model, load_file(result.folder / "adapter" / "adapter_model.safetensors"))
        yield loaded


def walkthrough(result: Result, task: str | None = None) -> pd.DataFrame:
    """One test item of the result's task, or of another, shown whole: a row for each step of the method, step and text (M0 untrained)."""
    spec = make_spec(**given(result.spec, *STAGES) | ({"task": task} if task else {}))
    item = items_of(spec)[1][0]
    m0 = load_m0(spec)
    b0 = behaviours(m0, [item], 1)
    if item.replies:
        said = dict(zip(("x", "cf"), (m0.tokenizer.decode(s.tails[0]) for s in reply_seams(m0, [item])[0]), strict=True))
    else:
        said = {k: ", ".join(f"{c} {np.exp(p):.3f}" for c, p in zip(item.choices, getattr(b0, k)[0], strict=True)) for k in ("x", "cf")}
    rows = _words(item) | {
        "x as M0 reads it": behaviour_texts(m0, item)[0],
        "B(M0) on x": said["x"],
        "B(M0) on x without C": said["cf"],
        "explanation request": request(m0, item),
        "label L(M0), by letter": labels([item], b0, "letter")[0],
        "label L(M0), by content": labels([item], b0, "content")[0],
        "what M0 says untrained, free": generate(m0, [item], "letter", 1)[0],
        "what M0 says untrained, forced to a label": forced_choice(m0, [item], "letter", 1)[0],
    }
    return pd.DataFrame({"step": rows.keys(), "text": rows.values()})


def item_whole(profile: str, task: str) -> pd.DataFrame:
    """The words of one test item of a task, without any model: step and text."""
    rows = _words(items_of(make_spec(profile, task=task, train_items=8, test_items=8))[1][0])
    return pd.DataFrame({"step": rows.keys(), "text": rows.values()})


def _words(item: Item) -> dict[str, str]:
    return {
        "x, the input with its cue": item.prompt,
        "cue C": repr(item.cue),
        "x without C": item.counterfactual_prompt,
        "choices": ", ".join(f"{c} ({t})" if c != t else c for c, t in zip(item.choices, item.contents, strict=True)),
        "what is asked": item.request,
    }


def report(notebook: str, result: Result) -> None:
    """Print the command that reproduces the notebook of `result`, and whether the run was computed or reused."""
    stages = ("m0", "items", "base") if result.folder.name.startswith("base-") else STAGES
    store.report(notebook, given(result.spec, *stages), int(result.computed), int(not result.computed))


def _on_training_items(spec: Spec, items: list[Item]) -> Behaviours:
    """B(M0) of the spec on its training items, computed once for all explainers that share M0 and items."""
    path = _shared(spec).with_suffix(".parquet")
    if not path.exists():
        store.write_table(path, behaviours(load_m0(spec), items, spec.eval_batch).frame())
    return Behaviours.from_frame(store.read_table(path))


def _shared(spec: Spec) -> Path:
    """Where explainers that share M0 and training items keep what they share; a suffix is to be added."""
    return store.results_dir() / spec.profile / "behaviours" / key(spec, "labels")


def _labelled(items: list[Item], base: Behaviours, source: Behaviours) -> tuple[list[Item], Behaviours, Behaviours]:
    """Those of the items on which M0 and S do what is one of the choices, so that there is a label."""
    known = np.flatnonzero(base.known() & source.known())
    return [items[k] for k in known], base.take(known), source.take(known)


def _shallow_rules(spec: Spec, items: list[Item], b: Behaviours, test: list[Item], b0: Behaviours) -> dict[str, float]:
    """How well a shallow rule predicts L(M0) by task; like `_on_training_items`, once for all."""
    path = _shared(spec).with_suffix(".json")
    if not path.exists():
        rules = {}
        for task in spec.tasks:
            pairs = []
            for some, does in ((items, b), (test, b0)):
                own = [k for k, text in enumerate(labels(some, does, "letter")) if text and some[k].task == task.split(":")[0]]
                pairs += [[some[k] for k in own], labels([some[k] for k in own], does.take(own), "letter")]
            rules[task.split(":")[0]] = rule_accuracy(*pairs) if all(pairs) else float("nan")  # no label at all
        store.write_json(path, rules)
    return store.read_json(path)


def _replies(spec: Spec, m0: Loaded, items: list[Item]) -> dict[str, torch.Tensor]:
    """M0's replies on the training items that reply, computed once for all explainers that share M0 and items."""
    if not any(i.replies for i in items):
        return {}
    path = _shared(spec).with_suffix(".safetensors")
    if not path.exists():
        with store.replacing(path) as part:
            save_file(held_replies(m0, items, spec.eval_batch), part)
    return load_file(path)


def _joined(a: Behaviours, b: Behaviours) -> Behaviours:
    """The behaviours on two lists of items, one behind the other."""
    width = max(a.x.shape[1], b.x.shape[1])
    wide = [np.concatenate([np.pad(v, ((0, 0), (0, width - v.shape[1])), constant_values=-np.inf) for v in pair]) for pair in ((a.x, b.x), (a.cf, b.cf))]
    return Behaviours(a.ids + b.ids, *wide)


def _first_of_each_task(items: list[Item], n: int) -> np.ndarray:
    """Indices of the first n items of each task; int64."""
    place = pd.Series([i.task for i in items]).to_frame("task").groupby("task").cumcount()
    return np.flatnonzero(place < n)


def _manifest(spec: Spec, stage: str, loaded: Loaded) -> dict[str, Any]:
    return {
        "schema": SCHEMA_VERSION,
        "stage": stage,
        "key": key(spec, stage),
        "spec": spec.model_dump(),
        "model": loaded.description(),
        "licence": PACKAGES[spec.model].licence if spec.model in PACKAGES else None,
        "peak_memory_gb": peak_memory_gb(),
    }


@contextmanager
def _working(folder: Path, spec: Spec, force: bool) -> Iterator[bool]:
    """Yield whether the folder must be computed, and hold it, with the spec's threads and memory ceiling, meanwhile."""
    if store.complete(folder) and not force:
        yield False
        return
    folder.mkdir(parents=True, exist_ok=True)
    threads = torch.get_num_threads()
    with store.locked(folder):
        if store.complete(folder) and not force:  # somebody else made it while we waited
            yield False
            return
        if force:
            store.clear(folder)
        torch.set_num_threads(spec.threads)
        device()  # whose memory the ceiling is about
        forget_peak()
        try:
            with memory_ceiling(spec.memory_gb):
                yield True
        finally:
            torch.set_num_threads(threads)
        shutil.rmtree(folder / WORK, ignore_errors=True)
