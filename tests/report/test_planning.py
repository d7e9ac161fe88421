"""The plan of a batch: what is there, what is left, and what that takes."""

from coupling.report import overview, planning
from coupling.runs import folders, rates
from coupling.spec import key
from made_results import finished


def test_the_runs_of_a_plan_are_listed_with_their_keys():
    found = planning.plan("tiny", "headline", m0_seeds=2)
    assert (found.total, found.left, found.complete, found.published) == (8, 8, 0, 0)
    assert [(part.kind, part.left) for part in found.parts] == [("m0", 2), ("base", 2), ("explainer", 8)]
    (_, condition, spec), *_ = overview.runs("tiny", "headline", m0_seeds=2)
    assert found.runs[0].model_dump() == {
        "sweep": "headline",
        "task": "hint_qa",
        "condition": condition,
        "m0_seed": 0,
        "seed": 0,
        "key": key(spec, "explain"),
        "complete": False,
        "published": False,
    }


def test_where_nothing_was_measured_the_plan_says_so():
    found = planning.plan("tiny", "headline", m0_seeds=1)
    assert (found.seconds, found.bytes) == (None, None)
    assert found.free_bytes > 0
    text = planning.said(found)
    assert "4 explainers to train: time not known (not measured), size not known" in text
    assert "time: not known: nothing like it was measured" in text


def test_times_and_sizes_of_what_is_left_are_added_up(monkeypatch):
    def known(self, node):
        return rates.Expected({"m0": 60.0, "base": 6.0, "explainer": 1800.0}[node.kind], rates.HERE, 10**6)

    monkeypatch.setattr(rates.Rates, "expected", known)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    monkeypatch.setattr(planning, "machine_megabytes", lambda: 64_000)
    (*_, spec), *_ = overview.runs("tiny", "headline", m0_seeds=1)
    finished(folders.run_folder(spec))
    found = planning.plan("tiny", "headline", m0_seeds=1)
    assert (found.total, found.complete, found.left, found.at_once) == (4, 1, 3, 2)
    assert (found.seconds, found.bytes) == (60 + 6 + 3 * 1800, 5 * 10**6)
    text = planning.said(found)
    assert "3 explainers to train: about 1.5 h (measured on this machine), 3.0 MB" in text
    assert "time: about 1.5 h of computing, 45.5 min with 2 at once" in text
