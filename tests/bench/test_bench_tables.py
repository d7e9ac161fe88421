from coupling import files
from coupling.bench import attention, growth, processes, tables, timing
from coupling.report import figures, pages
from made_case import CASE

MEASURES = {"train_throughput", "eval_throughput", "gemm_share", "peak_memory", "worker_scaling"}


def test_the_tables_hold_one_row_for_each_measure_and_model_and_are_drawn(monkeypatch):
    taken = []

    def throughputs(case, precision, models):
        assert precision == "float32"
        taken.append(case.name)
        measures = ("train_throughput", "eval_throughput", "gemm_share")
        return [timing.row(measure, case.name, 1.0, 3.0, "items/s") for measure in measures]

    def scaling(measured, precision, models):
        point = {"axis": "rank", "model": "tiny", "tokens": 9.0, "unit": "s/item"}
        return [point | {"reference": 2.0, "engine": 1.0, "value": value} for value in (1.0, 2.0)]

    monkeypatch.setattr(timing, "throughputs", throughputs)
    monkeypatch.setattr(timing, "fastest_precision", lambda case, models: "float32")
    monkeypatch.setattr(processes, "memory", lambda name, path, precision: 2.0)
    monkeypatch.setattr(
        processes, "workers", lambda: timing.row("worker_scaling", "tiny", 1.0, 1.9, "steps/s")
    )
    monkeypatch.setattr(growth, "scaling", scaling)
    kernel = {"device": "cpu", "kernel": "SDPA", "quantity": "output", "error": 1e-7}
    monkeypatch.setattr(attention, "errors_here", lambda: [kernel])
    tables.write_rows("bench_attention", "device", [kernel | {"device": "cuda"}, kernel | {"error": 9.0}])
    for _ in range(2):
        tables.main({"tiny": CASE}, "tiny")
    assert taken == ["tiny"]  # what was measured is kept
    table = figures.study_table("bench")
    assert list(table) == ["measure", "model", "reference", "engine", "ratio", "unit"]
    assert set(table["measure"]) == MEASURES
    assert not table.duplicated(["measure", "model"]).any()
    kernels = figures.study_table("bench_attention").set_index("device")["error"]
    assert kernels.to_dict() == {"cuda": 1e-7, "cpu": 1e-7}  # the row of the other device stays
    (decoded,) = figures.study_table("bench_decoding").to_dict("records")
    assert (decoded["items"], decoded["batch"], decoded["together"], decoded["same"]) == (24, 6, 24, 1.0)
    assert decoded["ratio"] == decoded["together_rate"] / decoded["apart_rate"]
    for name in ("speed", "scaling"):
        assert figures.study_figure(name).axes
        assert (files.figures_dir() / f"{name}.png").exists()
    assert "speed" in pages.write_index().read_text()
