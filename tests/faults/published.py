"""Faults of what is published: records of finished runs, tables of a sweep, and committed tables."""

import shutil
from collections.abc import Callable, Iterator

from cases import Case, Rows
from coupling import checksums, files, runs
from coupling.report import overview
from damaged_files import HARMS, restored
from laboratory import ROOT, Ended, Study
from own_sweeps import own_sweep
from prepared import ORGANISM, Prepared, Store

WHICH = ("--profile", "tiny", "--sweep", "mine.yaml")
RECORDS = "figures/data/tiny/mine/records"
TABLES = ("summary.csv", "items.parquet", "runs.csv", "keys.json", "preference.csv", "base.csv")


def sweep_values() -> dict:
    """Return what the runs of the small sweep have in common."""
    left_out = {"shift", "shift_order", "shift_steps"}
    return {k: v for k, v in ORGANISM.items() if k not in left_out} | {"allow_constant_labels": True}


def make_all() -> None:
    """Make every run of the sweep, in this process."""
    for *_, spec in overview.runs("tiny", "mine.yaml"):
        runs.explain(spec)


def published_sweep(store: Store) -> Prepared:
    """Prepare a sweep that is finished, collected and published. The command publishes it again."""
    folder = store.top / "published"
    study = Study(folder, ("publish", *WHICH))
    if not folder.exists():
        folder.mkdir(parents=True)
        own_sweep(folder, values=sweep_values(), figures=[])
        for words in (("status", *WHICH), ("collect", *WHICH), study.words):
            ended = study.run(*words, before=make_all if words[0] == "status" else None)
            assert not ended.code, ended.said
    return Prepared(study, records_of(study, Ended(0, "")), 1.0)


def records_of(study: Study, ended: Ended) -> Rows:
    """Read the digests of all published records."""
    if ended.code:
        return {}
    found: Rows = {}
    for path in sorted(study.top.glob(f"{RECORDS}/*/*.parquet")):
        found.setdefault(path.parent.name, []).append(f"{path.name} {checksums.sha256(path)}")
    return found


def collected_sweep(store: Store) -> Prepared:
    """Prepare the same sweep; the command makes its tables from the records, since the runs are gone."""
    before = published_sweep(store).study
    study = Study(store.top / "collected", ("collect", *WHICH))
    wanted = tables_of(before, Ended(0, ""))
    if not study.top.exists():
        shutil.copytree(before.top, study.top)
        shutil.rmtree(study.results)
    return Prepared(study, wanted, 1.0)


def tables_of(study: Study, ended: Ended) -> Rows:
    """Read the tables of the sweep. They name the file of the sweep, which lies elsewhere in every copy.

    Their checksums are therefore those of each copy, and are left out.
    """
    there = [] if ended.code else sorted(study.results.glob("tables/tiny/mine/*"))
    paths = [path for path in there if path.name != files.SUMS]
    texts = [path.read_bytes().replace(bytes(study.top), b"") for path in paths]
    return (
        {"mine": [f"{path.name} {text!r}" for path, text in zip(paths, texts, strict=True)]} if paths else {}
    )


def committed(command: tuple[str, ...]) -> Callable[[Store], Prepared]:
    """Return what prepares a copy of the committed tables of one sweep, which a command reads."""

    def prepare(store: Store) -> Prepared:
        study = Study(store.top / f"committed-{command[0]}", command)
        if not study.top.exists():
            at = study.top / "figures/data/tiny/headline"
            shutil.copytree(ROOT / "figures/data/tiny/headline", at)
        ended = study.run()
        assert not ended.code, ended.said
        return Prepared(study, printed(study, ended), 1.0)

    return prepare


def printed(study: Study, ended: Ended) -> Rows:
    """Read the rows that a command printed as JSON."""
    return {} if ended.code else {"printed": [f"{row}" for row in ended.printed()]}


def _harm(harm: Callable, pattern: str, seed: int) -> Callable[[Study], None]:
    return lambda study: harm(sorted(study.top.glob(pattern))[0], seed)


def cases() -> list[Case]:
    """List all injections of this module."""
    return list(_cases())


def _cases() -> Iterator[Case]:
    for seed, (how, harm) in enumerate(HARMS):
        for name in ("hint_qa-*/rows.parquet", "hint_qa-*/manifest.json", "base-*/untrained.parquet"):
            pattern = f"{RECORDS}/{name}"
            kind, inject = f"{how} published record", _harm(harm, pattern, 30_000 + seed)
            yield Case(kind, f"{name}, published again", published_sweep, inject, numbers=records_of)
            heal, named = restored(pattern), name.split("*")[0]
            yield Case(kind, f"{name}, tables of it", collected_sweep, inject, heal, named, numbers=tables_of)
    for command in (("summary", "--json"), ("claims", "--json")):
        for number, name in enumerate(TABLES):
            pattern = f"figures/data/tiny/headline/{name}"
            for how, harm in HARMS:
                inject, heal = _harm(harm, pattern, 40_000 + number), restored(pattern)
                kind, label = f"{how} committed table", f"{name}, {command[0]}"
                yield Case(kind, label, committed(command), inject, heal, name, numbers=printed)
