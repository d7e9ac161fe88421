import dataclasses

import pytest
from coupling import files
from coupling.bench import attention, growth, parts, processes, tables, timing
from coupling.bench.cases import GROWN
from coupling.report import figures, pages
from made_case import CASE

CASES = {"tiny": CASE, GROWN: dataclasses.replace(CASE, name=GROWN, short="SmolLM2")}
MEASURES = {"train_throughput", "eval_throughput", "gemm_share", "peak_memory", "worker_scaling"}
KERNEL = {"device": "cpu", "kernel": "SDPA", "quantity": "output", "error": 1e-7}


@pytest.fixture
def taken(monkeypatch):
    """The parts that were measured; each gives made-up rows."""
    taken = []

    def training(case, precision, models):
        assert precision == "float32"
        taken.append(f"train-{case.name}")
        point = {"axis": "weights of the model", "value": 1e6, "model": case.name, "unit": "s/item"}
        rows = [
            timing.row("train_throughput", case.name, 1.0, 3.0, "items/s", a) for a in ("plain", "ancestor")
        ]
        rows.append(timing.row("gemm_share", case.name, 1.0, 3.0, "share"))
        return {"bench": rows, "bench_scaling": [point | {"tokens": None, "reference": 1.0, "engine": 0.5}]}

    def evaluation(case, precision, models):
        taken.append(f"eval-{case.name}")
        return {"bench": [timing.row("eval_throughput", case.name, 1.0, 2.0, "items/s")]}

    def scaling(case, precision, models):
        point = {"axis": "rank", "model": case.name, "tokens": 9.0, "unit": "s/item"}
        return [point | {"reference": 2.0, "engine": 1.0, "value": value} for value in (1.0, 2.0)]

    monkeypatch.setattr(timing, "training", training)
    monkeypatch.setattr(timing, "evaluation", evaluation)
    monkeypatch.setattr(timing, "fastest_precision", lambda case, models: "float32")
    monkeypatch.setattr(timing, "keep_freed_memory", lambda: None)  # it would last for all tests
    monkeypatch.setattr(processes, "memory", lambda name, path, precision: 2.0)
    one = timing.row("worker_scaling", "tiny", 1.0, 1.9, "steps/s", "one worker")
    monkeypatch.setattr(processes, "workers", lambda: one)
    monkeypatch.setattr(growth, "scaling", scaling)
    monkeypatch.setattr(attention, "errors_here", lambda: [KERNEL])
    return taken


def test_the_tables_hold_one_row_for_each_measure_model_and_reference_and_are_drawn(taken):
    tables.write_rows("bench_attention", [KERNEL | {"device": "cuda"}, KERNEL | {"error": 9.0}])
    for _ in range(2):
        tables.main(cases=CASES)
    assert len(taken) == 4  # what was measured is kept
    table = figures.study_table("bench")
    keys = ["machine", "measure", "model", "against"]
    assert list(table) == [*keys, "reference", "engine", "ratio", "unit"]
    assert set(table["measure"]) == MEASURES
    assert not table.duplicated(keys).any()
    kernels = figures.study_table("bench_attention").set_index("device")["error"]
    assert kernels.to_dict() == {"cuda": 1e-7, "cpu": 1e-7}  # the row of the other device stays
    decoded = figures.study_table("bench_decoding").to_dict("records")[0]
    assert (decoded["items"], decoded["batch"], decoded["together"], decoded["same"]) == (24, 6, 24, 1.0)
    assert decoded["ratio"] == decoded["together_rate"] / decoded["apart_rate"]
    assert list(figures.study_table("bench_scaling")["axis"]) == [
        *["weights of the model"] * 2,
        *["rank"] * 2,
    ]
    for name in ("speed", "scaling"):
        assert figures.study_figure(name).axes
        assert (files.figures_dir() / f"{name}.png").exists()
    assert "speed" in pages.write_index().read_text()


def test_parts_are_measured_alone_and_anew_only_where_that_is_forced(taken):
    tables.main("train,small", cases=CASES)
    assert taken == ["train-tiny"]
    tables.main("train", cases=CASES)
    assert taken == ["train-tiny", f"train-{GROWN}"]
    tables.main("train,small", force=True, cases=CASES)
    assert taken == ["train-tiny", f"train-{GROWN}", "train-tiny"]
    assert set(figures.study_table("bench")["measure"]) == {"train_throughput", "gemm_share"}


def test_nothing_is_measured_where_a_part_is_unknown(taken):
    with pytest.raises(parts.BenchError, match="'trian'"):
        tables.main("train,trian", cases=CASES)
    assert not taken


def test_rows_of_two_machines_stand_side_by_side_the_newest_last(taken, monkeypatch):
    def measure(machine, asked):
        monkeypatch.setattr(tables, "this_machine", lambda: machine)
        tables.main(asked, cases=CASES)
        return list(zip(*(figures.study_table("bench")[c] for c in ("machine", "measure")), strict=True))

    measure("old, 2 cores", "eval,train,small")
    measure("new", "train,small")
    trained = ["train_throughput", "train_throughput"]
    old = [("old, 2 cores", m) for m in [*trained, "eval_throughput", "gemm_share"]]
    assert measure("new", "eval,small") == [
        *old,
        *(("new", m) for m in [*trained, "eval_throughput", "gemm_share"]),
    ]
    assert taken == ["train-tiny", "eval-tiny", "train-tiny", "eval-tiny"]
    found = measure("old, 2 cores", "workers")
    assert found[-5:] == [*old, ("old, 2 cores", "worker_scaling")]
    assert set(files.read_json(files.tables_dir() / "bench.json")) == {"old, 2 cores", "new"}
    figure = figures.study_figure("speed")
    assert any("old, 2 cores" in text.get_text() for text in figure.texts)


def test_a_machine_is_described_by_cpu_cores_and_instructions(monkeypatch):
    monkeypatch.setattr(tables.folders, "hardware", lambda: {"cpu": "AMD EPYC", "cpus": 2})
    monkeypatch.setattr("torch.backends.cpu.get_cpu_capability", lambda: "AVX2")
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert tables.this_machine() == "AMD EPYC, 2 cores, AVX2"
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.get_device_name", lambda: "NVIDIA H200")
    assert tables.this_machine() == "NVIDIA H200"
