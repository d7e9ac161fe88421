import dataclasses

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from conftest import SMALL
from coupling import bench, files
from coupling.models import adapted
from coupling.report import figures, pages
from coupling.training.checkpoints import trainable

MEASURES = {"train_throughput", "eval_throughput", "gemm_share", "peak_memory", "worker_scaling"}


@pytest.fixture
def small(monkeypatch):
    values = {k: v for k, v in SMALL.items() if k not in ("train_items", "batch_size")}
    monkeypatch.setattr(
        bench,
        "CASES",
        {"tiny": {"profile": "tiny", "values": values, "items": 12, "step": 4, "plain": 3, "batch": 6}},
    )
    monkeypatch.setattr(bench, "PEAK_SIZE", 64)
    monkeypatch.setattr(bench, "SCALING", "tiny")


@pytest.fixture
def ready(small, m0):
    spec, _, items = bench.prepared("tiny")
    with adapted(m0, spec) as tuned:
        generator = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for _, p in trainable(tuned.model):
                p.add_(torch.randn(p.shape, generator=generator) * 0.1)
        yield bench.bench_on("tiny", spec, m0, tuned, items)


def test_both_paths_add_the_same_gradients(ready):
    found = []
    for which in ("reference", "engine"):
        loss = ready.gradients(which, [0, 1, 2, 3, 4])
        found.append((loss, [p.grad.clone() for _, p in trainable(ready.tuned.model)]))
        ready.optimizer.zero_grad()
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-5)
    for a, b in zip(found[0][1], found[1][1], strict=True):
        assert torch.allclose(a, b, atol=1e-4 * float(a.abs().max()))


def test_nothing_is_timed_that_does_not_give_the_same(ready, monkeypatch):
    bench.check(ready, 6)
    true = bench.evaluate
    monkeypatch.setattr(bench, "evaluate", lambda *a: (true(*a)[0], ["other"] * 6))
    with pytest.raises(AssertionError, match="texts differ"):
        bench.check(ready, 6)
    monkeypatch.setattr(
        bench, "evaluate", lambda *a: (dataclasses.replace(true(*a)[0], x=true(*a)[0].x + 1), true(*a)[1])
    )
    with pytest.raises(AssertionError, match="behaviours differ"):
        bench.check(ready, 6)


def test_counted_operations_are_those_of_the_tree_and_of_frozen_weights(ready):
    # two layers of width 32 (4 × 32² + 3 × 32 × 48 weights each), 2 operations a weight and token, forward and back
    head = ready.tuned.model.get_base_model().lm_head.weight.numel()
    tokens = sum(bench.size(s) for s in ready.data.seams[:4])
    assert ready.counted(0) == 4 * (tokens * 2 * (4 * 32 * 32 + 3 * 32 * 48) + head * 4 * (2 + 4))


def test_the_reference_takes_one_of_two_precisions(small):
    assert bench.fastest_precision("tiny") in ("float32", "bfloat16")


def test_throughputs_are_one_row_a_measure(small):
    rows = pd.DataFrame(bench.throughputs("tiny", "float32"))
    assert sorted(rows["measure"]) == ["eval_throughput", "gemm_share", "train_throughput"]
    assert np.allclose(rows["ratio"], rows["engine"] / rows["reference"])
    assert (rows[["reference", "engine"]] > 0).all(axis=None)


def test_memory_and_scaling_of_a_small_case(small):
    assert bench.memory_here("tiny", "engine", "bfloat16") > 0.1
    row = bench._scaled("tiny", "rank", 4, *bench.prepared("tiny"), 3)
    assert row["reference"] > 0 < row["engine"]
    assert row["tokens"] < 35


def test_the_tables_hold_one_row_for_each_measure_and_model_and_are_drawn(small, monkeypatch):
    taken = []

    def rows(name, precision):
        assert precision == "float32"
        taken.append(name)
        return [
            bench._row(m, name, 1.0, 3.0, "items/s")
            for m in ("train_throughput", "eval_throughput", "gemm_share")
        ]

    monkeypatch.setattr(bench, "throughputs", rows)
    monkeypatch.setattr(bench, "fastest_precision", lambda name: "float32")
    monkeypatch.setattr(bench, "memory", lambda name, which, precision: 2.0)
    monkeypatch.setattr(bench, "workers", lambda: bench._row("worker_scaling", "tiny", 1.0, 1.9, "steps/s"))
    point = {
        "axis": "rank",
        "model": "tiny",
        "tokens": 9.0,
        "unit": "s/item",
        "reference": 2.0,
        "engine": 1.0,
    }
    monkeypatch.setattr(
        bench, "scaling", lambda measured, precision: [point | {"value": v} for v in (1.0, 2.0)]
    )
    bench.main()
    bench.main()
    assert taken == ["tiny"]  # what was measured is kept
    table = figures.study_table("bench")
    assert list(table) == ["measure", "model", "reference", "engine", "ratio", "unit"]
    assert set(table["measure"]) == MEASURES
    assert not table.duplicated(["measure", "model"]).any()
    for name in ("speed", "scaling"):
        figure = figures.study_figure(name)
        assert (files.figures_dir() / f"{name}.png").exists()
        assert figure.axes
        plt.close(figure)
    assert "speed" in pages.write_index().read_text()
