"""An M0 that learns the answers of another."""

from collections import Counter

import numpy as np
import pytest
from coupling import runs
from coupling.models import ModelError
from coupling.runs import graph
from coupling.tasks import load_world
from coupling.training import imitation


@pytest.fixture
def pair(spec):
    """The spec of an M0 that is taught, and the two M0s that it is made of."""
    taught = spec.model_copy(
        update={"model": "organism-qwen", "m0_taught_by": "organism", "m0_batch": 8, "m0_steps": 10}
    )
    models = []
    for one in graph.teachers(taught):
        runs.prepared(one)
        models.append(runs.Models().load(one))
    return taught, *models


def test_labels_of_two_organisms_come_to_agree(pair, monkeypatch):
    spec, own, other = pair
    monkeypatch.setattr(imitation, "PROBES", 32)
    before = {name: weight.clone() for name, weight in other.model.state_dict().items()}
    history = imitation.imitate(spec.model_copy(update={"m0_steps": 400}), own, other)
    assert history[-1]["agreement"] >= imitation.AGREED
    assert all(row["agreement"] is None or row["agreement"] < imitation.AGREED for row in history[:-1])
    assert all(weight.equal(before[name]) for name, weight in other.model.state_dict().items())
    assert not any(p.requires_grad for p in own.model.parameters())


def test_agreement_asks_for_the_same_label_and_not_for_the_same_choices_on_x(pair, monkeypatch):
    _, own, other = pair
    answers = {id(own): [(0, 1), (0, 1), (0, 0), (1, 1)], id(other): [(2, 1), (1, 1), (0, 0), (0, 0)]}
    monkeypatch.setattr(imitation, "choices", lambda loaded, items: np.array(answers[id(loaded)]))
    assert imitation.agreement(own, other, []) == 0.5


def test_an_m0_that_does_not_come_to_agree_is_an_error_with_a_way_out(pair, monkeypatch):
    spec, own, other = pair
    monkeypatch.setattr(imitation, "AGREED", 1.1)
    with pytest.raises(ModelError, match=r"m0_steps=10 the labels of M0 and of organism.*raise m0_steps"):
        imitation.imitate(spec, own, other)


def test_a_taught_m0_is_made_of_both_and_serves_as_a_label_source(spec, monkeypatch):
    monkeypatch.setattr(imitation, "AGREED", 0.0)
    run = spec.model_copy(update={"source": "model=organism-qwen,m0_taught_by=organism"})
    made = [
        (node.kind, node.spec.model, node.spec.m0_taught_by) for node in graph.order([graph.explainer(run)])
    ]
    assert made[:3] == [
        ("m0", "organism-qwen", ""),
        ("m0", "organism", ""),
        ("m0", "organism-qwen", "organism"),
    ]
    assert len(made) == 6
    result = runs.explain(run)
    source = runs.prepared(run.label_source)
    assert source.manifest["regime"].keys() == {"step", "loss", "agreement"}
    assert result.manifest["source"] == graph.base(run.label_source).folder.name
    assert runs.base(run.label_source).table("behaviours").shape[0] == spec.test_items


def test_items_that_are_taught_are_like_those_of_tests(spec):
    world = load_world(spec)
    items = imitation._items("hint_qa", world, spec, 2000, np.random.default_rng(0))
    assert np.mean([item.hinted == item.gold for item in items]) == pytest.approx(0.25, abs=0.05)
    asked = Counter(item.group for item in items)
    assert set(asked) == set(world.names)  # those of tests among them
    assert max(asked.values()) < 3 * len(items) / len(world.names)
