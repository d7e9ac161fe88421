"""Keys: what enters them, and that every committed result still has the key of its specification."""

import json
from pathlib import Path

import pytest
from coupling.spec import SCHEMA_VERSION, SECTIONS, STAGES, Change, Spec, key, make_spec, section_versions
from coupling.sweep import plan

COMMITTED = Path(__file__).parents[2] / "figures" / "data"
# Fields that were removed. A record stays valid if such a field has the value that changed nothing.
REMOVED = {"m0_open_book": 0.0, "m0_statements": 1.0}


def keys(**values):
    """The key of each stage of a specification at tiny, unless `values` name another profile."""
    spec = make_spec(**values)
    return {stage: key(spec, stage) for stage in STAGES}


def stages_that_differ(one, other):
    return [stage for stage in STAGES if one[stage] != other[stage]]


@pytest.mark.parametrize(
    ("name", "value", "first"),
    [
        ("entities", 30, "m0"),
        ("m0_seed", 1, "m0"),
        ("test_items", 9, "items"),
        ("eval_batch", 9, "base"),
        ("seed", 1, "labels"),
        ("rank", 8, "explain"),
        ("shift", "up", "explain"),
        ("patched_items", 8, "circuits"),
    ],
)
def test_a_field_enters_the_keys_of_its_stage_and_of_later_stages_alone(name, value, first):
    assert stages_that_differ(keys(), keys(**{name: value})) == list(STAGES[STAGES.index(first) :])


def test_what_cannot_change_a_result_does_not_enter_the_key():
    assert keys()["base"] == keys(memory_gb=3)["base"]
    taken_as_it_is = keys(profile="medium")
    assert taken_as_it_is == keys(profile="medium", entities=9, m0_seed=4)
    assert stages_that_differ(taken_as_it_is, keys(profile="medium", world_seed=1)) == list(STAGES)


def test_a_file_enters_the_key_by_its_content(tmp_path):
    one, other = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    one.write_text("same")
    other.write_text("same")
    items = [keys(profile="medium", task=f"file:{path}")["items"] for path in (one, other)]
    assert items[0] == items[1]
    other.write_text("other!")
    assert keys(profile="medium", task=f"file:{other}")["items"] != items[0]


def test_one_m0_serves_all_tasks_of_the_world_and_its_key_knows_no_task():
    tasks = ("hint_qa", "aita", "refusal", "hint_qa+aita")
    assert len({keys(task=task)["m0"] for task in tasks}) == 1
    assert len({keys(task=task)["base"] for task in tasks}) == len(tasks)


def test_explainers_that_share_their_training_items_share_the_key_of_their_labels():
    shared = [make_spec("tiny", seed=seed, items_seed=0) for seed in (1, 2)]
    own = [make_spec("tiny", seed=seed) for seed in (1, 2)]
    assert len({key(one, "labels") for one in shared}) == 1
    assert len({key(one, "labels") for one in own}) == 2
    assert len({key(one, "explain") for one in (*shared, *own)}) == 4


def test_a_label_source_enters_by_the_key_of_its_m0():
    assert stages_that_differ(keys(), keys(source="m0_seed=1")) == ["explain", "circuits"]
    assert keys(source="m0_seed=1") == keys(source="m0_seed=1,m0_learning_rate=0.001")  # the profile's own
    assert keys(source="m0_seed=1") != keys(source="m0_seed=2")


@pytest.fixture
def declare(monkeypatch):
    """Declare a change in a section, for one test."""

    def declare(section, applies, version=SCHEMA_VERSION + 1):
        changes = (*SECTIONS[section].changes, Change(version, "a test's change", applies))
        monkeypatch.setattr(SECTIONS[section], "changes", changes)

    return declare


def test_a_change_of_training_moves_explain_keys_of_the_specs_that_it_applies_to_alone(declare):
    before = {weight: keys(kl_weight=weight) for weight in (0.0, 1.0)}
    declare("training", lambda spec: spec.kl_weight == 0)
    assert stages_that_differ(before[0.0], keys(kl_weight=0.0)) == ["explain", "circuits"]
    assert before[1.0] == keys(kl_weight=1.0)


@pytest.mark.parametrize(
    ("section", "first"),
    [
        ("world", "m0"),
        ("m0", "m0"),
        ("items", "items"),
        ("evaluation", "base"),
        ("labels", "labels"),
        ("training", "explain"),
        ("shift", "explain"),
        ("circuits", "circuits"),
    ],
)
def test_a_change_moves_the_keys_from_its_sections_first_stage_on(declare, section, first):
    before = keys()
    declare(section, lambda spec: True)
    assert stages_that_differ(before, keys()) == list(STAGES[STAGES.index(first) :])


def test_a_section_has_the_highest_version_of_the_changes_that_apply(declare):
    declare("training", lambda spec: True, SCHEMA_VERSION + 1)
    first = keys()
    declare("training", lambda spec: spec.rank == 8, SCHEMA_VERSION + 2)
    assert section_versions(make_spec(), "labels") == {}
    assert section_versions(make_spec(), "explain") == {"training": SCHEMA_VERSION + 1}
    assert section_versions(make_spec(rank=8), "explain") == {"training": SCHEMA_VERSION + 2}
    assert first == keys()


def test_a_change_of_the_label_source_alone_moves_the_explain_key(declare):
    before = keys(source="m0_seed=1")
    declare("evaluation", lambda spec: spec.m0_seed == 1)
    assert stages_that_differ(before, keys(source="m0_seed=1")) == ["explain", "circuits"]


def test_a_change_must_be_above_the_schema_version():
    with pytest.raises(ValueError, match=f"version={SCHEMA_VERSION}"):
        Change(SCHEMA_VERSION, "nothing", lambda spec: True)


@pytest.mark.parametrize("section", SECTIONS)
def test_declared_changes_have_rising_versions(section):
    versions = [change.version for change in SECTIONS[section].changes]
    assert versions == sorted(set(versions))


def committed_sweeps():
    return sorted(COMMITTED.glob("*/*/keys.json"))


@pytest.mark.parametrize("path", committed_sweeps(), ids=lambda path: "-".join(path.parts[-3:-1]))
def test_every_committed_run_has_the_keys_of_its_place_in_the_plan(path):
    table = json.loads(path.read_text())
    runs = table["runs"]
    m0_seeds = len({run["m0_seed"] for run in runs})
    planned = {}
    for task in sorted({run["task"] for run in runs}):
        for condition, spec in plan(table["profile"], table["sweep"], task, m0_seeds):
            planned[spec.task, condition, spec.m0_seed, spec.seed] = spec
    assert runs
    for run in runs:
        spec = planned[run["task"], run["condition"], run["m0_seed"], run["seed"]]
        assert key(spec, "explain") == run["key"], run
        assert run["base"].endswith(key(spec, "base")), run


def test_every_published_record_has_the_key_of_its_specification():
    manifests = [json.loads(path.read_text()) for path in COMMITTED.glob("*/*/records/*/manifest.json")]
    assert manifests
    for manifest in manifests:
        values = manifest["spec"]
        unknown = {name: value for name, value in values.items() if name not in Spec.model_fields}
        assert unknown.items() <= REMOVED.items(), manifest["key"]
        spec = Spec(**{name: value for name, value in values.items() if name not in unknown})
        assert key(spec, manifest["stage"]) == manifest["key"]


def test_every_sweep_with_committed_tables_is_checked():
    assert len(committed_sweeps()) == len(list(COMMITTED.glob("*/*/summary.csv")))
