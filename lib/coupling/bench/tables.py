"""Take every measurement that is asked for and not there yet, and write the tables of the bench."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from coupling import files, seals
from coupling.analysis import tables
from coupling.bench import timing
from coupling.bench.cases import CASES, Case
from coupling.bench.parts import IN_PRECISION, MEASURES, Part, selected
from coupling.machine import machine_megabytes
from coupling.runs import Models, folders

ORDER = ["train_throughput", "eval_throughput", "gemm_share", "peak_memory", "worker_scaling"]
KEYS = {  # by table: rows that agree in these columns measure the same thing
    "bench": ["machine", "measure", "model", "against"],
    "bench_scaling": ["machine", "axis", "model"],
    "bench_decoding": ["machine", "model"],
    "bench_attention": ["device"],
}


def main(asked: str = "", force: bool = False, cases: Mapping[str, Case] = CASES) -> None:
    """Measure, write figures/data/bench*.parquet, and print what was measured on this machine.

    bench.parquet holds the engine beside the references, bench_scaling.parquet how a step grows,
    bench_attention.parquet the errors of the attention kernels on each device that has been measured, and
    bench_decoding.parquet what it brings to decode several passes together. Rows of other machines stay, and
    so do those of parts that are not asked for.

    Each part is kept on its own in results/bench, apart by machine. It is not measured again unless that is
    forced.

    Args:
        asked: The parts, as `parts.selected` reads them.
        force: Whether parts that were measured before are measured anew.
        cases: The cases by name.

    Raises:
        BenchError: If there is no such part. Nothing has been measured then.
    """
    wanted, here, models = selected(asked, cases), this_machine(), Models()
    timing.keep_freed_memory()
    folder = files.results_dir() / "bench" / here.replace(", ", "_").replace(" ", "-")
    for part in wanted:
        if force:
            (folder / f"{part.name}.json").unlink(missing_ok=True)
    for part in wanted:
        for table, rows in _kept(folder, part.name, lambda part=part: _taken(folder, part, models)).items():
            named = {"machine": here} if "machine" in KEYS[table] else {}
            write_rows(table, [named | row for row in rows])
    path = files.tables_dir() / "bench.json"
    before = files.read_json(path) if path.exists() else {}
    about = folders.provenance() | {"memory_megabytes": machine_megabytes()}
    files.write_json(path, before | {here: about})
    files.write_sums(files.tables_dir(), [path.name])
    _print(here)


def this_machine() -> str:
    """Describe this machine in words that stay the same: its GPU, or its CPU, cores and instructions."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    about = folders.hardware()
    return f"{about['cpu']}, {about['cpus']} cores, {torch.backends.cpu.get_cpu_capability()}"


def _taken(folder: Path, part: Part, models: Models) -> dict[str, timing.Rows]:
    """Measure a part, in the precision that is the fastest for the reference on its case."""
    precision = ""
    if part.measure in IN_PRECISION:
        name = f"precision-{part.case.name}"
        precision = _kept(folder, name, lambda: timing.fastest_precision(part.case, models))
    if part.measure == "memory":
        models.let_go()  # so that this process holds little while others are measured
    return MEASURES[part.measure](part.case, precision, models)


def write_rows(table: str, rows: timing.Rows) -> None:
    """Write new rows of a table of the bench in the place of older ones that measure the same (KEYS).

    Other older rows stay, for instance those of another machine. The rows of the machine that was measured
    last stand last.

    Args:
        table: The name of the table, figures/data/<table>.parquet.
        rows: The new rows, of one machine.
    """
    path, frame, keys = files.tables_dir() / f"{table}.parquet", pd.DataFrame(rows), KEYS[table]
    if path.exists():
        before = files.read_table(path)
        again = before.set_index(keys).index.isin(frame.set_index(keys).index)
        frame = pd.concat([before[~again], frame], ignore_index=True)
    if "machine" in frame:
        frame = frame.iloc[sorted(range(len(frame)), key=_places(frame).__getitem__)]
    tables.write_study_table(table, frame.reset_index(drop=True))


def _places(frame: pd.DataFrame) -> list[tuple[bool, int, int]]:
    """Return what a table with machines is sorted by, for each of its rows, the newest of which is the last.

    First come other machines, in the order in which they stand, and within a machine the measures in ORDER.
    """
    machines, newest = list(dict.fromkeys(frame["machine"])), frame["machine"].iloc[-1]
    measures = frame["measure"].map(ORDER.index) if "measure" in frame else [0] * len(frame)
    return [
        (machine == newest, machines.index(machine), measure)
        for machine, measure in zip(frame["machine"], measures, strict=True)
    ]


def _kept(folder: Path, name: str, take: Callable[[], Any]) -> Any:
    """Return a measurement from a folder, where it is taken and kept if it is not there."""

    def measure(part: Path) -> None:
        print(f"bench: {name}", flush=True)
        files.put_json(part, take())

    return files.read_json(seals.kept(folder / f"{name}.json", measure))


def _print(machine: str) -> None:
    path = files.tables_dir() / "bench.parquet"
    if path.exists():
        frame = files.read_table(path)
        here = frame[frame["machine"] == machine].drop(columns="machine")
        print(f"{machine}\n{here.to_string(index=False, float_format=lambda value: f'{value:.3g}')}")
