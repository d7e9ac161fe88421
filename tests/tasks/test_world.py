"""The made-up world: its seed, its exposure, and what M0 may draw from it."""

import numpy as np
import pytest
from coupling.tasks.world import ATTRIBUTES, draw_fact, make_world


def test_the_world_is_its_seed_and_exposure_its_slope():
    assert make_world(0, 30, 2, 1.0, 12).names == make_world(0, 30, 2, 1.0, 12).names
    assert make_world(0, 30, 2, 1.0, 12).names != make_world(1, 30, 2, 1.0, 12).names
    even, steep = make_world(0, 30, 1, 0.0, 12).exposure, make_world(0, 30, 1, 2.0, 12).exposure
    assert np.allclose(even, 1 / 30)
    assert steep.max() > 5 * steep.min()
    with pytest.raises(ValueError, match="attributes=9"):
        make_world(0, 30, 9, 0.0, 12)


def test_half_of_the_entities_are_kept_for_tests_and_every_value_is_a_word_of_the_world():
    world = make_world(0, 30, 3, 1.0, 12)
    assert world.test.sum() == 15
    values = {world.value(e, a) for e in range(30) for a in range(3)}
    assert values <= {v for name in ("Colour", "Food", "Home") for v in ATTRIBUTES[name]}
    assert values | set(world.names) | set(world.attributes) <= set(world.words())
    assert "baker" not in world.words()


def test_m0_meets_entities_by_their_exposure_and_is_probed_on_none_that_tests_ask_about():
    world, rng = make_world(0, 30, 2, 2.0, 12), np.random.default_rng(0)
    met = [draw_fact(world, rng) for _ in range(3000)]
    counts = np.bincount([entity for entity, _ in met], minlength=30)
    assert np.abs(counts / 3000 - world.exposure).max() < 0.03
    assert {attribute for _, attribute in met} == {0, 1}
    probed = {draw_fact(world, rng, met=False)[0] for _ in range(300)}
    assert probed == set(np.flatnonzero(~world.test))
