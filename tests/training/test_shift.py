"""What a shift of behaviour teaches, when, and what it leaves alone."""

import json
from pathlib import Path

import numpy as np
import pytest
from coupling import runs
from coupling import spec as specs
from coupling import sweep as sweeps
from coupling.measure.behaviours import behaviour_texts, behaviours
from coupling.models import encode
from coupling.spec import make_spec
from coupling.tasks import load_items, load_world, refusal
from coupling.tasks.world import ATTRIBUTES
from coupling.training import data as training
from coupling.training import shift

ROOT = Path(__file__).parents[2]


def test_a_field_that_came_later_leaves_the_keys_of_committed_results_alone():
    committed = json.loads((ROOT / "figures/data/tiny/headline/keys.json").read_text())["runs"]
    assert {r["key"] for r in committed} == {
        specs.key(s, "explain") for _, s in sweeps.plan("tiny", "headline", "all", 5)
    }
    plain = make_spec("tiny")
    assert specs.key(plain, "explain") != specs.key(make_spec("tiny", shift="up"), "explain")
    assert specs.key(plain, "labels") == specs.key(make_spec("tiny", shift="up"), "labels")


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"shift": "upp"}, "shift='upp'"),
        ({"shift": "up", "teach": "jabberwocky"}, "one behaviour at a time"),
        ({"shift_order": "after"}, "do nothing without shift"),
        ({"shift": "up", "shift_order": "after"}, "take steps of their own"),
        ({"shift": "up", "shift_steps": 5}, "with takes none"),
        ({"shift": "up", "replay": 0.5}, "something to replay"),
        ({"shift": "reteach", "task": "aita"}, "hint_qa alone"),
        ({"shift_reach": "half", "task": "aita"}, "only down and up reach chosen items"),
        ({"shift": "up", "shift_reach": "half"}, "items of hint_qa have no kinds"),
        ({"shift": "up", "shift_reach": "entities", "task": "aita"}, "hint_qa alone"),
        ({"shift": "up", "shift_adapter": "own"}, "give shift_order=after, no replay"),
        (
            {"shift": "up", "shift_adapter": "own", "shift_order": "after", "shift_steps": 5, "replay": 0.5},
            "no replay",
        ),
        ({"kl_to": "shifted"}, "only beside a shift down or up"),
        ({"shift": "up", "kl_to": "shifted", "task": "refusal"}, "answers are choices"),
        ({"shift": "up", "kl_to": "shifted", "kl_weight": 0.0}, "needs a weight"),
    ],
)
def test_shifts_that_cannot_be_run_say_why(values, says):
    with pytest.raises(specs.SpecError, match=says):
        make_spec("tiny", **values)


def test_phases_follow_one_another_and_are_evaluated_at_their_ends(spec):
    apart = {"shift": "down", "shift_order": "after", "shift_steps": 9, "replay": 0.5, "kl_weight": 2.0}
    after = spec.model_copy(update=apart)
    first, second = (phase.spec for phase in after.phases)
    assert (first.shift, first.steps, second.shift, second.steps) == ("none", 6, "down", 9)
    assert (first.explanation_weight, second.explanation_weight, second.kl_weight) == (1.0, 0.5, 1.0)
    assert [(p.number, p.start, p.teaches) for p in after.phases] == [(0, 0, False), (1, 6, True)]
    assert after.evaluation_steps == [0, 2, 4, 6, 9, 12, 15]
    assert after.final_step == 15
    before = after.model_copy(update={"shift_order": "before", "replay": 0.0})
    assert [p.spec.shift for p in before.phases] == ["down", "none"]
    assert [p.follows_shift for p in before.phases] == [False, True]
    assert before.phases[0].spec.explanation_weight == before.phases[0].spec.kl_weight == 0
    assert [p.spec for p in spec.phases] == [spec]
    apart = after.model_copy(update={"shift_adapter": "own", "replay": 0.0})
    assert [p.spec.kl_weight for p in apart.phases] == [
        2.0,
        2.0,
    ]  # the shift is held as one beside explanations is
    assert [p.spec.explanation_weight for p in apart.phases] == [1.0, 0.0]


def test_down_and_up_ask_for_m0s_own_answer_and_for_the_cue(m0, items, spec):
    b0 = behaviours(m0, items[0], 8)
    own = b0.choice("cf")
    for direction, right in (("down", own), ("up", [i.hinted for i in items[0]])):
        taught = shift.pushed(m0, items[0], b0, direction)
        assert len(taught) == len(items[0])
        for (x, cf), item, wanted, kept in zip(taught, items[0], right, own, strict=True):
            texts = [m0.tokenizer.decode(s.tails[0]).strip() for s in (x, cf)]
            assert texts == [item.choices[wanted], item.choices[kept]]
            assert m0.tokenizer.decode(x.prefix) == m0.tokenizer.decode(
                encode(m0.tokenizer, behaviour_texts(m0, item)[0])
            )


def test_of_requests_up_declines_and_down_helps(m0, spec):
    items = load_items(spec.model_copy(update={"task": "refusal"}), {})[0]
    assert {shift.wanted(i, refusal.COMPLY, "up") for i in items} == {refusal.REFUSE}
    assert {shift.wanted(i, refusal.REFUSE, "down") for i in items} == {refusal.COMPLY}


def test_the_items_of_a_shift_are_no_test_items_and_not_those_with_labels(spec):
    train, test = load_items(spec, {})
    others, again = load_items(shift.other_items(spec), {})
    fixed = spec.model_copy(update={"items_seed": 3})  # which draws the items of explanations alone
    assert load_items(shift.other_items(fixed), {})[0] == others
    assert again == test
    assert {i.prompt for i in others} != {i.prompt for i in train}
    assert not {i.group for i in others} & {i.group for i in test}


def halves(spec, items, task="aita"):
    """Whether the shift of a spec reaches each kind of its items: kinds with labels, and kinds without."""
    train, test = items
    reached = shift.reaches(spec, train, test)
    labelled = {i.kind for i in train}
    found = {i.kind: reached(i) for i in test}
    return [
        {kind: on for kind, on in found.items() if (kind in labelled) == known} for known in (True, False)
    ]


def test_a_push_on_half_of_the_kinds_takes_half_of_those_with_and_of_those_without_labels(spec):
    values = {"task": "aita", "held_out": 0.4, "shift": "down", "shift_reach": "half", "test_items": 400}
    half = spec.model_copy(update=values | {"train_items": 400})
    items = load_items(half, {})
    for known, reached in zip((6, 4), halves(half, items), strict=True):
        assert len(reached) == known
        assert sum(reached.values()) == known // 2
    other = halves(half.model_copy(update={"seed": 1}), items)
    assert all(a[kind] != b[kind] for a, b in zip(halves(half, items), other, strict=True) for kind in a)
    assert halves(half.model_copy(update={"shift": "up", "seed": 2}), items) == halves(half, items)
    drawn = [halves(half.model_copy(update={"m0_seed": m}), items) for m in range(6)]
    assert any(one != drawn[0] for one in drawn)
    closed = halves(half.model_copy(update={"shift_reach": "labelled"}), items)
    assert [set(reached.values()) for reached in closed] == [{True}, {False}]


def test_a_kind_that_is_alone_is_pushed_by_one_of_two_explainers(spec):
    two = spec.model_copy(
        update={"attributes": 2, "held_out": 0.5, "shift": "up", "shift_reach": "half", "test_items": 100}
    )
    for m0_seed in range(4):
        of_seed = [
            halves(one, load_items(one, {}))
            for one in (two.model_copy(update={"m0_seed": m0_seed, "seed": s}) for s in (0, 1))
        ]
        for known in (0, 1):
            assert sorted(on for one in of_seed for on in one[known].values()) == [False, True]
        for with_labels, without in of_seed:  # each run pushes one kind of the two
            assert sorted([*with_labels.values(), *without.values()]) == [False, True]


def test_items_of_a_push_on_half_of_the_kinds_are_drawn_from_all_kinds(spec):
    values = {"task": "aita", "held_out": 0.5, "shift": "down", "train_items": 400}
    closed = spec.model_copy(update=values)
    kinds = {i.kind for i in load_items(closed, {})[0]}
    assert {i.kind for i in load_items(shift.other_items(closed), {})[0]} == kinds
    half = closed.model_copy(update={"shift_reach": "half"})
    assert {i.kind for i in load_items(shift.other_items(half), {})[0]} > kinds


def test_a_push_on_entities_asks_of_the_half_that_reteach_takes_and_in_no_tested_prompt(spec):
    push = spec.model_copy(update={"shift": "down", "shift_reach": "entities"})
    test = load_items(push, {})[1]
    world = load_world(push)
    items = shift.entity_items(push, test)
    taught = {world.names[e] for e, _ in shift.new_facts(push, world)}
    assert {i.group for i in items} == taught
    assert len(items) == len(taught) * shift.QUESTIONS
    assert not {i.counterfactual_prompt for i in items} & {i.counterfactual_prompt for i in test}
    reached = shift.reaches(push, load_items(push, {})[0], test)
    assert [reached(i) for i in test] == shift.new_gold(push.model_copy(update={"shift": "reteach"}), test)[0]


def test_new_facts_are_other_facts_of_half_of_the_tested_entities(spec):
    world = load_world(spec)
    facts = shift.new_facts(spec, world)
    tested = {e for e in range(spec.entities) if world.test[e]}
    assert len(facts) == len(tested) // 2
    assert {e for e, _ in facts} < tested
    assert all(v != world.facts[place] for place, v in facts.items())
    assert shift.new_facts(spec.model_copy(update={"seed": 1}), world) != facts
    changed = shift.changed_world(world, facts)
    for place in ((e, 0) for e in range(spec.entities)):
        assert changed.facts[place] == facts.get(place, world.facts[place])


def test_new_facts_are_stated_and_asked_in_no_tested_prompt(m0, spec, items):
    world, facts = load_world(spec), shift.new_facts(spec, load_world(spec))
    taught = shift.retaught(m0, spec, items[1])
    assert len(taught) == len(facts) * (shift.STATEMENTS + shift.QUESTIONS)
    said = {m0.tokenizer.decode(s[0].prefix) for s in taught}
    tested = {m0.tokenizer.decode(encode(m0.tokenizer, t)) for i in items[1] for t in behaviour_texts(m0, i)}
    assert not said & tested
    assert len(said) > len(facts) * shift.QUESTIONS
    names = {world.names[e]: ATTRIBUTES["Colour"][v] for (e, _), v in facts.items()}
    for (seam,) in taught:
        text, answer = m0.tokenizer.decode(seam.prefix), m0.tokenizer.decode(seam.tails[0]).split()[0]
        colour = names[text.split()[2]]
        assert answer == colour or f"{answer} {colour}" in text  # stated, or the letter of its option
    assert not any("Hint" in text for text in said)


def test_the_new_fact_of_an_item_is_found_among_its_choices(spec, items):
    world, facts = load_world(spec), shift.new_facts(spec, load_world(spec))
    names = {world.names[e]: ATTRIBUTES["Colour"][v] for (e, _), v in facts.items()}
    for item, is_told, place in zip(items[1], *shift.new_gold(spec, items[1]), strict=True):
        assert is_told == (item.group in names)
        told = names.get(item.group)
        assert place == (item.contents.index(told) if told in item.contents else -1)


@pytest.mark.parametrize(
    "change",
    [
        {"shift": "up", "shift_reach": "entities"},
        {"shift": "neutral"},
        {"shift": "reteach", "shift_order": "after", "shift_steps": 4},
    ],
)
def test_a_shift_is_trained_and_explanations_beside_it(spec, change):
    result = runs.explain(spec.model_copy(update=change))
    history, rows = result.table("history"), result.table("rows")
    steps = result.spec.final_step
    assert history["step"].tolist() == list(range(1, steps + 1))
    assert rows["step"].max() == steps
    assert (history["taught"].iloc[-3:] > 0).all()
    if "shift_order" in change:
        assert (history["taught"].iloc[:6] == 0).all()
        assert (history["cross_entropy"].iloc[6:] == 0).all()
        assert {"retaught", "new_gold"} <= set(rows)
    else:
        assert (history["cross_entropy"] > 0).all()
    plain = runs.explain(spec).table("history")
    assert not np.allclose(plain["loss"], history["loss"].iloc[: len(plain)]) or "shift_order" in change


def test_after_a_shift_the_shifted_behaviours_are_held(spec, monkeypatch):
    seen = []
    real = training.TrainingSet.holding
    monkeypatch.setattr(
        training.TrainingSet, "holding", lambda self, b: seen.append((self.reference, b)) or real(self, b)
    )
    runs.explain(
        spec.model_copy(
            update={"shift": "up", "shift_order": "before", "shift_steps": 6, "learning_rate": 0.05}
        )
    )
    assert len(seen) == 1
    before, now = seen[0][0][:, 0].numpy(), seen[0][1].distribution("x")
    assert np.abs(np.exp(now) - np.exp(before)).max() > 0.01
