"""Many architectures: packed is plain, an adapter is peft's, gradients and greedy texts are equal.

What everything is compared with is the plainest way: the attention that an architecture defines itself, one
text at a time, without padding and without a cache. Six architectures are always tried; the others with
`make architectures`, or pytest -m architectures.
"""

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from coupling.measure.behaviours import behaviour_texts, behaviours
from coupling.measure.evaluation import evaluate
from coupling.measure.explanations import labels, most_tokens, request
from coupling.measure.wording import normalise, possible_labels
from coupling.models import adapted, encode, load_from
from coupling.models.adapter import peft_forward
from coupling.training.checkpoints import trainable
from coupling.training.data import training_set
from coupling.training.loss import losses
from made_architectures import ARCHITECTURES, FEW, save
from made_models import stir

ITEMS = 6


@pytest.fixture(
    params=[n if n in FEW else pytest.param(n, marks=pytest.mark.architectures) for n in ARCHITECTURES]
)
def loaded(request, m0, tmp_path):
    save(request.param, m0.tokenizer, tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what cannot be packed, which is asserted below
        return load_from(tmp_path, "float32")


def plainest(loaded):
    """The same weights, run in the plainest way."""
    loaded.model.set_attn_implementation("eager")
    return replace(loaded, packs=False, pads=False)


@torch.no_grad()
def scored(plain, text, continuation):
    """The log-probability of a continuation behind a text."""
    prefix = encode(plain.tokenizer, text)
    ids = encode(plain.tokenizer, text + continuation)
    logits = plain.model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, len(prefix) - 1 : -1]
    return float(logits.log_softmax(-1)[range(len(ids) - len(prefix)), list(ids[len(prefix) :])].sum())


@torch.no_grad()
def said(plain, text, limit):
    """What a loop over whole texts says greedily behind a text, normalised."""
    ids = [*encode(plain.tokenizer, text)]
    start = len(ids)
    while len(ids) - start < limit:
        ids.append(int(plain.model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1].argmax()))
        if ids[-1] in plain.ends:
            break
    return normalise(plain.tokenizer.decode(ids[start:], skip_special_tokens=True))


def test_scores_texts_and_choices_are_those_of_the_plainest_way(loaded, items):
    some = items[1][:ITEMS]
    now, texts, chosen = evaluate(loaded, some, "content", 4, forced=True)
    plain = plainest(loaded)
    for k, item in enumerate(some):
        for text, found in zip(behaviour_texts(loaded, item), (now.x[k], now.cf[k]), strict=True):
            wanted = [scored(plain, text, f" {choice}") for choice in item.choices]
            assert np.allclose(found, wanted, atol=1e-4)
        asked = request(loaded, item)
        assert texts[k] == said(plain, asked, most_tokens(loaded, some, "content"))
        of_labels = {label: scored(plain, asked, f" {label}") for label in possible_labels(item, "content")}
        assert of_labels[chosen[k]] > max(of_labels.values()) - 1e-4


def test_an_adapter_and_its_gradients_are_those_of_peft_in_the_plainest_way(spec, loaded, items):
    some, found = items[0][:4], []
    b0 = behaviours(loaded, some, 4)
    data = training_set(loaded, some, b0, labels(some, b0, "letter"), {})
    with adapted(loaded, spec) as tuned:
        stir(tuned, 0.1)
        for way in (tuned, None):
            if way is None:
                peft_forward(tuned)
                way = plainest(tuned)
            tuned.model.zero_grad()
            parts = losses(spec, way, data, range(len(some)))
            (parts["cross_entropy"] + parts["kl"]).backward()
            gradients = [p.grad.clone() for _, p in trainable(tuned.model) if p.grad is not None]
            found.append((parts["cross_entropy"].item(), parts["kl"].item(), gradients))
    (ce, kl, ours), (plain_ce, plain_kl, pefts) = found
    assert ce == pytest.approx(plain_ce, rel=1e-4)
    assert kl == pytest.approx(plain_kl, rel=1e-3, abs=1e-5)
    assert len(ours) == len(pefts) > 0
    scale = max(float(g.abs().max()) for g in pefts)
    assert all(torch.allclose(a, b, rtol=1e-3, atol=1e-4 * scale) for a, b in zip(ours, pefts, strict=True))
