"""Prefix trees: every token computed once, every sequence as if it were alone."""

import pytest
import torch
from coupling.measure.behaviours import behaviour_seams
from coupling.measure.explanations import explanation_seam
from coupling.models import Loaded, pack, packed_logits, packing, prefix_tree
from coupling.models.packing import takes_trees
from coupling.models.trees import WORTH_SHARING
from made_models import ARCHITECTURES, bloom, build

SHAPES = {
    "nothing shared": [[5, 6, 7, 8], [9, 10, 11], [12]],
    "all shared": [[5, 6, 7, 8, 9], [5, 6, 7, 8, 9], [5, 6, 7]],
    "one token shared": [[5, 6, 7, 8], [5, 9, 10], [5, 11, 12, 13, 14]],
    "nested": [[5, 6, 7, 8, 9], [5, 6, 7, 10], [5, 6, 11, 12, 13], [14, 5, 6]],
}


@pytest.fixture(params=ARCHITECTURES)
def any_m0(request, m0):
    return build(request.param, m0.tokenizer)


def all_logits(loaded, groups, share=False):
    """Logits at every token of every sequence, from one packed pass."""
    trees = [prefix_tree(g) for g in groups]
    row = pack(trees, loaded.device, share)
    assert bool(row.head) == share
    logits = packed_logits(loaded, row, torch.arange(row.ids.numel()))
    return [[logits[row.place(k, path)] for path in tree.paths] for k, tree in enumerate(trees)]


@pytest.mark.parametrize("shape", SHAPES)
def test_packed_logits_are_those_of_each_sequence_alone(any_m0, shape):
    for group, packed in zip(
        [SHAPES[shape], *SHAPES.values()], all_logits(any_m0, [SHAPES[shape], *SHAPES.values()]), strict=True
    ):
        for sequence, logits in zip(group, packed, strict=True):
            alone = any_m0.model(input_ids=torch.tensor([sequence])).logits[0]
            assert torch.allclose(logits, alone, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("longer", [0, 9])
def test_behind_a_shared_head_logits_are_those_of_each_sequence_alone(any_m0, longer):
    """The head is longer than the window of the model that has one, once also than every tree."""
    head = list(range(20, 20 + WORTH_SHARING + longer))
    groups = [[head + sequence for sequence in group] for group in SHAPES.values()]
    for group, packed in zip(groups, all_logits(any_m0, groups, share=True), strict=True):
        for sequence, logits in zip(group, packed, strict=True):
            alone = any_m0.model(input_ids=torch.tensor([sequence])).logits[0]
            assert torch.allclose(logits, alone, atol=1e-5, rtol=1e-5)


def test_gradients_through_a_shared_head_are_those_of_a_head_for_each_tree(any_m0):
    weight, found = any_m0.model.model.layers[0].self_attn.v_proj.weight.requires_grad_(), []
    groups = [[[*range(20, 31), *sequence] for sequence in group] for group in SHAPES.values()]
    for share in (False, True):
        packed = all_logits(any_m0, groups, share)
        sum(each.square().mean() for group in packed for each in group).backward()
        found.append(weight.grad)
        weight.grad = None
    torch.testing.assert_close(*found, rtol=1e-4, atol=1e-5 * float(found[0].abs().max()))


def test_a_changed_branch_leaves_every_other_branch_as_it_was(any_m0):
    before, after = (
        all_logits(any_m0, [[[5, 6, 7, 8], [5, 6, last, 10], [5, 11]], [[5, 6, 7]]]) for last in (9, 12)
    )
    for b, a, moved in zip(
        before[0] + before[1], after[0] + after[1], (False, True, False, False), strict=True
    ):
        assert torch.equal(a[:2], b[:2])
        assert torch.equal(a, b) != moved


@pytest.mark.parametrize("alone", [True, False], ids=["no head", "shared head"])
def test_the_two_masks_let_tokens_see_the_same(alone):
    """FlexAttention's mask, which only GPUs use, against the one that every other test here uses."""
    head = [] if alone else list(range(20, 20 + WORTH_SHARING))
    trees = [prefix_tree([head + sequence for sequence in g]) for g in SHAPES.values()]
    row = pack(trees, torch.device("cpu"), share=True)
    for window in (None, 3):
        blocks = packing.block_mask(row, torch.float32, window)[:, 0] == 0
        flat = torch.zeros(row.ids.numel(), row.ids.numel(), dtype=torch.bool)
        for k, start in enumerate(row.blocks[:, 0].tolist()):
            n = (row.places // row.blocks.shape[1] == k).sum()
            flat[start : start + n, : row.head] |= blocks[k, :n, : row.head]
            flat[start : start + n, start : start + n] = blocks[k, :n, row.head : row.head + n]
        sees = packing.flex_mask(row, torch.float32, window).mask_mod
        places = torch.arange(row.ids.numel())
        assert torch.equal(sees(0, 0, places[:, None], places), flat)


def test_a_model_is_tried_on_a_small_tree(m0):
    attention = m0.model.config._attn_implementation
    assert takes_trees(m0) is None
    unfit = Loaded(bloom(), m0.tokenizer, torch.float32)
    before = unfit.model.config._attn_implementation
    assert takes_trees(unfit)
    assert unfit.model.config._attn_implementation == before != packing.ATTENTION
    assert attention != packing.ATTENTION


def test_contamination_would_be_noticed(m0, monkeypatch):
    everything = torch.zeros(1, 1, 11, 11).masked_fill(
        ~torch.ones(11, 11, dtype=torch.bool).tril(), -torch.inf
    )
    monkeypatch.setattr(packing, "block_mask", lambda *_: everything)
    assert "see each other" in takes_trees(m0)


def test_items_trees_share_what_their_three_sequences_share(m0, items):
    item = items[1][0]
    x, cf = behaviour_seams(m0, item)
    explanation = explanation_seam(m0, item, "stays at A")
    separate = len(x.prefix) + len(cf.prefix) + len(explanation.prefix) + len(explanation.tails[0])
    tree = prefix_tree([x.prefix, cf.prefix, explanation.prefix + explanation.tails[0][:-1]])
    assert len(tree) < 0.6 * separate
