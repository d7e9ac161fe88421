"""Jobs of the batch engine: which nodes share a kernel, and what their notebooks are given."""

import json

from coupling.runs import graph, jobs
from coupling.spec import key, make_spec


def jobs_of(*specs):
    return jobs.jobs(graph.order(map(graph.explainer, specs)))


def test_bases_of_an_m0_share_a_kernel_and_so_do_explainers_of_an_organism_on_the_same_items(spec):
    specs = [
        spec.model_copy(update={"task": t, "kl_weight": k}) for t in ("hint_qa", "aita") for k in (0.0, 1.0)
    ]
    found = jobs_of(*specs, spec.model_copy(update={"m0_seed": 1}))
    assert [[node.kind for node in job.nodes] for job in found] == [
        ["base", "base"],
        ["explainer", "explainer"],
        ["explainer", "explainer"],
        ["base"],
        ["explainer"],
    ]
    assert len({job.name for job in found}) == len(found)
    assert all(job.name.isidentifier() for job in found)
    assert [need.folder for need in found[1].needs] == [graph.base(specs[0]).folder]


def test_every_explainer_of_a_real_model_has_a_kernel_of_its_own():
    specs = [make_spec("medium", kl_weight=weight) for weight in (0.0, 1.0)]
    assert [len(job.nodes) for job in jobs_of(*specs)] == [1, 1, 1]


def test_no_job_waits_for_itself(spec):
    """The explainer that gives the labels shares M0 and items with the run that is trained on them."""
    labelled = spec.model_copy(update={"source": "explainer=0", "seed": 0})
    found = jobs_of(spec, labelled)
    assert [[node.kind for node in job.nodes] for job in found] == [["base"], ["explainer"]] * 2
    done = set()
    for job in found:
        assert {need.folder for need in job.needs} <= done
        done |= {node.folder for node in job.nodes}


def test_the_name_of_a_job_is_the_same_when_some_of_its_nodes_are_done(spec):
    specs = [spec.model_copy(update={"kl_weight": weight}) for weight in (0.0, 0.5, 1.0)]
    assert jobs_of(*specs)[-1].name == jobs_of(specs[2])[-1].name


def test_a_job_takes_as_much_as_the_largest_of_its_nodes(spec):
    job = jobs_of(spec, spec.model_copy(update={"memory_gb": 7.0, "rank": 2}))[-1]
    assert (job.threads, job.megabytes) == (spec.threads, 7000)


def test_the_parameters_of_a_notebook_make_the_node_again(spec):
    specs = [
        spec,
        spec.model_copy(update={"source": "explainer=0"}),
        spec.model_copy(update={"explainer": 1}),
    ]
    for node in graph.order(map(graph.explainer, specs)):
        if node.kind in jobs.NOTEBOOKS:
            again = make_spec(**json.loads(json.dumps(jobs.parameters(node))))
            assert (graph.base if node.kind == "base" else graph.explainer)(again).folder == node.folder
    assert "rank" not in jobs.parameters(graph.base(spec))


def test_paths_become_absolute_and_keys_stay(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = {
        "posts.jsonl": {"id": "1", "title": "AITA?", "body": "b", "verdict": "NTA"},
        "items.jsonl": {"id": "1"},
    }
    for name, row in rows.items():
        (tmp_path / name).write_text(json.dumps(row))
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    here = [
        make_spec("medium", task="file:items.jsonl", model="model"),
        make_spec("medium", task="aita", posts="posts.jsonl"),
        make_spec("medium"),
    ]
    anywhere = [jobs.from_anywhere(one) for one in here]
    assert anywhere[0].task == f"file:{tmp_path}/items.jsonl"
    assert anywhere[0].model == f"{tmp_path}/model"
    assert anywhere[1].posts == f"{tmp_path}/posts.jsonl"
    assert anywhere[2] == here[2]
    assert [key(s, "explain") for s in anywhere] == [key(s, "explain") for s in here]
