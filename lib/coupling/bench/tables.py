"""Take every measurement that is not there yet, and write the two tables of the bench."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from coupling import files, seals
from coupling.analysis import tables
from coupling.bench import attention, growth, processes, timing
from coupling.bench.cases import CASES, GROWN, Case
from coupling.bench.decoding import decoding
from coupling.bench.pair import PATHS
from coupling.machine import machine_megabytes
from coupling.runs import Models, folders

ORDER = ["train_throughput", "eval_throughput", "gemm_share", "peak_memory", "worker_scaling"]


def main(cases: Mapping[str, Case] = CASES, grown: str = GROWN) -> None:
    """Measure, write figures/data/bench*.parquet, and print the first of them.

    bench.parquet holds the engine beside the reference, bench_scaling.parquet how a step grows,
    bench_attention.parquet the errors of the attention kernels on each device that has been measured, and
    bench_decoding.parquet what it brings to decode several passes together.

    A measurement that takes long is kept on its own in results/bench. It is not taken again until it is
    removed.

    Args:
        cases: The cases by name.
        grown: Name of the case whose steps are made to grow.
    """
    models = Models()
    precision = {
        name: _kept(f"precision-{name}", lambda case=case: timing.fastest_precision(case, models))
        for name, case in cases.items()
    }
    models.let_go()  # memory is measured while this process holds little itself
    rows = [_kept(f"memory-{name}", lambda name=name: _memory(name, precision[name])) for name in cases]
    for name, case in cases.items():
        rows += _kept(
            f"throughputs-{name}",
            lambda case=case: timing.throughputs(case, precision[case.name], models),
        )
    steps = _kept("scaling", lambda: growth.scaling(rows, precision[grown], models))
    rows.append(_kept("workers", processes.workers))
    frame = pd.DataFrame(rows).sort_values("measure", key=lambda names: names.map(ORDER.index), kind="stable")
    tables.write_study_table("bench", frame)
    tables.write_study_table("bench_scaling", pd.DataFrame(steps))
    write_rows("bench_attention", "device", _kept("attention", attention.errors_here))
    together = [
        _kept(f"decoding-{name}", lambda case=case: decoding(case, models)) for name, case in cases.items()
    ]
    write_rows("bench_decoding", "model", together)
    about = folders.provenance() | {"memory_megabytes": machine_megabytes()}
    files.write_json(files.tables_dir() / "bench.json", about)
    files.write_sums(files.tables_dir(), ["bench.json"])
    print(frame.to_string(index=False, float_format=lambda value: f"{value:.3g}"))


def write_rows(table: str, by: str, rows: list[dict[str, Any]]) -> None:
    """Write new rows of a table of the bench, in the place of older ones with the same values of a column.

    Args:
        table: The name of the table, figures/data/<table>.parquet.
        by: The column. Older rows with other values of it stay, for instance those of another device.
        rows: The new rows.
    """
    path, frame = files.tables_dir() / f"{table}.parquet", pd.DataFrame(rows)
    if path.exists():
        before = files.read_table(path)
        frame = pd.concat([before[~before[by].isin(frame[by])], frame], ignore_index=True)
    tables.write_study_table(table, frame)


def _kept(name: str, take: Callable[[], Any]) -> Any:
    """Return a measurement from results/bench, where it is taken and kept if it is not there."""
    path = files.results_dir() / "bench" / f"{name}.json"

    def measure(part: Path) -> None:
        print(f"bench: {name}", flush=True)
        files.put_json(part, take())

    return files.read_json(seals.kept(path, measure))


def _memory(name: str, precision: str) -> dict[str, Any]:
    both = (processes.memory(name, path, precision) for path in PATHS)
    return timing.row("peak_memory", name, *both, "GB")
