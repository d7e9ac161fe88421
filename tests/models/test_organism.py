"""Organisms: one token a word, as many weights as their names say, the same from the same seed."""

import re

import pytest
import torch
from coupling.models.organism import SHAPES, make_model, make_tokenizer, words_of


def test_words_come_once_each_and_marks_are_words():
    assert words_of(["Color of x?", "x, Hint: A."]) == ["Color", "of", "x", "?", ",", "Hint:", "A", "."]


def test_the_tokenizer_has_one_token_a_word_and_marks_what_it_does_not_know():
    tokenizer = make_tokenizer(["Color of x? Hint: A."])
    ids = tokenizer("Hint: B of y?<end>")["input_ids"]
    assert tokenizer.convert_ids_to_tokens(ids) == ["Hint:", "B", "of", "<unk>", "?", "<end>"]
    assert (tokenizer.pad_token_id, tokenizer.eos_token_id) == (0, 1)


@pytest.mark.parametrize("name", SHAPES)
def test_an_organism_is_as_large_as_it_is_called_and_depends_on_its_seed_alone(name):
    state = torch.random.get_rng_state()
    one, same, other = (make_model(name, 300, seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), state)
    said = re.search(r"-(\d+)m", name)
    million = int(said[1]) if said else 1
    assert 0.5e6 * million < sum(p.numel() for p in one.values()) < 2e6 * million
    assert all(torch.equal(one[n], same[n]) for n in one)
    assert not all(torch.equal(one[n], other[n]) for n in one)
