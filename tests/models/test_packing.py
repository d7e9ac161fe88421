"""Prefix trees: every token computed once, every sequence as if it were alone."""

import itertools

import pytest
import torch
from coupling.measure.behaviours import behaviour_seams
from coupling.measure.explanations import explanation_seam
from coupling.models import Loaded, pack, packed_logits, packing, prefix_tree
from coupling.models.packing import takes_trees
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
        blocks = packing.block_mask(row, torch.float32, window)[:, 0] == 0
        flat = torch.zeros(row.ids.numel(), row.ids.numel(), dtype=torch.bool)
        for k, start in enumerate(row.starts):
            n = (row.places // row.blocks.shape[1] == k).sum()
            flat[start : start + n, start : start + n] = blocks[k, :n, :n]
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
