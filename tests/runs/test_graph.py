"""What a run needs before it."""

import pytest
from coupling.runs import graph


def kinds(nodes):
    return [(node.kind, node.spec.m0_seed) for node in nodes]


def test_a_run_needs_the_base_of_its_label_source_and_last_its_own_m0(spec):
    run = graph.explainer(spec.model_copy(update={"source": "m0_seed=1"}))
    assert kinds(run.needs) == [("base", 1), ("m0", 1), ("base", 0), ("m0", 0)]
    assert kinds(graph.order([run])) == [("m0", 1), ("base", 1), ("m0", 0), ("base", 0), ("explainer", 0)]


def test_a_model_that_is_taken_as_it_is_has_no_preparation(spec):
    real = spec.model_copy(update={"m0_steps": 0, "model": "SmolLM2-135M-Instruct"})
    assert kinds(graph.order([graph.explainer(real)])) == [("base", 0), ("explainer", 0)]


def test_a_run_whose_kl_term_holds_a_shift_alone_needs_that_run_and_a_later_job(spec):
    held = spec.model_copy(update={"shift": "down", "kl_to": "shifted"})
    run = graph.explainer(held)
    assert [node.kind for node in run.needs] == ["base", "m0", "explainer", "base", "m0"]
    alone = run.needs[2].spec
    assert (alone.shift, alone.explanation_weight, alone.kl_weight, alone.kl_to) == ("down", 0, 0, "m0")
    assert run.generation == run.needs[2].generation + 1


def test_runs_share_what_they_need(spec):
    runs = [spec.model_copy(update={"task": t, "seed": s}) for t in ("hint_qa", "aita") for s in (0, 1)]
    found = [node.kind for node in graph.order(map(graph.explainer, runs))]
    assert (found.count("m0"), found.count("base"), found.count("explainer")) == (1, 2, 4)
    early = spec.model_copy(update={"m0_checkpoint": 0.5, "m0_checkpoint_every": 2})
    whole = early.model_copy(update={"m0_checkpoint": 1.0})
    assert graph.m0(early).folder == graph.m0(whole).folder
    assert graph.base(early).folder != graph.base(whole).folder


def test_a_base_knows_nothing_of_a_behaviour_that_is_taught(spec):
    taught = spec.model_copy(update={"teach": "jabberwocky"})
    assert graph.base(taught) == graph.base(spec)


def test_an_explainer_serves_as_label_source_and_as_m0(spec):
    explained = spec.model_copy(update={"seed": 1})
    labelled = graph.explainer(spec.model_copy(update={"source": "explainer=1"}))
    assert [node.kind for node in graph.order([labelled])] == ["m0", "base", "explainer", "base", "explainer"]
    assert graph.order([labelled])[2].folder == graph.explainer(explained).folder
    trained_twice = graph.explainer(spec.model_copy(update={"explainer": 1}))
    assert graph.explainer(explained).folder in [node.folder for node in trained_twice.needs]
    assert [n.generation for n in graph.order([trained_twice])] == [0, 0, 1, 1, 2]


def test_what_is_done_is_left_out_with_what_it_alone_needs(spec):
    run, again = graph.explainer(spec), graph.explainer(spec.model_copy(update={"seed": 1}))
    asked = []

    def done(node):
        asked.append(node.folder)
        return node.folder == graph.base(spec).folder

    # the base is there, but M0 itself is asked about the training items
    assert [node.kind for node in graph.order([run, again], done)] == ["m0", "explainer", "explainer"]
    assert len(asked) == len(set(asked))
    assert graph.order([run], lambda node: node.kind == "explainer") == []


@pytest.mark.parametrize("values", [{}, {"source": "explainer=0"}, {"source": "m0_seed=1", "explainer": 2}])
def test_everything_stands_behind_what_it_needs(spec, values):
    found = graph.order([graph.explainer(spec.model_copy(update=values))])
    for place, node in enumerate(found):
        before = {other.folder for other in found[:place]}
        assert {need.folder for need in node.needs} <= before
