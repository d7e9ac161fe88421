"""Ablation, steering and surgery: each does what it says, and nothing else."""

import numpy as np
import pandas as pd
import pytest
import torch
from coupling.measure import interventions as interfering
from coupling.measure.circuits import effects, prepared
from coupling.measure.interventions import AMOUNTS, SCALES, interventions
from coupling.measure.outputs import NONE, OUTPUTS
from coupling.measure.patches import Block, Copy, Move
from coupling.models import adapted
from coupling.models.sites import Site
from coupling.models.surgery import adapter_parts, exchanged, scaled
from coupling.spec import make_spec
from coupling.tasks import load_items
from made_circuit import follower, hinted

RISES = [f"rise_{name}" for name in OUTPUTS]


def changed(loaded, made, **given):
    """What interventions do on every second item."""
    chosen = {one.item.id for one in made[::2]}
    return interventions(loaded, made, effects(loaded, made)[0], chosen, 0, **given)


@pytest.fixture
def made(m0):
    spec = make_spec("tiny", entities=24, test_items=24, train_items=8)
    items = load_items(spec, {})[1]
    layout = prepared(m0, items, "letter")[0].layout
    return [one for one in prepared(m0, items, "letter") if one.layout == layout][:12]


@pytest.fixture
def tuned(m0):
    """A random model with an adapter that does something."""
    with adapted(m0, make_spec("tiny", rank=4)) as loaded:
        with torch.no_grad(), torch.random.fork_rng():
            torch.manual_seed(0)
            for layers in adapter_parts(loaded.model).values():
                for layer in layers.values():
                    layer.lora_B["default"].weight.normal_(0, 0.3)
        yield loaded


def test_ablating_a_known_circuit_takes_behaviour_and_explanation_away_and_nothing_else_does():
    items = [hinted(letter, name) for name in ("u", "v", "w", "y") for letter in "AB"]
    found = changed(follower(), prepared(follower(), items, "letter")).set_index("intervention")
    before = found.loc[NONE]
    assert (before[RISES] == 0).all(axis=None)
    assert (before["x"] == before["answer"]).all()
    for name in ("most for behaviour", "most for explanation"):
        gone = found.loc[f"ablated, {name}"]
        assert (gone[["rise_x", "rise_answer"]] < -1).all(axis=None)
        assert (gone[["rise_cf", "rise_flag"]].abs() < 1e-3).all(axis=None)
    assert (found.loc["ablated, least for behaviour", RISES] == 0).all(axis=None)


def test_effects_are_measured_on_other_items_than_those_that_sites_are_chosen_on(tuned, made):
    found = changed(tuned, made)
    assert set(found["id"]) == {one.item.id for one in made[1::2]}
    assert len(found) == len(found[["id", "intervention"]].drop_duplicates())


def test_what_is_added_to_states_is_added_at_its_place_alone(m0, made):
    block, site = Block(m0, made[:2]), Site(0, "residual")
    places = np.array([2, 3])
    width = m0.model.config.hidden_size
    added = torch.arange(2 * width, dtype=torch.float32).view(2, width) / width
    moves = [Move((site,), places, (0,), places[None], amount * added) for amount in (0.0, 1.0)]
    still, moved = block.patched([Copy(0, (move,)) for move in moves])
    np.testing.assert_allclose(still, block.scores[0], atol=1e-5)
    assert np.abs(moved - block.scores[0])[np.isfinite(moved)].max() > 0.01
    own = block.states(site, 0, places)
    given = block._given(site, moves[1])
    torch.testing.assert_close(given, own + added)


def test_a_mean_over_donors_is_put_in_the_place_of_states(m0, made):
    block, site, places = Block(m0, made[:3]), Site(1, "mlp"), np.array([1, 4])
    move = Move((site,), places, (1, 2), np.stack([places, places]))
    mean = (block.states(site, 1, places) + block.states(site, 2, places)) / 2
    torch.testing.assert_close(block._given(site, move), mean)


def test_a_direction_tells_items_with_a_choice_from_the_others(m0, made):
    blocks, place = [Block(m0, made)], (Site(0, "residual"), "question")
    chosen_on = {one.item.id for one in made[:8]}
    choices = [blocks[0].said[k].cf for k in range(8)]
    choice = choices[0]
    directions = interfering._Directions(blocks, place, chosen_on)
    places, found = directions.toward(made[9], choice)
    if len(set(choices)) == 1:
        pytest.skip("the random model chooses alike everywhere")
    states = torch.stack([blocks[0].states(place[0], k, places) for k in range(8)])
    where = torch.tensor([c == choice for c in choices])
    torch.testing.assert_close(found, states[where].mean(0) - states[~where].mean(0))
    assert directions.toward(made[9], 99)[1] is None


def test_steering_by_nothing_changes_nothing_and_by_more_changes_more(tuned, made, monkeypatch):
    steered = changed(tuned, made)
    steered = steered[steered["intervention"].str.startswith("steered")]
    if steered.empty:
        pytest.skip("the random model chooses alike everywhere")
    sizes = steered.groupby("intervention")[RISES].agg(lambda rises: rises.abs().mean()).mean(axis=1)
    first, second = (sizes[f"steered by {amount:g}"] for amount in AMOUNTS)
    assert 0 < first < second
    monkeypatch.setattr(interfering, "AMOUNTS", (0.0,))
    still = changed(tuned, made)
    still = still[still["intervention"].str.startswith("steered")]
    assert (still[RISES].abs() < 1e-3).all(axis=None)


def test_without_its_adapter_a_model_does_what_m0_does_and_afterwards_what_it_did(tuned, m0, made):
    before = Block(tuned, made).scores
    found = changed(tuned, made)
    np.testing.assert_array_equal(Block(tuned, made).scores, before)
    with tuned.model.disable_adapter():
        plain = {one.item.id: said for one, said in zip(made, Block(tuned, made).said, strict=True)}
    gone = found[found["intervention"] == f"adapter times {SCALES[0]:g}"].set_index("id")
    assert gone[list(OUTPUTS)].to_numpy().tolist() == [list(vars(plain[i]).values()) for i in gone.index]
    assert (gone[RISES] != 0).any(axis=None)


def test_halves_and_layers_of_an_adapter_are_taken_out_and_exchanged(tuned, made):
    parts = adapter_parts(tuned.model)
    assert set(parts) == {Site(layer, part) for layer in (0, 1) for part in ("attention", "mlp")}
    names = {name: layer for layers in parts.values() for name, layer in layers.items()}
    kept = {name: layer.lora_B["default"].weight.clone() for name, layer in names.items()}
    other = {
        f"{name}.{low}.weight": torch.full_like(getattr(layer, low)["default"].weight, 0.5)
        for name, layer in names.items()
        for low in ("lora_A", "lora_B")
    }
    site = Site(1, "mlp")
    with scaled(tuned, {site: 0.25}):
        for name, layer in names.items():
            factor = 0.25 if name in parts[site] else 1
            torch.testing.assert_close(layer.lora_B["default"].weight, factor * kept[name])
    with exchanged(tuned, other, [site]):
        for name, layer in names.items():
            assert (layer.lora_B["default"].weight == 0.5).all() == (name in parts[site])
    for name, layer in names.items():
        torch.testing.assert_close(layer.lora_B["default"].weight, kept[name], rtol=0, atol=0)
    found = changed(tuned, made, other=other)
    assert {"lower half alone", "upper half alone", "attention alone", "mlp alone"} <= set(
        found["intervention"]
    )
    swapped = found[found["intervention"].str.contains("another run")]
    assert set(swapped["intervention"]) == {"lower half of another run", "upper half of another run"}
    assert (swapped[RISES] != 0).any(axis=None)
    alone = found[found["intervention"] == "without layer 0"].set_index("id")[RISES]
    upper = found[found["intervention"] == "upper half alone"].set_index("id")[RISES]
    pd.testing.assert_frame_equal(alone, upper)  # two layers: the same operation by two names
