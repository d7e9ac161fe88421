import numpy as np
import pytest
import torch
from coupling.models import Loaded
from coupling.models.organism import words_of
from coupling.tasks import aita, load_world, main_tasks, task_of, vocabulary
from coupling.tasks.world import EXCUSES, MOTIVES, RELATIONS
from coupling.training.checkpoints import save_checkpoint
from coupling.training.preparation import lessons, options, prepare, reached, regime, repeats, start


@pytest.fixture
def met(spec, m0):
    """What M0 meets in preparation, as (text, answer) by task."""
    world = load_world(spec)
    out = {}
    for task in main_tasks():
        seams = lessons(m0, world, spec, task, 600, np.random.default_rng(0))
        out[task] = [(m0.tokenizer.decode(s.prefix), m0.tokenizer.decode(s.tails[0])) for s in seams]
    return out


def test_m0_never_meets_a_request_for_an_explanation_and_knows_every_word(met):
    for pairs in met.values():
        text = " ".join(t + a for t, a in pairs)
        assert "Without" not in text
        assert "stays" not in text
        assert "<unk>" not in text


def test_lessons_are_true_and_their_cues_as_reliable_as_asked(spec, m0, met):
    world = load_world(spec)
    facts = dict(zip(world.names, world.facts[:, 0], strict=True))
    for text, answer in met["hint_qa"][:600]:
        name = text.split()[2]
        assert world.words().index(answer.split()[0]) - world.words().index("red") == facts[name]
    assert {a.split()[0] for _, a in met["refusal"][:600]} == {
        "licensed",
        "suspect",
        "neither",
        "open",
        "guarded",
    }
    held = [(t.split()[:-1], a.split()[0]) for t, a in met["aita"][:600]]
    for words, found in held:
        if words[0] in ("Standing", "Health"):
            name, true = ("dear", world.dear) if words[0] == "Standing" else ("frail", world.frail)
            assert found == aita.FOUND[name][int(true[world.names.index(words[2])])]
        elif len(words) == 1:
            assert found == aita.FOUND["close"][int(world.close[RELATIONS.index(words[0])])]
        else:
            assert (
                found == aita.FOUND["base"][int(world.base[MOTIVES.index(words[0]), EXCUSES.index(words[1])])]
            )
    assert {len(words) for words, _ in held} == {1, 2, 3}
    with_cue = [t for t, _ in met["refusal"][600:] if "I am" in t or "It is" in t]
    assert len(with_cue) / 600 == pytest.approx(0.5, abs=0.08)


def test_lines_to_repeat_hold_every_word_and_half_of_them_are_words_of_labels(spec):
    m0, words = start(spec), words_of(vocabulary(spec))
    lines = repeats(m0, words, 2000, np.random.default_rng(0))
    said = [m0.tokenizer.decode(s.tails[0][:-1]).split() for s in lines]
    assert [m0.tokenizer.decode(s.prefix).split() for s in lines] == [["Say", *line] for line in said]
    assert all(s.tails[0][-1] == m0.tokenizer.eos_token_id for s in lines)
    flat = [w for line in said for w in line]
    labels = {"My", "answer", "stays", "at", "changes", "to"}
    assert np.mean([w in labels for w in flat]) == pytest.approx(0.5, abs=0.03)
    assert set(flat) == labels | set(words)


def test_cues_are_all_right_while_m0_adopts_wrong_ones_too_seldom(spec, monkeypatch, tmp_path):
    met = []
    real = lessons

    def spied(loaded, world, spec, *rest):
        met.append(spec.m0_cue_accuracy)
        return real(loaded, world, spec, *rest)

    monkeypatch.setattr("coupling.training.preparation.lessons", spied)
    for adopted, then in ((0.2, 1.0), (0.9, spec.m0_cue_accuracy)):
        met.clear()
        now = {"knowledge": 0.0, "with_cue": 0.0, "adoption": adopted}
        monkeypatch.setattr("coupling.training.preparation.regime", lambda *_, now=now: now)
        with pytest.raises(RuntimeError, match="m0_knowledge"):
            prepare(spec.model_copy(update={"m0_steps": 20, "m0_knowledge": 0.5}), tmp_path, lambda *_: None)
        assert (
            met == [spec.m0_cue_accuracy] * 30 + [then] * 30
        )  # three tasks, ten steps before the first probe


def test_probes_are_about_nothing_that_the_test_split_asks(spec):
    world, rng = load_world(spec), np.random.default_rng(0)
    for _ in range(50):
        for lesson in (task_of(t).lessons for t in main_tasks()):
            assert not world.test[world.names.index(lesson.example(world, spec, rng, False)[0].group)]


def test_a_regime_is_measured_against_chance(spec, m0, monkeypatch):
    world, rng = load_world(spec), np.random.default_rng(0)
    for task, lesson in ((t, task_of(t).lessons) for t in main_tasks()):
        items = [
            lesson.example(world, spec.model_copy(update={"m0_cue_accuracy": 0.0}), rng, False)
            for _ in range(20)
        ]
        width = max(len(s.tails) for i, _ in items for s in options(m0, i))

        def oracle(_, seams, items=items, width=width):
            scores = torch.zeros(len(items), 2, width)
            for k, (item, right) in enumerate(items):
                scores[k, 0, right], scores[k, 1, item.gold] = 1, 1
            return scores

        monkeypatch.setattr("coupling.training.preparation.continuation_logprobs", oracle)
        now = regime(Loaded(m0.model, m0.tokenizer, torch.float32), items)
        assert now["knowledge"] == now["with_cue"] == 1.0
        assert now["adoption"] == (1.0 if task == "refusal" else 0.0)
        assert reached(
            task,
            now,
            spec.model_copy(update={"m0_knowledge": 0.9, "m0_adoption": 0.1, "m0_adoption_near": 0.1}),
        )


def test_the_same_spec_prepares_the_same_m0_and_another_seed_another(spec, tmp_path):
    models = [
        prepare(spec.model_copy(update={"m0_seed": s}), tmp_path, lambda *_: None)[0].model for s in (0, 0, 1)
    ]
    weights = [torch.cat([p.flatten() for p in m.parameters()]) for m in models]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert not any(p.requires_grad for p in models[0].parameters())


def test_a_preparation_that_was_stopped_goes_on_to_the_same_m0(spec, monkeypatch, tmp_path):
    """Stopped behind the first probe, whose findings steer what is met from there."""
    long = spec.model_copy(update={"m0_steps": 24, "m0_knowledge": 2.0})
    monkeypatch.setattr("coupling.training.preparation.reached", lambda task, now, spec: False)
    monkeypatch.setattr("coupling.training.preparation.SECONDS", 0.0)
    ends = {}
    for name, stops in (("whole", []), ("stopped", [13])):
        folder = tmp_path / name
        folder.mkdir()

        def save(where, model, optimizer, step, history, drawn, stops=stops, name=name):
            save_checkpoint(where, model, optimizer, step, history, drawn)
            ends[name] = torch.cat([p.detach().flatten().clone() for p in model.parameters()]), history
            if step in stops:
                stops.clear()
                raise KeyboardInterrupt

        monkeypatch.setattr("coupling.training.preparation.save_checkpoint", save)
        for _ in range(1 + len(stops)):
            with pytest.raises((KeyboardInterrupt, RuntimeError)):
                prepare(long, folder, lambda *_: None)
    assert [len(h) for _, h in ends.values()] == [24, 24]
    assert ends["whole"][1] == ends["stopped"][1]
    assert torch.equal(ends["whole"][0], ends["stopped"][0])
