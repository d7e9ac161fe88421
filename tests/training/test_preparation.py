"""How an M0 is prepared: what steers it, when it ends, and that it ends the same."""

import numpy as np
import pytest
import torch
from coupling.models import Loaded, ModelError
from coupling.tasks import load_world, main_tasks, task_of
from coupling.training.checkpoints import save_checkpoint
from coupling.training.lessons import lessons, options
from coupling.training.preparation import (
    PROBE_EVERY,
    begin,
    next_lessons,
    prepare,
    probe,
    reached,
    regime,
    start,
    train_step,
)


def test_cues_are_all_right_while_m0_adopts_wrong_ones_too_seldom(spec, monkeypatch, tmp_path):
    drawn_by = []

    def spied(loaded, world, spec, *rest):
        drawn_by.append(spec.m0_cue_accuracy)
        return lessons(loaded, world, spec, *rest)

    monkeypatch.setattr("coupling.training.preparation.lessons", spied)
    course = begin(spec.model_copy(update={"m0_knowledge": 0.5}), tmp_path)
    for adopted, then in ((None, spec.m0_cue_accuracy), (0.2, 1.0), (0.9, spec.m0_cue_accuracy)):
        drawn_by.clear()
        found = {"knowledge": 0.0, "with_cue": 0.0, "adoption": adopted}
        course.now = {} if adopted is None else dict.fromkeys(course.tasks, found)
        next_lessons(course)
        assert drawn_by == [then] * 3


def test_one_task_is_in_hand_and_the_others_are_rehearsed(spec, monkeypatch, tmp_path):
    asked = []

    def spied(loaded, world, spec, task, n, rng):
        asked.append((task, n))
        return []

    monkeypatch.setattr("coupling.training.preparation.lessons", spied)
    strict = {"m0_knowledge": 0.5, "m0_batch": 8, "m0_adoption": 0.5}
    course = begin(spec.model_copy(update=strict), tmp_path)
    poor, good = ({"knowledge": k, "with_cue": k, "adoption": 0.5} for k in (0.0, 0.9))
    for now, in_hand in (
        ({}, "hint_qa"),
        ({"hint_qa": good, "aita": poor, "refusal": poor}, "aita"),
        ({"hint_qa": poor, "aita": poor, "refusal": good}, "hint_qa"),
    ):
        asked.clear()
        course.now = now
        assert len(next_lessons(course)) == 2  # lines to repeat
        assert asked == [(task, 8 if task == in_hand else 2) for task in course.tasks]


def test_probes_are_about_nothing_that_the_test_split_asks_and_their_cues_are_wrong(spec, tmp_path):
    course = begin(spec, tmp_path)
    assert course.tasks == main_tasks()
    for task, probes in course.probes.items():
        assert not any(course.world.test[course.world.names.index(item.group)] for item, _ in probes)
        if not task_of(task).lessons.cue_is_right:
            assert all(item.hinted != item.gold == right for item, right in probes)


def test_a_regime_is_measured_against_chance(spec, m0, monkeypatch):
    world, rng = load_world(spec), np.random.default_rng(0)
    wrong_cues = spec.model_copy(update={"m0_cue_accuracy": 0.0})
    for task in main_tasks():
        lesson = task_of(task).lessons
        items = [lesson.example(world, wrong_cues, rng, False) for _ in range(20)]
        width = max(len(s.tails) for i, _ in items for s in options(m0, i))

        def oracle(_, seams, items=items, width=width):
            scores = torch.zeros(len(items), 2, width)
            for k, (item, right) in enumerate(items):
                scores[k, 0, right], scores[k, 1, item.gold] = 1, 1
            return scores

        monkeypatch.setattr("coupling.training.preparation.continuation_logprobs", oracle)
        now = regime(Loaded(m0.model, m0.tokenizer, torch.float32), items)
        assert now["knowledge"] == now["with_cue"] == 1.0
        assert now["adoption"] == float(lesson.cue_is_right)
        asked = {"m0_knowledge": 0.9, "m0_adoption": 0.1, "m0_adoption_near": 0.1}
        assert reached(task, now, spec.model_copy(update=asked))


@pytest.mark.parametrize(
    ("task", "now", "there"),
    [
        ("aita", {"knowledge": 0.6, "with_cue": 0.0, "adoption": 0.65}, True),
        ("aita", {"knowledge": 0.6, "with_cue": 0.9, "adoption": 0.5}, False),
        ("aita", {"knowledge": 0.5, "with_cue": 0.9, "adoption": 0.7}, False),
        ("refusal", {"knowledge": 0.6, "with_cue": 0.6, "adoption": 1.0}, True),
        ("refusal", {"knowledge": 0.6, "with_cue": 0.5, "adoption": 0.7}, False),
    ],
)
def test_m0_must_know_enough_and_follow_cues_as_a_task_asks(spec, task, now, there):
    asked = {"m0_knowledge": 0.6, "m0_adoption": 0.7, "m0_adoption_near": 0.1}
    assert reached(task, now, spec.model_copy(update=asked)) == there


def test_too_few_steps_are_an_error_that_says_how_far_m0_came(spec, tmp_path):
    short = spec.model_copy(update={"m0_steps": PROBE_EVERY, "m0_knowledge": 1.0})
    with pytest.raises(ModelError, match=r"m0_steps=10 .* m0_knowledge=1.0 .*'hint_qa': .*raise m0_steps"):
        prepare(short, tmp_path, lambda *_: None)


def test_only_an_organism_is_prepared(spec):
    with pytest.raises(ModelError, match=r"model=other: only organism, .* can be prepared; set m0_steps=0"):
        start(spec.model_copy(update={"model": "other"}))


def test_the_same_spec_prepares_the_same_m0_and_another_seed_another(spec, tmp_path):
    kept = []
    often = spec.model_copy(update={"m0_checkpoint_every": 4})
    models = [
        prepare(often.model_copy(update={"m0_seed": s}), tmp_path, lambda step, _: kept.append(step))[0].model
        for s in (0, 0, 1)
    ]
    weights = [torch.cat([p.flatten() for p in m.parameters()]) for m in models]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert not any(p.requires_grad for p in models[0].parameters())
    assert kept == [0, 4, 8] * 3


def test_a_preparation_that_was_stopped_goes_on_to_the_same_m0(spec, monkeypatch, tmp_path):
    """The stop is behind the first probe. What the probe found steers the lessons from there."""
    long = spec.model_copy(update={"m0_steps": 18, "m0_knowledge": 2.0})
    monkeypatch.setattr("coupling.training.preparation.SECONDS", 0.0)
    ends = {}
    for name, stops in (("whole", []), ("stopped", [13])):
        folder = tmp_path / name
        folder.mkdir()

        def save(where, model, optimizer, step, history, drawn, stops=stops, name=name):
            save_checkpoint(where, model, optimizer, step, history, drawn)
            ends[name] = torch.cat([p.detach().flatten().clone() for p in model.parameters()]), [*history]
            if step in stops:
                stops.clear()
                raise KeyboardInterrupt

        monkeypatch.setattr("coupling.training.preparation.save_checkpoint", save)
        for _ in range(1 + len(stops)):
            with pytest.raises((KeyboardInterrupt, ModelError)):
                prepare(long, folder, lambda *_: None)
    assert [len(h) for _, h in ends.values()] == [18, 18]
    assert ends["whole"][1] == ends["stopped"][1]
    assert torch.equal(ends["whole"][0], ends["stopped"][0])


def test_a_preparation_whose_loss_is_no_number_ends_at_once(spec, tmp_path):
    wild = spec.model_copy(update={"m0_learning_rate": 1e30})
    with pytest.raises(ModelError, match=r"loss (nan|inf) at step \d: lower m0_learning_rate=1e\+30"):
        prepare(wild, tmp_path, lambda step, loaded: None)


def test_a_preparation_that_was_stopped_right_behind_its_last_step_ends_there(spec, tmp_path):
    want, history = prepare(spec, tmp_path / "whole", lambda step, loaded: None)
    course = begin(spec, tmp_path / "stopped")
    while course.step < history[-1]["step"]:
        train_step(course)
        if course.step % PROBE_EVERY == 0:
            probe(course)
    (tmp_path / "stopped").mkdir(exist_ok=True)
    drawn = course.rng.bit_generator.state
    loaded = course.loaded
    save_checkpoint(tmp_path / "stopped", loaded.model, course.optimizer, course.step, course.history, drawn)
    got, again = prepare(spec, tmp_path / "stopped", lambda step, loaded: None)
    assert again == history
    for one, other in zip(got.model.parameters(), want.model.parameters(), strict=True):
        assert torch.equal(one, other)
