import dataclasses
import itertools

import numpy as np
import pytest
import torch
from coupling.measure.behaviours import Behaviours, behaviour_seams, behaviours, judged
from coupling.measure.evaluation import evaluate
from coupling.measure.explanations import explanation_seam, forced_choice, generate, labels
from coupling.models import (
    Loaded,
    Seam,
    adapted,
    continuation_logprobs,
    pack,
    packed_logits,
    packing,
    plain_logprobs,
    prefix_tree,
    seam,
)
from coupling.models.packing import takes_trees
from coupling.tasks import load_items, load_taught
from coupling.training.checkpoints import trainable
from coupling.training.data import held_replies, taught_seams, training_set
from coupling.training.loss import behaviour_kl, explanation_loss, losses
from transformers import (
    BloomConfig,
    BloomForCausalLM,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    LlamaConfig,
    LlamaForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

SIZE = {
    "vocab_size": 500,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "initializer_range": 0.2,
    "pad_token_id": 0,
    "bos_token_id": None,
    "eos_token_id": 1,
    "tie_word_embeddings": False,
}
WINDOWED = {
    "sliding_window": 3,
    "layer_types": ["sliding_attention", "full_attention"],
}  # shorter than the sequences below
ARCHITECTURES = {
    "llama": (LlamaForCausalLM, LlamaConfig, {}),
    "qwen2": (Qwen2ForCausalLM, Qwen2Config, {}),
    "qwen3": (Qwen3ForCausalLM, Qwen3Config, {"head_dim": 8}),
    "gemma3": (Gemma3ForCausalLM, Gemma3TextConfig, {"head_dim": 8, **WINDOWED}),
}
SHAPES = {
    "nothing shared": [[5, 6, 7, 8], [9, 10, 11], [12]],
    "all shared": [[5, 6, 7, 8, 9], [5, 6, 7, 8, 9], [5, 6, 7]],
    "one token shared": [[5, 6, 7, 8], [5, 9, 10], [5, 11, 12, 13, 14]],
    "nested": [[5, 6, 7, 8, 9], [5, 6, 7, 10], [5, 6, 11, 12, 13], [14, 5, 6]],
}


def build(name):
    model, config, extra = ARCHITECTURES[name]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return model(config(**SIZE, **extra)).eval().requires_grad_(False)


@pytest.fixture(params=ARCHITECTURES)
def any_m0(request, m0):
    return Loaded(build(request.param), m0.tokenizer, torch.float32)


def all_logits(loaded, groups):
    """Logits at every token of every sequence, from one packed pass."""
    trees = [prefix_tree(g) for g in groups]
    row = pack(trees, loaded.device)
    logits = packed_logits(loaded, row, torch.arange(row.ids.numel()))
    return [
        [logits[[row.starts[k] + place for place in path]] for path in tree.paths]
        for k, tree in enumerate(trees)
    ]


@pytest.mark.parametrize("shape", SHAPES)
def test_packed_logits_are_those_of_each_sequence_alone(any_m0, shape):
    for group, packed in zip(
        [SHAPES[shape], *SHAPES.values()], all_logits(any_m0, [SHAPES[shape], *SHAPES.values()]), strict=True
    ):
        for sequence, logits in zip(group, packed, strict=True):
            alone = any_m0.model(input_ids=torch.tensor([sequence])).logits[0]
            assert torch.allclose(logits, alone, atol=1e-5, rtol=1e-5)


def test_a_changed_branch_leaves_every_other_branch_as_it_was(any_m0):
    before, after = (
        all_logits(any_m0, [[[5, 6, 7, 8], [5, 6, last, 10], [5, 11]], [[5, 6, 7]]]) for last in (9, 12)
    )
    for b, a, moved in zip(
        before[0] + before[1], after[0] + after[1], (False, True, False, False), strict=True
    ):
        assert torch.equal(a[:2], b[:2])
        assert torch.equal(a, b) != moved


def test_a_tree_holds_every_token_once_and_its_descendants_follow_it():
    tree = prefix_tree(SHAPES["nested"])
    assert len(tree) == 5 + 1 + 3 + 3
    assert sorted(tree.paths[0]) == tree.paths[0]
    for sequence, path in zip(SHAPES["nested"], tree.paths, strict=True):
        assert [tree.ids[p] for p in path] == sequence
        assert [tree.depths[p] for p in path] == list(range(len(sequence)))
        for above, below in itertools.pairwise(path):
            assert above < below < tree.ends[above] >= tree.ends[below]


def test_a_row_holds_every_tree_once_and_its_blocks_lead_there_and_back():
    trees = [prefix_tree([list(range(5, 5 + n)), [5, 30]]) for n in (3, 9, 4, 2, 7, 1)]
    row = pack(trees, torch.device("cpu"))
    assert row.ids[0].tolist() == [i for t in trees for i in t.ids]
    assert torch.equal(row.blocks.flatten()[row.places], torch.arange(row.ids.numel()))
    for k, tree in enumerate(trees):
        place = slice(row.starts[k], row.starts[k] + len(tree))
        assert row.ids[0, place].tolist() == tree.ids
        assert (row.ends[0, place] - row.starts[k]).tolist() == tree.ends
        assert row.ids[0][row.blocks[k, : len(tree)]].tolist() == tree.ids


def test_the_two_masks_let_tokens_see_the_same(m0):
    """FlexAttention's mask, which only GPUs use, against the one that every other test here uses."""
    row = pack([prefix_tree(g) for g in SHAPES.values()], torch.device("cpu"))
    for window in (None, 3):
        blocks = packing._block_mask(row, torch.float32, window)[:, 0] == 0
        flat = torch.zeros(row.ids.numel(), row.ids.numel(), dtype=torch.bool)
        for k, start in enumerate(row.starts):
            n = (row.places // row.blocks.shape[1] == k).sum()
            flat[start : start + n, start : start + n] = blocks[k, :n, :n]
        sees = packing._flex_mask(row, torch.float32, window).mask_mod
        places = torch.arange(row.ids.numel())
        assert torch.equal(sees(0, 0, places[:, None], places), flat)


def test_behaviours_and_forced_choices_are_those_of_plain_batches(any_m0, items):
    plain = dataclasses.replace(any_m0, packs=False)
    a, b = behaviours(any_m0, items[1], 7), behaviours(plain, items[1], 7)
    assert np.allclose(a.x, b.x, atol=1e-5)
    assert np.allclose(a.cf, b.cf, atol=1e-5)
    assert forced_choice(any_m0, items[1], "content", 7) == forced_choice(plain, items[1], "content", 7)


def test_tails_of_several_tokens_and_of_different_number(m0):
    s = [
        [
            seam(m0.tokenizer, "Hint: A", (" B", " B C D", " C")),
            seam(m0.tokenizer, "Hint: B", (" A C", " B")),
        ],
        [Seam((7, 8, 3), ((4, 9),)), seam(m0.tokenizer, "of", (" A", " B", " C C C C"))],
    ]
    packed, plain = continuation_logprobs(m0, s), plain_logprobs(m0, [t for g in s for t in g]).view(2, 2, 3)
    assert torch.equal(packed.isfinite(), plain.isfinite())
    assert torch.allclose(packed, plain, atol=1e-5)


@pytest.mark.parametrize("task", ["hint_qa", "refusal"])
def test_losses_and_the_gradients_of_the_adapter_are_those_of_padded_passes(spec, any_m0, task):
    spec = spec.model_copy(update={"task": task, "teach": "jabberwocky"})
    items, taught = load_items(spec, {})[0], load_taught(spec)[0][:3]
    b0 = Behaviours(
        tuple(i.id for i in items),
        *-np.random.default_rng(0).random((2, len(items), len(items[0].choices)), "float32"),
    )
    if task == "refusal":  # of this model no reply is one; labels are made up
        b0 = dataclasses.replace(
            b0,
            x=np.where(b0.x == b0.x.max(1, keepdims=True), 0, -np.inf),
            cf=np.where(b0.cf == b0.cf.max(1, keepdims=True), 0, -np.inf),
        )
    data = training_set(
        any_m0,
        items,
        b0,
        labels(items, b0, "content"),
        held_replies(any_m0, items, 8),
        taught_seams(any_m0, taught),
    )
    which = list(range(9))
    with adapted(any_m0, spec) as tuned:
        generator = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for _, p in trainable(tuned.model):
                p.add_(torch.randn(p.shape, generator=generator) * 0.1)
        packed = losses(spec, tuned, data, which)
        plain = {
            "cross_entropy": explanation_loss(tuned, [data.seams[e][2] for e in which]) * 9,
            "kl": behaviour_kl(tuned, data, which) * 9,
            "taught": explanation_loss(tuned, [s for pair in data.taught for s in pair]) * 3,
        }
        assert all(term > 0.01 for term in plain.values())
        packed["taught"] = losses(spec, tuned, data, [len(data.seams) + k for k in range(3)])["taught"]
        gradients = []
        for terms in (packed, plain):
            sum(terms.values()).backward()
            gradients.append([p.grad.clone() for _, p in trainable(tuned.model)])
            tuned.model.zero_grad()
        for name, term in plain.items():
            assert torch.allclose(packed[name], term, rtol=1e-5), name
        together = losses(spec, tuned, data, [*which, *(len(data.seams) + k for k in range(3))])
        assert all(torch.allclose(together[name], packed[name], rtol=1e-4) for name in plain)
        fallback = losses(
            spec,
            dataclasses.replace(tuned, packs=False),
            data,
            [*which, *(len(data.seams) + k for k in range(3))],
        )
        assert all(torch.allclose(fallback[name], packed[name], rtol=1e-4) for name in plain)
        for a, b in zip(*gradients, strict=True):
            assert torch.allclose(a, b, atol=1e-5 * float(b.abs().max()) + 1e-8, rtol=1e-3)


def test_replies_of_one_pass_are_those_of_plain_batches(spec, any_m0, monkeypatch):
    """The random model's replies are no choices to the detector, so here one that reads their length stands in for it."""
    monkeypatch.setattr("coupling.behaviours.detect", lambda text: {0: None, 1: 0, 2: 1}[len(text) % 3])
    items = load_items(spec.model_copy(update={"task": "refusal+hint_qa"}), {})[1]
    now, said, chosen = evaluate(any_m0, items, "letter", 7, forced=True)
    plain = dataclasses.replace(any_m0, packs=False)
    want, texts, forced = evaluate(plain, items, "letter", 5, forced=True)
    assert said == texts
    assert chosen == forced
    assert len(set(chosen)) > 2
    for a, b in ((now.x, want.x), (now.cf, want.cf)):
        assert (np.isfinite(a) == np.isfinite(b)).all()
        assert np.allclose(a[np.isfinite(a)], b[np.isfinite(b)], atol=1e-5)
    assert {-1, 0, 1} <= set(now.choice("x")[:24])
    assert (now.choice("x")[:24] == now.x[:24].argmax(1))[now.choice("x")[:24] >= 0].all()
    assert np.isnan(now.distribution("x")[:24]).all()
    assert np.isfinite(now.distribution("x")[24:]).all()
    assert judged(any_m0, [[5]], 2).shape == (1, 2)


@pytest.mark.parametrize("label_format", ["letter", "content"])
def test_behaviours_and_texts_of_one_pass_are_those_of_plain_batches(any_m0, items, label_format):
    plain = dataclasses.replace(any_m0, packs=False)
    now, said, chosen = evaluate(any_m0, items[1], label_format, 7, forced=True)
    want = behaviours(plain, items[1], 7)
    assert np.allclose(now.x, want.x, atol=1e-5)
    assert np.allclose(now.cf, want.cf, atol=1e-5)
    assert said == generate(plain, items[1], label_format, 24)
    assert chosen == forced_choice(plain, items[1], label_format, 24)
    assert len(set(said)) > 4  # long and different texts, or this would show little


def test_explanations_stop_at_the_end_mark_each_by_itself(spec, m0, items):
    """After training on labels of different lengths, texts end where the plain ones do."""
    b0 = behaviours(m0, items[0], 8)
    texts = ["stays at A" if i % 2 else "changes to B C D" for i in range(len(items[0]))]
    data = training_set(m0, items[0], b0, texts, {})
    with adapted(m0, spec) as tuned:
        optimizer = torch.optim.AdamW([p for _, p in trainable(tuned.model)], lr=0.03)
        for _ in range(30):
            losses(spec.model_copy(update={"kl_weight": 0.0}), tuned, data, range(len(data.seams)))[
                "cross_entropy"
            ].backward()
            optimizer.step()
            optimizer.zero_grad()
        _, said, _ = evaluate(tuned, items[0], "letter", 8)
        assert said == generate(tuned, items[0], "letter", 8)
        assert len({len(t.split()) for t in said}) > 1


def test_a_model_that_cannot_take_trees_says_so_and_gives_the_same_in_plain_batches(spec, m0, items):
    config = BloomConfig(
        vocab_size=500,
        hidden_size=32,
        n_layer=2,
        n_head=4,
        pad_token_id=0,
        bos_token_id=None,
        eos_token_id=1,
        initializer_range=0.3,
    )
    torch.manual_seed(0)
    bloom = Loaded(BloomForCausalLM(config).eval(), m0.tokenizer, torch.float32)
    assert takes_trees(bloom)
    assert takes_trees(m0) is None
    bloom.packs = False
    now, said, _ = evaluate(bloom, items[1], "letter", 8)
    assert np.isfinite(now.x).all()
    assert len(said) == len(items[1])
    b0 = behaviours(bloom, items[0], 8)
    data = training_set(bloom, items[0], b0, labels(items[0], b0, "letter"), {})
    found = losses(spec, bloom, data, range(4))
    assert found["cross_entropy"] > 0
    assert abs(found["kl"]) < 1e-5


def test_contamination_would_be_noticed(m0, monkeypatch):
    everything = torch.zeros(1, 1, 11, 11).masked_fill(
        ~torch.ones(11, 11, dtype=torch.bool).tril(), -torch.inf
    )
    monkeypatch.setattr(packing, "_block_mask", lambda *_: everything)
    assert "see each other" in takes_trees(m0)


def test_items_trees_share_what_their_three_sequences_share(m0, items):
    item = items[1][0]
    x, cf = behaviour_seams(m0, item)
    explanation = explanation_seam(m0, item, "stays at A")
    separate = len(x.prefix) + len(cf.prefix) + len(explanation.prefix) + len(explanation.tails[0])
    tree = prefix_tree([x.prefix, cf.prefix, explanation.prefix + explanation.tails[0][:-1]])
    assert len(tree) < 0.6 * separate
