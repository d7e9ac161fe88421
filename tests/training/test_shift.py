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
    assert again == test
    assert {i.prompt for i in others} != {i.prompt for i in train}
    assert not {i.group for i in others} & {i.group for i in test}


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
    [{"shift": "up"}, {"shift": "neutral"}, {"shift": "reteach", "shift_order": "after", "shift_steps": 4}],
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
