"""How far a batch is: counts of what is made, and a time left that follows plan and batch."""

import pytest
from coupling.report import overview, pace
from coupling.runs import graph
from made_results import finished

STAGES = {"m0": "m0", "base": "base", "explainer": "explain"}


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still unless it is set."""
    now = [1000.0]
    monkeypatch.setattr(pace.time, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def nodes():
    """An M0, its base and four explainers."""
    specs = [spec for *_, spec in overview.runs("tiny", "headline", m0_seeds=1)]
    return graph.order(map(graph.explainer, specs))


def make(*nodes):
    for node in nodes:
        finished(node.folder, STAGES[node.kind])


def test_what_is_made_is_counted_and_the_time_left_follows_the_plan_and_then_the_batch(nodes, clock):
    of = pace.Pace([(node, 100.0) for node in nodes], at_once=2)
    clock[0] += 60
    assert of.said() == "0 of 1 M0s, 0 of 1 bases, 0 of 4 explainers made; 1.0 min so far, about 4.0 min left"
    clock[0] += 300
    assert of.said().endswith("6.0 min so far, longer than planned")
    make(*nodes[:2])
    clock[0] += 240
    assert of.said().startswith(
        "1 of 1 M0s, 1 of 1 bases, 0 of 4 explainers made; 10.0 min so far, about 13.8 min"
    )
    assert of.share == pytest.approx(1 / 3)
    clock[0] += 240  # nothing more is made, and time passes
    assert of.said().endswith("about 9.8 min left")
    clock[0] += 1260  # it is slower than it was: the time left never runs out before the end
    assert of.said().endswith("35.0 min so far, about 6.9 min left")
    make(*nodes[2:])
    assert of.said().endswith("4 of 4 explainers made; tables and figures are left")
    assert of.share == 1


def test_what_was_never_measured_has_no_time_until_one_was_made(nodes, clock):
    of = pace.Pace([(node, None if node.kind == "m0" else 100.0) for node in nodes], at_once=2)
    assert of.said().endswith("time left not known (M0s: not measured yet)")
    finished(nodes[0].folder, "m0", seconds={"prepare": 600.0})
    clock[0] += 600
    assert of.said().endswith("10.0 min so far, about 7.6 min left")


def test_a_batch_of_which_only_tables_are_left_says_so():
    assert pace.Pace([], at_once=1).said() == "tables and figures are being made"
