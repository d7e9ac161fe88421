"""Prefix trees and rows of them: every token once, and every sequence found again."""

import itertools

import pytest
import torch
from coupling.models import pack, prefix_tree

NESTED = [[5, 6, 7, 8, 9], [5, 6, 7, 10], [5, 6, 11, 12, 13], [14, 5, 6]]


def test_a_tree_holds_every_token_once_and_its_descendants_follow_it():
    tree = prefix_tree(NESTED)
    assert len(tree) == 5 + 1 + 3 + 3
    assert sorted(tree.paths[0]) == tree.paths[0]
    for sequence, path in zip(NESTED, tree.paths, strict=True):
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
        place = row.place(k, range(len(tree)))
        assert row.ids[0, place].tolist() == tree.ids
        assert (row.ends[0, place] - row.starts[k]).tolist() == tree.ends
        assert row.ids[0][row.blocks[k, : len(tree)]].tolist() == tree.ids


HEAD = list(range(20, 30))


def rows(*groups, share=True):
    return pack([prefix_tree(group) for group in groups], torch.device("cpu"), share)


def test_a_head_that_all_trees_share_is_in_the_row_once():
    row = rows([[*HEAD, 5, 6], [*HEAD, 7]], [[*HEAD, 5]], [[*HEAD, 8, 9, 5]])
    assert row.head == len(HEAD)
    assert row.ids[0].tolist() == [*HEAD, 5, 6, 7, 5, 8, 9, 5]
    assert row.positions[0].tolist() == [*range(10), 10, 11, 10, 10, 10, 11, 12]
    assert row.ids[0, row.place(2, range(13))].tolist() == [*HEAD, 8, 9, 5]
    assert row.place([0, 1, 1], [10, 3, 10]).tolist() == [10, 3, 13]
    assert torch.equal(row.blocks.flatten()[row.places], torch.arange(17))


def test_a_head_ends_where_a_tree_branches_or_ends():
    assert rows([[*HEAD, 5], [*HEAD[:9], 6]], [[*HEAD, 7]]).head == 9
    assert rows([HEAD], [[*HEAD, 5]]).head == 9  # every tree keeps a token of its own


@pytest.mark.parametrize(
    "groups",
    [
        [[[*HEAD, 5], [*HEAD, 6]]],  # one tree
        [[[*HEAD, 5]], [[*HEAD[:7], 5, 5, 5]]],  # too short
        [[[*HEAD, 5], [4]], [[*HEAD, 6]]],  # one tree branches at its root
    ],
)
def test_trees_without_a_head_worth_sharing_are_packed_whole(groups):
    shared, whole = rows(*groups), rows(*groups, share=False)
    assert shared.head == 0
    assert torch.equal(shared.ids, whole.ids)
    assert torch.equal(shared.ends, whole.ends)
