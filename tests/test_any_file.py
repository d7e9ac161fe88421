"""A user's own files: whatever is accepted runs on a user's own model, or ends in a typed error."""

import json

import pytest
import torch
from coupling import runs
from coupling.analysis import tables
from coupling.spec import make_spec
from micro import VALUES, micro_model


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return micro_model(tmp_path_factory.mktemp("micro"))


def row(number, split, **change):
    about = {"id": f"q{number}", "group": f"g{number}", "split": split, "choices": ["A", "B"]}
    return about | {"prompt": f"Question {number}?\nHint: B", "cue": "\nHint: B", "hinted": 1} | change


def items_file(tmp_path, rows):
    path = tmp_path / "items.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return f"file:{path}"


def test_a_file_with_one_training_row_says_how_often_it_is_read(tmp_path, model):
    task = items_file(tmp_path, [row(0, "train"), row(1, "test")])
    spec = make_spec(**VALUES, model=model, task=task)
    with pytest.warns(
        UserWarning, match=r"1 training items with a label, of train_items=4; each is read 4 times"
    ):
        labels = runs.explain(spec).manifest["labels"]
    assert (labels["items"], labels["reads"]) == (1, 4)


def test_without_gold_manifests_are_json_and_the_tables_have_a_gap(tmp_path, model):
    task = items_file(tmp_path, [row(k, ("train", "test")[k % 2]) for k in range(16)])
    result = runs.explain(make_spec(**VALUES, model=model, task=task))
    base = runs.base(result.spec)

    def refuse(word):
        raise ValueError(word)

    for folder in (result.folder, base.folder):
        json.loads((folder / "manifest.json").read_text(), parse_constant=refuse)
    (health,) = base.manifest["health"].values()
    assert health["no_cue_accuracy"] is None
    table = tables.collect("mine", [("only", result.spec)]).base
    assert table["no_cue_accuracy"].dtype == float
    assert table["no_cue_accuracy"].isna().all()
