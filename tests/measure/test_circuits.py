"""Activation patching: sanity tests that fail if a patch does too little, too much, or the wrong thing."""

import numpy as np
import pandas as pd
import pytest
from coupling.measure import circuits, patches
from coupling.measure.behaviours import behaviours
from coupling.measure.circuits import CircuitError, effects, move_of, prepared
from coupling.measure.explanations import forced_choice
from coupling.measure.outputs import GROUPS, OUTPUTS
from coupling.measure.patches import Block, Copy, Move, Said, odds
from coupling.measure.token_groups import prompted
from coupling.measure.wording import parse
from coupling.models.sites import Site, sites
from coupling.spec import make_spec
from coupling.tasks import load_items
from made_circuit import CIRCUIT, follower, hinted


def patched(loaded, items):
    """What patches of all sites do to a model on some items."""
    return effects(loaded, prepared(loaded, items, "letter"))


@pytest.fixture(params=["hint_qa", "aita", "refusal"])
def block(request, m0):
    """Items of one layout on a random model of two layers."""
    spec = make_spec("tiny", task=request.param, entities=24, test_items=24, train_items=8)
    items = load_items(spec, {})[1]
    replies = ((5, 6, 7), (8, 9)) if items[0].replies else ()
    made = [prompted(m0, item, "letter", replies) for item in items]
    layout = made[0].layout
    return Block(m0, [one for one in made if one.layout == layout][:4])


def everywhere(block, way, donor):
    every = tuple(sites(block.model.model))
    return [
        Copy(k, (move_of(block.items, k, donor(k), way, GROUPS, every),)) for k in range(len(block.items))
    ]


def test_patching_nothing_changes_nothing(block):
    tokens = np.arange(len(block.items[0].tails.tree))
    every = tuple(sites(block.model.model))
    copies = [Copy(0, (Move(every, tokens, (0,), tokens[None]),)), Copy(0, ())]
    for scores in block.patched(copies):
        np.testing.assert_allclose(scores, block.scores[0], atol=1e-5)


def test_patching_everything_from_x_without_the_cue_gives_what_the_model_does_there(block):
    """And the other way round; behaviour and explanation alike."""
    scores = block.patched(everywhere(block, "cue", lambda k: k))
    np.testing.assert_allclose(scores, block.scores[:, [1, 0, 3, 2]], atol=1e-5)
    assert np.abs(block.scores[:, 0] - block.scores[:, 1])[np.isfinite(block.scores[:, 0])].max() > 0.1


def test_patching_everything_from_another_item_gives_what_the_model_does_on_that(block):
    scores = block.patched(everywhere(block, "other", lambda k: k - 1))
    np.testing.assert_allclose(scores, block.scores[[-1, 0, 1, 2]], atol=1e-5)
    assert np.abs(block.scores[0] - block.scores[1])[np.isfinite(block.scores[0])].max() > 0.1


def test_patches_in_one_pass_are_those_of_passes_of_their_own(block, monkeypatch):
    copies = [
        Copy(0, (move_of(block.items, 0, 1, "other", ["question", "options"], (site,)),))
        for site in sites(block.model.model)
    ]
    together = block.patched(copies)
    monkeypatch.setattr(patches, "TOKENS", 1)
    np.testing.assert_allclose(block.patched(copies), together, atol=1e-5)
    assert np.ptp(together[:, 0, 0]) > 0.01


def test_what_is_read_without_a_patch_is_what_the_study_measures(block):
    items = [one.item for one in block.items]
    if items[0].replies:
        pytest.skip("a reply is generated and read by the detector")
    measured = behaviours(block.model, items, 4)
    width = measured.x.shape[1]
    np.testing.assert_allclose(block.scores[:, 0, :width], measured.x, atol=1e-4)
    np.testing.assert_allclose(block.scores[:, 1, :width], measured.cf, atol=1e-4)
    stated = [
        parse(i, t, "letter")
        for i, t in zip(items, forced_choice(block.model, items, "letter", 4), strict=True)
    ]
    assert [(s.answer, s.flag == 1) for s in block.said] == [(s.answer, s.changes) for s in stated]


def test_a_known_circuit_is_found_and_nothing_else():
    rows, said = patched(follower(), [hinted("A"), hinted("B")])
    assert said["x"].tolist() == said["answer"].tolist() == [0, 1]
    moved = rows[rows["way"] == "other"]
    for output in ("x", "answer"):
        strong = moved[moved[output] > 0.5]
        found = {(Site(r.layer, r.part), r.group) for r in strong.itertuples()}
        assert found == CIRCUIT
        assert len(strong) == 2 * len(CIRCUIT)
        assert (moved.drop(strong.index)[output] == 0).all()
    assert (moved[["cf", "flag"]] == 0).all(axis=None)  # without a hint, and of the flag, it knows nothing


def test_the_cue_is_taken_out_at_the_site_that_has_read_it():
    rows, _ = patched(follower(), [hinted("A"), hinted("B")])
    moved = rows[(rows["way"] == "cue") & (rows["x"] > 0.5)]
    assert {(Site(r.layer, r.part), r.group) for r in moved.itertuples()} == {
        (Site(1, "attention"), "last"),
        (Site(1, "residual"), "last"),
    }


def test_odds_are_summed_over_what_is_not_asked():
    item, said = hinted("A"), Said(x=0, cf=1, answer=1, flag=1)
    labels = np.log([0.1, 0.2, 0.3, 0.4])  # stays at A, stays at B, changes to A, changes to B
    scores = np.full((4, 4), -np.inf)
    scores[0, :2], scores[1, :2], scores[2] = np.log([0.75, 0.25]), np.log([0.5, 0.5]), labels
    assert np.exp(odds(item, said, scores)) == pytest.approx([3, 1, 0.6 / 0.4, 0.7 / 0.3])


def test_replies_of_each_choice_are_compared(m0, monkeypatch):
    spec = make_spec("tiny", task="refusal", entities=24, test_items=8, train_items=8)
    items = load_items(spec, {})[1][:4]
    yes, no = (m0.tokenizer(text)["input_ids"] for text in ("Sure, here is how.", "Sorry, I cannot help."))
    said = [yes, no, yes, yes, no, no, yes, [3, 4]]  # x and cf of each item; the last is neither
    monkeypatch.setattr(circuits, "generated", lambda loaded, prompts, tokens: said[: len(prompts)])
    heads = circuits.reply_heads(m0, items)
    assert set(heads) == {i.id for i in items}
    assert {tuple(map(len, pair)) for pair in heads.values()} == {(circuits.REPLY_HEAD, circuits.REPLY_HEAD)}
    rows, _ = patched(m0, items)
    assert rows[list(OUTPUTS)].notna().all(axis=None)
    assert (rows.loc[rows["group"] == "last", "x"] != 0).any()
    monkeypatch.setattr(circuits, "generated", lambda loaded, prompts, tokens: [yes] * len(prompts))
    with pytest.raises(CircuitError, match="0 of 4 items can be patched"):
        patched(m0, items)


def test_means_over_items_leave_out_items_without_a_change():
    row = {
        "task": "t",
        "trained": True,
        "held_out": False,
        "fold": 0,
        "layer": 0,
        "part": "mlp",
        "group": "last",
    }
    found = pd.DataFrame(
        [
            row | {"way": way, "changed": changed} | dict.fromkeys(OUTPUTS, value)
            for way, changed, value in (
                ("other", True, 1.0),
                ("other", False, 3.0),
                ("cue", True, 1.0),
                ("cue", False, 9.0),
            )
        ]
    )
    means = circuits.by_site(found).set_index("way")
    assert means["x"].to_dict() == {"other": 2.0, "cue": 1.0}
    assert means["items"].to_dict() == {"other": 2, "cue": 1}
