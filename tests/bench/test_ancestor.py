import numpy as np
import pytest
import torch
from coupling.bench import ancestor
from coupling.models import Seam
from coupling.training.loss import explanation_loss
from made_case import moved_pair


@pytest.fixture
def pair(m0):
    with moved_pair(m0) as pair:
        yield pair


def test_logits_are_computed_at_every_position_of_whole_padded_sequences(pair):
    seams = [Seam((5, 6, 7), ((8, 9),)), Seam((5, 6, 7, 8, 9, 10), ((11,),))]
    seen = []
    head = pair.tuned.model.get_output_embeddings()
    handle = head.register_forward_hook(lambda _, __, out: seen.append(out.shape[:2]))
    loss = ancestor.loss(pair.plainly, seams)
    handle.remove()
    assert seen == [(2, 7)]
    assert loss.item() == pytest.approx(explanation_loss(pair.plainly, seams).item(), rel=1e-5)


def test_generate_is_called_for_three_prompts_and_behaviours_are_made_twice(pair, monkeypatch):
    prompts = []
    true = pair.plainly.model.generate

    def generate(**given):
        prompts.append(len(given["input_ids"]))
        return true(**given)

    monkeypatch.setattr(pair.plainly.model, "generate", generate)
    said, texts = ancestor.evaluate(pair.plainly, pair.items[:5])
    assert prompts == [5] * 5  # x and x without its cue, both twice, and the request
    assert said.shape == (2, 5)
    assert len(texts) == 5


def test_a_choice_is_what_a_text_begins_with(pair):
    behaviour = Seam((1,), ((7,), (8, 9)))
    assert [ancestor._choice(behaviour, said) for said in ([7, 3], [8, 9], [8, 3], [])] == [0, 1, -1, -1]


def test_what_is_said_is_the_likeliest_choice_where_it_is_a_choice(pair):
    said, _ = ancestor.evaluate(pair.plainly, pair.items)
    found, _ = pair.evaluate("engine", pair.items)
    choices = np.stack([found.choice("x"), found.choice("cf")])
    assert (said == choices)[said >= 0].all()
    assert torch.is_grad_enabled()
