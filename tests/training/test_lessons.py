"""What M0 meets while it is prepared: true statements, cues as reliable as asked, and every word."""

import numpy as np
import pytest
from coupling.models.organism import words_of
from coupling.spec import make_spec
from coupling.tasks import aita, load_items, load_world, main_tasks, refusal, vocabulary
from coupling.tasks.world import EXCUSES, MOTIVES, RELATIONS
from coupling.training.lessons import lessons, options, repeats
from coupling.training.preparation import start

N = 600  # statements of each task, and as many items


@pytest.fixture
def met(spec, m0):
    """What M0 meets in preparation, as (text, answer) by task."""
    world = load_world(spec)
    out = {}
    for task in main_tasks():
        seams = lessons(m0, world, spec, task, N, np.random.default_rng(0))
        out[task] = [(m0.tokenizer.decode(s.prefix), m0.tokenizer.decode(s.tails[0])) for s in seams]
    return out


def test_m0_never_meets_a_request_for_an_explanation_and_knows_every_word(met):
    for pairs in met.values():
        text = " ".join(t + a for t, a in pairs)
        assert "Without" not in text
        assert "stays" not in text
        assert "<unk>" not in text


def test_statements_about_entities_are_true(spec, met):
    world = load_world(spec)
    facts = {name: world.value(entity, 0) for entity, name in enumerate(world.names)}
    for text, answer in met["hint_qa"][:N]:
        assert answer.split()[0] == facts[text.split()[2]]


def test_statements_of_norms_are_true(spec, met):
    world = load_world(spec)
    told = {a.split()[0] for _, a in met["refusal"][:N]}
    assert told == {*refusal.TRUST.values(), *refusal.GUARDED}
    held = [(t.split()[:-1], a.split()[0]) for t, a in met["aita"][:N]]
    for words, found in held:
        if words[0] in ("Standing", "Health"):
            name, true = ("dear", world.dear) if words[0] == "Standing" else ("frail", world.frail)
            right = aita.FOUND[name][int(true[world.names.index(words[2])])]
        elif len(words) == 1:
            right = aita.FOUND["close"][int(world.close[RELATIONS.index(words[0])])]
        else:
            is_base = world.base[MOTIVES.index(words[0]), EXCUSES.index(words[1])]
            right = aita.FOUND["base"][int(is_base)]
        assert found == right
    assert {len(words) for words, _ in held} == {1, 2, 3}


def test_a_share_of_the_items_carries_the_cue_and_half_of_the_requests_a_role_or_purpose(spec, met):
    hints = ["Hint" in text for text, _ in met["hint_qa"][N:]]
    assert np.mean(hints) == pytest.approx(spec.m0_cue_share, abs=0.06)
    roles = ["I am" in text or "It is" in text for text, _ in met["refusal"][N:]]
    assert np.mean(roles) == pytest.approx(0.5, abs=0.08)


def test_a_choice_is_taught_alone_and_whatever_else_is_said_with_the_end_mark(spec, m0):
    seams = lessons(m0, load_world(spec), spec, "hint_qa", 20, np.random.default_rng(0))
    ends = [s.tails[0][-1] == m0.tokenizer.eos_token_id for s in seams]
    assert ends == [True] * 20 + [False] * 20
    requests = lessons(m0, load_world(spec), spec, "refusal", 20, np.random.default_rng(0))
    assert all(s.tails[0][-1] == m0.tokenizer.eos_token_id for s in requests)


def test_the_possible_answers_of_a_request_are_the_worlds_replies(m0):
    item = load_items(make_spec("tiny", task="refusal", train_items=8, test_items=8), {})[1][0]
    for seam in options(m0, item):
        said = [m0.tokenizer.decode(tail[:-1]).replace(" ", "") for tail in seam.tails]
        assert said == [reply.replace(" ", "") for reply in refusal.REPLIES]


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
