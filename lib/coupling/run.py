"""Runs: the one place that joins items, models, labels, training and faithfulness. Notebooks and the CLI call this.

Every result lies in `results/<profile>/<slug>-<key>/` (see `store`). A result that is complete is read, never
computed again, unless `force` is set.
"""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from coupling import store
from coupling.behaviours import Behaviours, behaviours, health
from coupling.evaluation import evaluate
from coupling.explanations import WORDINGS, check_labels, forced_choice, generate, labels, request
from coupling.faithfulness.rows import score
from coupling.memory import forget_peak, memory_ceiling, peak_memory_gb
from coupling.models import PACKAGES, Loaded, adapted, fetch, load_from, locate, render
from coupling.models.organism import prepare
from coupling.spec import SCHEMA_VERSION, STAGES, Spec, given, key
from coupling.tasks import OPENING, Item, left_out, load_items, needs
from coupling.training import Diverged, train, training_set

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
    """Training and test items of the spec, fetching what they are read from."""
    return load_items(spec, {name: fetch(name) for name in needs(spec)})


def load_m0(spec: Spec) -> Loaded:
    """M0 of the spec: as it is, or as `base` prepared it. The last one stays in memory for the process's next run."""
    if spec.m0_steps:
        return _load(store.base_folder(spec) / "model", spec.dtype, None)
    return _load(locate(spec), spec.dtype, spec.revision)


_load = lru_cache(maxsize=1)(load_from)


def base(spec: Spec, force: bool = False) -> Result:
    """M0: prepared if the spec says so, with its behaviours and its untrained explanations on the test items.

    The folder holds model/ (if prepared), behaviours.parquet, untrained.parquet (forced choice among the labels and
    free generation, before any training), history.parquet and the manifest with the health of the behaviours.
    """
    folder = store.base_folder(spec)
    with _working(folder, spec, force) as fresh:
        if fresh:
            start = time.monotonic()
            _, test = items_of(spec)  # bad items end the run before any compute
            _load.cache_clear()
            if spec.m0_steps:
                model, tokenizer, history = prepare(spec, WORDINGS)
                model.save_pretrained(folder / "model")
                tokenizer.save_pretrained(folder / "model")
                store.write_table(folder / "history.parquet", pd.DataFrame(history))
            prepared = time.monotonic()
            m0 = load_m0(spec)
            b0, said = evaluate(m0, test, "letter", spec.eval_batch)  # as M_t is evaluated later, in the same shapes
            store.write_table(folder / "behaviours.parquet", b0.frame())
            truth = labels(test, b0, "letter")
            guessed = forced_choice(m0, test, "letter", spec.eval_batch)
            store.write_table(folder / "untrained.parquet", pd.DataFrame({"id": b0.ids, "label": truth, "forced_choice": guessed, "free": said}))
            regime = health(test, b0, truth)
            regime["untrained_forced_choice"] = float(np.mean(np.array(truth) == np.array(guessed)))
            store.finish(
                folder,
                _manifest(spec, "base", m0) | {"health": regime, "left_out": left_out(spec, {name: fetch(name) for name in needs(spec)})}
                | {"seconds": {"prepare": prepared - start, "behaviours": time.monotonic() - prepared}},
            )  # fmt: skip
    return Result(spec, folder, fresh)


def explain(spec: Spec, force: bool = False) -> Result:
    """One explainer: fixed labels L(M0), LoRA training, and an evaluation at each of the spec's evaluation steps.

    The folder holds rows.parquet (one row an item and evaluation), history.parquet (one row a step), adapter/ (peft,
    safetensors) and the manifest. Interrupted, it goes on from its last checkpoint. A run whose loss stops being finite
    is finished with status "diverged" and the rows it had. Raises LabelError before any training on constant labels.
    """
    started = base(spec)
    folder = store.run_folder(spec)
    with _working(folder, spec, force) as fresh:
        if fresh:
            clock = {"load": time.monotonic()}
            train_items, test = items_of(spec)
            m0 = load_m0(spec)
            b0 = Behaviours.from_frame(started.table("behaviours"))
            b_train = _training_behaviours(spec, m0, train_items)
            texts = labels(train_items, b_train, spec.label_format)
            check_labels(texts, spec.allow_constant_labels)
            data = training_set(m0, train_items, b_train, texts)
            work = folder / WORK
            work.mkdir(exist_ok=True)
            clock["train"] = time.monotonic()

            def look(step: int) -> None:
                path = work / f"rows-{step:06d}.parquet"
                if path.exists():
                    return
                n = len(test) if step == spec.steps else min(spec.interim_items, len(test))
                base_b = Behaviours(b0.ids[:n], b0.x[:n], b0.cf[:n])
                now, said = evaluate(explainer, test[:n], spec.label_format, spec.eval_batch)
                store.write_table(path, score(test[:n], said, spec.label_format, now, base_b, base_b, step))

            status, error = "complete", None
            with adapted(m0, spec) as explainer:
                try:
                    history = train(spec, explainer, data, work, look)
                except Diverged as divergence:
                    status, error, history = "diverged", str(divergence), divergence.history
                rows = pd.concat([store.read_table(p) for p in sorted(work.glob("rows-*.parquet"))], ignore_index=True)
                store.write_table(folder / "rows.parquet", rows)
                store.write_table(folder / "history.parquet", pd.DataFrame(history))
                explainer.model.save_pretrained(folder / "adapter")
                seconds = {"load": clock["train"] - clock["load"], "train_and_evaluate": time.monotonic() - clock["train"]}
                about = {"status": status, "error": error, "base": started.folder.name, "seconds": seconds}
                store.finish(folder, _manifest(spec, "explain", explainer) | about)
    return Result(spec, folder, fresh)


def walkthrough(result: Result, index: int = 0) -> pd.DataFrame:
    """One test item shown whole, a row for each step of the method: step, text (M0 untrained, letters as labels)."""
    spec = result.spec
    item = items_of(spec)[1][index]
    m0 = load_m0(spec)
    b0 = behaviours(m0, [item], 1)
    opened = render(m0.tokenizer, item.prompt, OPENING)
    choices = {k: ", ".join(f"{c} {np.exp(p):.3f}" for c, p in zip(item.choices, getattr(b0, k)[0], strict=True)) for k in ("x", "cf")}
    rows = {
        "x, the input with its cue": item.prompt,
        "cue C": repr(item.cue),
        "x without C": item.counterfactual_prompt,
        "x as M0 reads it": opened,
        "B(M0) on x": choices["x"],
        "B(M0) on x without C": choices["cf"],
        "explanation request": request(m0, item),
        "label L(M0), by letter": labels([item], b0, "letter")[0],
        "label L(M0), by content": labels([item], b0, "content")[0],
        "what M0 says untrained, free": generate(m0, [item], "letter", 1)[0],
        "what M0 says untrained, forced to a label": forced_choice(m0, [item], "letter", 1)[0],
    }
    return pd.DataFrame({"step": rows.keys(), "text": rows.values()})


def report(notebook: str, result: Result) -> None:
    """Print the command that reproduces the notebook of `result`, and whether the run was computed or reused."""
    stages = ("items", "base") if result.folder.name.startswith("base-") else STAGES
    store.report(notebook, given(result.spec, *stages), int(result.computed), int(not result.computed))


def _training_behaviours(spec: Spec, m0: Loaded, items: list[Item]) -> Behaviours:
    """B(M0) on the training items, computed once for all explainers that share M0 and these items."""
    path = store.results_dir() / spec.profile / "behaviours" / f"{key(spec, 'labels')}.parquet"
    if not path.exists():
        store.write_table(path, behaviours(m0, items, spec.eval_batch).frame())
    return Behaviours.from_frame(store.read_table(path))


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
        forget_peak()
        try:
            with memory_ceiling(spec.memory_gb):
                yield True
        finally:
            torch.set_num_threads(threads)
        shutil.rmtree(folder / WORK, ignore_errors=True)
