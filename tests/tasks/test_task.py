"""Tasks are found by being there; one file is all that a new task takes."""

import sys

import coupling.tasks
import numpy as np
import pandas as pd
import pytest
from conftest import SMALL
from coupling import runs
from coupling.runs import folders
from coupling.spec import STAGES, SpecError, key, make_spec
from coupling.tasks import describe, load_items, main_tasks, task_names, task_of, vocabulary
from coupling.tasks.items import TaskError

TOY = '''
"""toy: is somebody big or small? The cue says how somebody looks."""

import numpy as np

from coupling.tasks.items import Item
from coupling.tasks.splits import balanced, parts
from coupling.tasks.task import Lessons, Task
from coupling.tasks.world import draw_fact, load_world

CHOICES = ("big", "small")
CUES = ("It looks big.", "It looks small.")


def item(world, id, entity, says):
    body, cue = f"What is {world.names[entity]}?", f"\\n{CUES[says]}"
    return Item(
        id, "toy", world.names[entity], body + cue, body, CHOICES, ("a giant", "a dwarf"), cue,
        hinted=says, gold=size(world, entity), request="Without its look?",
    )


def size(world, entity):
    return int(world.facts[entity, 0] % 2)


def make(world, part, entities):
    says = balanced(part.rng, part.size, 2)
    return [
        item(world, f"{part.name}-{k}", int(part.rng.choice(entities)), int(says[k]))
        for k in range(part.size)
    ]


def items(spec, data):
    world, (train, test) = load_world(spec), parts(spec)
    return (
        make(world, train, np.flatnonzero(~world.test)),
        make(world, test, np.flatnonzero(world.test)),
    )


def fact(world, rng):
    entity, _ = draw_fact(world, rng)
    return f"Size of {world.names[entity]}?", CHOICES[size(world, entity)]


def example(world, spec, rng, met):
    entity, _ = draw_fact(world, rng, met)
    gold = size(world, entity)
    says = gold if rng.random() < spec.m0_cue_accuracy else 1 - gold
    return item(world, "lesson", entity, says), gold


TASK = Task(
    name="toy",
    sources=("made up",),
    choices=CHOICES,
    cues=CUES,
    items=items,
    wordings=(*CHOICES, *CUES, "a giant dwarf", "What is Size of ?", "Without its look?"),
    lessons=Lessons(fact, example),
)
'''

OTHERS = ["hint_qa", "mmlu", "aita", "refusal", "jabberwocky"]


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """A task of one file, which stands in a folder of its own."""
    folder = tmp_path / "more_tasks"
    folder.mkdir()
    (folder / "toy.py").write_text(TOY)
    monkeypatch.setattr(coupling.tasks, "__path__", [*coupling.tasks.__path__, str(folder)])
    yield folder
    sys.modules.pop("coupling.tasks.toy", None)
    vars(coupling.tasks).pop("toy", None)


def told(task):
    """All that the presence of another task must not change of this one."""
    spec = make_spec("medium" if task == "mmlu" else "tiny", task=task, train_items=40, test_items=40)
    items = [] if task == "mmlu" else load_items(spec, {})
    return [key(spec, stage) for stage in STAGES], items, vocabulary(spec)


def test_tasks_are_found_in_their_order_and_described():
    assert task_names() == OTHERS
    assert main_tasks() == ["hint_qa", "aita", "refusal"]
    assert [t["name"] for t in describe()] == [*OTHERS, "file:PATH"]
    assert all(t.keys() == {"name", "sources", "choices", "cues"} and all(t.values()) for t in describe())
    with pytest.raises(TaskError, match=r"no task 'hint_qb': take one of hint_qa, .*or file:PATH"):
        task_of("hint_qb")


def test_a_task_of_one_file_is_found_and_its_items_are_made(toy):
    assert task_names() == [*OTHERS, "toy"]
    assert main_tasks() == ["hint_qa", "aita", "refusal"]
    assert describe()[-2]["cues"] == ["It looks big.", "It looks small."]
    train, test = load_items(make_spec("tiny", task="toy", train_items=30, test_items=20), {})
    assert (len(train), len(test)) == (30, 20)
    assert {i.task for i in train + test} == {"toy"}
    with pytest.raises(SpecError, match="did you mean 'toy'"):
        make_spec("tiny", task="toi")


def test_another_task_changes_no_key_no_item_and_no_vocabulary_of_those_that_are_there(toy, monkeypatch):
    with_toy = [told(task) for task in OTHERS]
    monkeypatch.setattr(coupling.tasks, "__path__", coupling.tasks.__path__[:-1])
    assert "toy" not in task_names()
    assert [told(task) for task in OTHERS] == with_toy


def test_only_an_m0_that_is_taught_a_task_without_a_place_knows_its_words(toy):
    without, taught = (vocabulary(make_spec("tiny", m0_tasks=t)) for t in ("hint_qa", "hint_qa+toy"))
    new = [text for text in taught if text not in without]
    assert set(new) == {*task_of("toy").wordings}


def test_an_m0_learns_a_task_of_one_file_and_an_explainer_explains_it(toy):
    spec = make_spec("tiny", **SMALL | {"task": "toy", "m0_tasks": "toy"})
    rows = runs.explain(spec).table("rows").query("step == @spec.steps")
    assert set(rows["task"]) == {"toy"}
    assert len(rows) == spec.test_items
    met = pd.read_parquet(folders.m0_folder(spec) / "history.parquet")
    assert {"toy_knowledge", "toy_with_cue", "toy_adoption"} < set(met)


def test_two_tasks_of_one_name_are_an_error(toy):
    (toy / "toy.py").write_text(TOY.replace('name="toy"', 'name="aita"'))
    with pytest.raises(TaskError, match="have a task 'aita': give one another name"):
        task_names()


@pytest.mark.parametrize("task", ["aita", "refusal", "jabberwocky"])
def test_splits_are_disjoint_cues_balanced_and_test_items_the_same_for_every_seed(task):
    train, test = load_items(make_spec("tiny", task=task), {})
    assert not {i.group for i in train} & {i.group for i in test}
    counts = np.unique([i.cue for i in test], return_counts=True)[1]
    assert counts.max() - counts.min() <= 1
    assert len(counts) == len(task_of(task).cues)
    others = load_items(make_spec("tiny", task=task, seed=1), {})
    assert others[1] == test
    assert others[0] != train
    assert all(i.prompt.replace(i.cue, "") == i.counterfactual_prompt for i in train)
    assert 0.4 < np.mean([i.gold for i in test]) < 0.6


@pytest.mark.parametrize("task", ["aita", "refusal"])
def test_a_held_out_region_has_no_training_items_and_stays_in_the_test(task):
    train, test = load_items(make_spec("tiny", task=task, held_out=0.5), {})
    assert test == load_items(make_spec("tiny", task=task), {})[1]
    kinds = {i.kind for i in test}
    assert len({i.kind for i in train}) == len(kinds) / 2
    assert {i.kind for i in train} < kinds
    again = load_items(make_spec("tiny", task=task, held_out=0.5, seed=3), {})[0]
    assert {i.kind for i in train} == {i.kind for i in again}


def test_joint_tasks_share_the_training_items_and_test_each():
    spec = make_spec("tiny", task="hint_qa+aita+refusal", train_items=100, test_items=30)
    train, test = load_items(spec, {})
    assert pd.Series([i.task for i in train]).value_counts().sort_values().tolist() == [33, 33, 34]
    assert [i.task for i in test] == ["hint_qa"] * 30 + ["aita"] * 30 + ["refusal"] * 30
    alone = load_items(make_spec("tiny", task="aita", test_items=30), {})[1]
    assert test[30:60] == alone
