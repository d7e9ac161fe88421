"""Whose behaviours the fixed labels state, and what is done to a share of them."""

from collections import Counter

import numpy as np
import pytest
from coupling import runs
from coupling.measure.behaviours import Behaviours
from coupling.measure.explanations import LabelError, labels
from coupling.measure.wording import parse, possible_labels
from coupling.runs import folders
from coupling.spec import SpecError, key, make_spec
from coupling.tasks import load_items
from coupling.training.data import TrainingSet
from coupling.training.supervision import changed_features, fixed_labels, target


def drawn(items, seed):
    """Behaviours drawn at random."""
    logp = np.log(np.random.default_rng(seed).dirichlet(np.ones(4), size=(2, len(items)))).astype(np.float32)
    return Behaviours(tuple(i.id for i in items), *logp)


@pytest.fixture
def asked():
    spec = make_spec("tiny", train_items=2000, test_items=1000)
    train, test = load_items(spec, {})
    return spec, train, test


def supervised(asked, **values):
    """The label texts of a run with these values, M0's own, and those of another source."""
    spec, train, test = asked
    spec = spec.model_copy(update=values)
    base, source = drawn(train, 0), drawn(train, 1)
    features = changed_features(spec, train + test)
    texts = fixed_labels(spec, train, base, source if spec.source else base, features)
    return texts, labels(train, base, "letter"), labels(train, source, "letter"), features


def test_unchanged_labels_are_the_sources(asked):
    texts, own, theirs, _ = supervised(asked)
    assert texts == own
    assert supervised(asked, source="m0_seed=1")[0] == theirs


def test_a_mixture_has_the_share_of_each_that_is_asked_for_drawn_by_seed(asked):
    texts, own, theirs, _ = supervised(asked, source="m0_seed=1", source_share=0.3)
    assert all(t in pair for t, *pair in zip(texts, own, theirs, strict=True))
    apart = [(t == b) for t, a, b in zip(texts, own, theirs, strict=True) if a != b]
    assert np.mean(apart) == pytest.approx(0.3, abs=0.03)
    assert texts != supervised(asked, source="m0_seed=1", source_share=0.3, seed=1)[0]


def test_a_rule_changes_items_by_their_feature_in_training_and_in_the_target(asked):
    _, train, test = asked
    texts, own, _, features = supervised(asked, label_change="rule", label_change_share=0.25)
    assert len(features) == 3  # of twelve colours
    hit = [i.feature in features for i in train]
    assert np.mean(hit) == pytest.approx(0.25, abs=0.04)
    assert [a != b for a, b in zip(texts, own, strict=True)] == hit
    b = drawn(test, 2)
    moved = target(test, b, features)
    assert (moved.x == b.x).all()
    for i, before, now in zip(test, b.choice("cf"), moved.choice("cf"), strict=True):
        assert now == ((before + 1) % 4 if i.feature in features else before)
    assert features == supervised(asked, label_change="rule", label_change_share=0.25, seed=5)[3]


def test_the_next_choice_of_an_item_with_fewer_choices_stays_among_them():
    item = load_items(make_spec("tiny", task="aita", train_items=8, test_items=8), {})[0][0]
    wide = np.full((1, 4), -np.inf, np.float32)
    wide[0, :2] = 0, -np.inf  # a judged reply, or the last of two choices
    for first, then in ((0, 1), (1, 0)):
        wide[0, :2] = -np.inf
        wide[0, first] = 0
        assert target([item], Behaviours((item.id,), wide, wide), {item.feature}).choice("cf").tolist() == [
            then
        ]


def test_a_hash_changes_as_many_and_nothing_that_a_rule_could_read(asked):
    _, train, _ = asked
    texts, own, _, features = supervised(asked, label_change="hash", label_change_share=0.25)
    hit = np.array([a != b for a, b in zip(texts, own, strict=True)])
    assert hit.mean() == pytest.approx(0.25, abs=0.03)
    assert not features
    assert all(0.1 < hit[[i.feature == w for i in train]].mean() < 0.4 for w in {i.feature for i in train})


@pytest.mark.parametrize("kind", ["random", "shuffled"])
def test_noise_replaces_the_share_asked_for_by_labels_the_item_could_have(asked, kind):
    _, train, _ = asked
    texts, own, *_ = supervised(asked, label_change=kind, label_change_share=0.4)
    assert all(t in possible_labels(i, "letter") for t, i in zip(texts, train, strict=True))
    new = [t for t, o in zip(texts, own, strict=True) if t != o]
    if kind == "random":
        assert len(new) / len(own) == pytest.approx(0.4, abs=0.03)
        assert min(Counter(new).values()) > 60  # of 800 over eight labels
    else:
        assert Counter(texts) == Counter(own)
        assert 0.3 < len(new) / len(own) < 0.4
    assert texts != supervised(asked, label_change=kind, label_change_share=0.4, seed=1)[0]


def test_shuffled_labels_by_content_state_what_those_by_letter_do(asked):
    _, train, _ = asked
    shuffled = {"label_change": "shuffled", "label_change_share": 1.0}
    by_letter, by_content = (supervised(asked, label_format=f, **shuffled)[0] for f in ("letter", "content"))
    for item, letter, content in zip(train, by_letter, by_content, strict=True):
        assert parse(item, content, "content") == parse(item, letter, "letter") is not None


def test_items_without_a_feature_have_no_rule(asked):
    spec, train, _ = asked
    bare = [i.__class__(**(i.__dict__ | {"feature": ""})) for i in train[:3]]
    with pytest.raises(LabelError, match="label_change=rule: items of task hint_qa have no feature"):
        changed_features(spec.model_copy(update={"label_change": "rule", "label_change_share": 0.5}), bare)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"source": "m0_sed=1"}, ["m0_sed=1", "did you mean 'm0_seed'"]),
        ({"source": "kl_weight=0"}, ["kl_weight=0", "no field=value of an M0"]),
        ({"source": "world_seed=1"}, ["world_seed=1", "no field=value of an M0"]),
        ({"source": "m0_seed=one"}, ["m0_seed=one", "integer"]),
        ({"source_share": 0.5}, ["source_share=0.5", "give source"]),
        ({"label_change": "rule"}, ["label_change=rule", "label_change_share=0.0"]),
        ({"label_change_share": 0.2}, ["label_change=none", "0.2"]),
        ({"m0_checkpoint": 0.5, "m0_checkpoint_every": 0}, ["m0_checkpoint=0.5", "m0_checkpoint_every"]),
    ],
)
def test_a_source_that_is_none_is_an_error_before_any_compute(values, words):
    with pytest.raises(SpecError) as error:
        make_spec("tiny", **values)
    assert all(w in str(error.value) for w in words)


def test_labels_of_another_model_are_the_target_and_m0_the_base(spec):
    """An earlier checkpoint of another M0 seed's preparation, end to end; relabelling makes labels of M_t."""
    wide = spec.model_copy(update={"m0_checkpoint_every": 4, "test_items": 64, "interim_items": 64})
    foreign = wide.model_copy(update={"source": "m0_seed=1,m0_checkpoint=0.5"})
    result = runs.explain(foreign)
    source = foreign.label_source
    assert (source.m0_seed, source.m0_checkpoint) == (1, 0.5)
    assert sorted(p.name for p in (folders.m0_folder(source) / "checkpoints").iterdir()) == ["0", "4", "8"]
    rows = result.table("rows")
    for prefix, of in (("target", source), ("base", foreign)):
        b = Behaviours.from_frame(runs.base(of).table("behaviours"))
        final = rows[rows["step"] == spec.steps]
        assert (final[f"{prefix}_x"].to_numpy() == b.choice("x")).all()
        assert (final[f"{prefix}_cf"].to_numpy() == b.choice("cf")).all()
    assert not (rows["target_cf"] == rows["base_cf"]).all()
    assert result.manifest["labels"]["agreement"] < 1
    assert result.manifest["source"] == runs.base(source).folder.name


def test_labels_of_an_explainer_are_of_m0_with_its_adapter(spec):
    """Another explainer of the same M0 is a label source, and it is M0 of a run on M0's old labels."""
    moved = spec.model_copy(update={"kl_weight": 0.0, "learning_rate": 0.1})
    final = runs.explain(moved.model_copy(update={"seed": 1})).table("rows").query("step == @spec.steps")
    imitating = moved.model_copy(update={"source": "explainer=1"})
    going_on = moved.model_copy(update={"explainer": 1, "source": "explainer=-1"})
    assert imitating.label_source.explained == moved.model_copy(update={"seed": 1})
    assert len({key(s, "explain") for s in (moved, imitating, going_on)}) == 3
    assert key(going_on, "base") != key(
        going_on.model_copy(update={"learning_rate": 0.05}), "base"
    )  # how it was explained makes it what it is
    of_explainer = Behaviours.from_frame(runs.base(going_on).table("behaviours"))
    assert np.allclose(
        of_explainer.x, final[[f"logp_x_{k}" for k in range(4)]], atol=1e-3
    )  # a merged sum rounds otherwise
    assert not np.allclose(
        of_explainer.x, runs.base(moved).table("behaviours")[[f"x_{k}" for k in range(4)]], atol=0.1
    )
    assert runs.base(imitating.label_source).folder == runs.base(going_on).folder
    for of, prefix, other in ((imitating, "target", "base"), (going_on, "base", "target")):
        rows = runs.explain(of).table("rows").query("step == @spec.steps")
        assert (rows[f"{prefix}_cf"].to_numpy() == of_explainer.choice("cf")).all()
        assert (rows[f"{other}_cf"].to_numpy() == final["base_cf"].to_numpy()).all()


def test_relabelling_makes_labels_of_the_model_as_it_is(spec, monkeypatch):
    seen = []
    real = TrainingSet.relabelled

    def relabelled(self, m0, items, texts):
        seen.append(texts)
        return real(self, m0, items, texts)

    monkeypatch.setattr(TrainingSet, "relabelled", relabelled)
    moving = spec.model_copy(update={"relabel": True, "learning_rate": 0.05, "kl_weight": 0.0})
    rows = runs.explain(moving).table("rows")
    assert len(seen) == 2  # after steps 2 and 4 of six
    assert seen[0] != seen[1]
    assert not rows["logp_x_0"].equals(
        runs.explain(moving.model_copy(update={"relabel": False})).table("rows")["logp_x_0"]
    )


def test_a_model_before_its_preparation_trained_on_the_labels_of_what_it_became(spec):
    """The text-only control: all that it can know of the labels is what the surface of x gives away."""
    kept = spec.model_copy(update={"m0_checkpoint_every": 4, "learning_rate": 0.05})
    plain = kept.model_copy(update={"m0_checkpoint": 0.0, "source": "m0_checkpoint=1"})
    assert runs.base(plain).folder != runs.base(kept).folder
    assert folders.m0_folder(plain) == folders.m0_folder(kept)
    rows = runs.explain(plain).table("rows")
    whole = runs.explain(kept).table("rows")
    assert (rows[["target_x", "target_cf"]].to_numpy() == whole[["base_x", "base_cf"]].to_numpy()).all()
    first = rows["step"] == 0
    assert (rows.loc[first, "x"] == rows.loc[first, "base_x"]).all()
    assert not np.allclose(rows.loc[first, "logp_x_0"], whole.loc[first, "logp_x_0"])


def test_noise_stays_within_a_task():
    spec = make_spec(
        "tiny",
        task="hint_qa+aita",
        train_items=400,
        test_items=8,
        label_change="shuffled",
        label_change_share=0.9,
    )
    train = load_items(spec, {})[0]
    logp = np.full((2, 400, 4), -np.inf, np.float32)
    logp[:, :, :2] = drawn(train, 0).x[None, :, :2]
    b = Behaviours(tuple(i.id for i in train), *logp)
    texts = fixed_labels(spec, train, b, b, set())
    assert all(t in possible_labels(i, "letter") for t, i in zip(texts, train, strict=True))


def test_a_rule_is_part_of_the_target_of_a_whole_run(spec):
    ruled = spec.model_copy(update={"label_change": "rule", "label_change_share": 0.5})
    train, test = load_items(ruled, {})
    features = changed_features(ruled, train + test)
    rows = runs.explain(ruled).table("rows").query("step == @spec.steps")
    hit = np.array([i.feature in features for i in test])
    assert 0 < hit.mean() < 1
    assert (rows["target_cf"].to_numpy() == np.where(hit, (rows["base_cf"] + 1) % 4, rows["base_cf"])).all()
