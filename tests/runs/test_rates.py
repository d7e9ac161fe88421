"""What finished results tell of time and space: this machine first, then records, and never a guess."""

import pytest
from coupling import files
from coupling.runs import folders, graph, trial
from coupling.runs.rates import HERE, TRIAL, UNKNOWN, Rates, work

ELSEWHERE = {"machine": "arm64", "system": "Darwin", "cpus": 8, "cpu": "Apple M9"}


def finish(spec, folder, seconds, hardware=None, size=1000):
    """Make the result of an explainer look finished."""
    folder.mkdir(parents=True)
    (folder / "adapter").write_bytes(b"0" * size)
    about = {"stage": "explain", "status": "complete", "spec": spec.model_dump()}
    about |= {"seconds": {"load": 1.0, "train": seconds - 1.0}, "model": {"device": "cpu"}}
    folders.finish(folder, about)
    if hardware:
        path = folder / folders.MANIFEST
        files.write_json(path, files.read_json(path) | {"hardware": hardware})


def expected(spec):
    return Rates("tiny").expected(graph.explainer(spec))


def test_nothing_measured_is_no_number(spec):
    found = expected(spec)
    assert (found.seconds, found.basis, found.bytes) == (None, UNKNOWN, None)


def test_a_run_takes_as_long_as_those_of_this_machine_scaled_by_its_work(spec):
    finish(spec, folders.run_folder(spec), 10.0)
    finish(spec.model_copy(update={"seed": 1}), folders.run_folder(spec.model_copy(update={"seed": 1})), 12.0)
    longer = spec.model_copy(update={"steps": 60, "seed": 2})
    found = expected(longer)
    assert found.basis == HERE
    assert found.seconds == pytest.approx(11 * work("explainer", longer) / work("explainer", spec))
    assert 1000 < found.bytes < 10_000


def test_another_precision_thread_number_or_model_tells_nothing(spec):
    finish(spec, folders.run_folder(spec), 10.0)
    for other in ({"dtype": "bfloat16"}, {"threads": 2}, {"model": "organism-deep"}):
        assert expected(spec.model_copy(update=other)).seconds is None


def test_records_of_another_machine_are_told_as_such_and_come_last(spec):
    record = files.tables_dir() / "tiny" / "headline" / "records" / folders.run_folder(spec).name
    finish(spec, record, 100.0, ELSEWHERE)
    found = expected(spec)
    assert found.seconds == pytest.approx(100.0)
    assert found.basis == "another machine (Apple M9, 8 cores, cpu)"
    assert found.bytes is None  # a record is a part of a result
    finish(spec, folders.run_folder(spec), 10.0)
    assert expected(spec).basis == HERE


def test_a_damaged_manifest_or_one_of_an_earlier_version_is_left_out(spec):
    for name, text in (("a", "{"), ("b", '{"stage": "explain"}'), ("c", "[]")):
        folder = files.results_dir() / "tiny" / name
        folder.mkdir(parents=True)
        (folder / folders.MANIFEST).write_text(text)
    assert expected(spec).seconds is None


def test_a_short_trial_stands_in_for_results_of_this_machine(spec, items, m0):
    mass = trial.try_out(spec, m0, items[1])
    assert 0 < mass < 1
    found = expected(spec)
    assert found.basis == TRIAL
    assert found.seconds > 0
    longer = spec.model_copy(update={"steps": 10 * spec.steps})
    assert expected(longer).seconds > found.seconds
    assert Rates("tiny").expected(graph.base(spec)).basis == TRIAL
    assert expected(spec.model_copy(update={"threads": 2})).seconds is None
    (kept,) = (files.results_dir() / "tiny" / "trials").iterdir()
    before = kept.read_bytes()
    assert trial.try_out(spec, m0, items[1]) == mass
    assert kept.read_bytes() == before
    for damaged in ("{", "[]", '{"seconds": 1}'):
        kept.write_text(damaged)
        assert trial.try_out(spec, m0, items[1]) == pytest.approx(mass, abs=1e-6)
    files.write_json(kept, files.read_json(kept) | {"hardware": ELSEWHERE})
    assert expected(spec).seconds is None
    kept.write_text("{")
    assert expected(spec).seconds is None
