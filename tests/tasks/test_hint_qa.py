"""Questions about invented entities: texts, balance, splits, and facts that can be taught anew."""

import numpy as np
import pytest
from coupling.spec import make_spec
from coupling.tasks import load_items, load_world, task_of
from coupling.tasks.world import ATTRIBUTES


def test_golden_of_the_first_test_item():
    item = load_items(make_spec("tiny"), {})[1][0]
    assert item.prompt.splitlines()[0] == f"Colour of {item.group}?"
    assert item.prompt == item.counterfactual_prompt + f"\nHint: {item.choices[item.hinted]}"
    assert item.counterfactual_prompt == f"Colour of {item.group}?\n" + "\n".join(
        f"{c} {t}" for c, t in zip("ABCD", item.contents, strict=True)
    )


def test_splits_share_no_entity_and_test_items_do_not_depend_on_the_explainer():
    a, b = (load_items(make_spec("tiny", seed=s, m0_seed=s, kl_weight=s), {}) for s in (0, 1))
    assert not {i.group for i in a[0]} & {i.group for i in a[1]}
    assert a[1] == b[1]
    assert a[0] != b[0]


def test_hints_and_gold_places_are_balanced_and_the_gold_option_is_true():
    spec = make_spec("tiny")
    world = load_world(spec)
    items = load_items(spec, {})[1]
    for name in ("hinted", "gold"):
        assert np.bincount([getattr(i, name) for i in items]).tolist() == [500] * 4
    facts = dict(zip(world.names, world.facts[:, 0], strict=True))
    assert all(i.contents[i.gold] == ATTRIBUTES["Colour"][facts[i.group]] for i in items)
    both = np.histogram2d([i.hinted for i in items], [i.gold for i in items], bins=4)[0]
    assert both.min() > 90  # of 125 in each cell: the hint says nothing about the fact


def test_attributes_that_are_held_out_have_no_training_items():
    spec = make_spec("tiny", attributes=4, held_out=0.5, train_items=200, test_items=200)
    train, test = load_items(spec, {})
    assert len({i.kind for i in train}) == 2
    assert {i.kind for i in test} == set(ATTRIBUTES)


@pytest.mark.parametrize("accuracy", [0.0, 0.7, 1.0])
def test_hints_of_lessons_are_as_reliable_as_asked(accuracy):
    spec = make_spec("tiny", m0_cue_accuracy=accuracy)
    world, rng = load_world(spec), np.random.default_rng(0)
    lessons = [task_of("hint_qa").lessons.example(world, spec, rng, True) for _ in range(400)]
    assert all(right == item.gold for item, right in lessons)
    assert np.mean([item.hinted == item.gold for item, _ in lessons]) == pytest.approx(accuracy, abs=0.07)


def test_facts_are_asked_for_and_found_again():
    spec = make_spec("tiny", attributes=3, test_items=50)
    world, facts = load_world(spec), task_of("hint_qa").facts
    assert task_of("hint_qa").facts_can_change
    item = facts.example(world, 7, 2, np.random.default_rng(0))
    assert facts.question(world, 7, 2) == f"Home of {world.names[7]}?" == item.prompt.splitlines()[0]
    assert item.contents[item.gold] == world.value(7, 2)
    assert facts.asked(world, item) == (7, 2)
    for asked in load_items(spec, {})[1]:
        assert asked.contents[asked.gold] == world.value(*facts.asked(world, asked))
