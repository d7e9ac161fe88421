"""The whole text that each model reads, for each task, and the course of one small run: whoever changes a wording, a
template or a result sees it here.

`python tests/test_goldens.py` writes tests/goldens.json anew.
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
from coupling import runs
from coupling.measure.behaviours import behaviour_texts
from coupling.measure.explanations import Statement, explanation_seam, render_label, request
from coupling.models import Loaded, packages
from coupling.models.organism import make_tokenizer
from coupling.runs import folders
from coupling.spec import SCHEMA_VERSION, make_spec
from coupling.tasks import aita, jabberwocky, mmlu, refusal, vocabulary
from coupling.tasks.items import question_item

FILE = Path(__file__).with_name("goldens.json")
TEMPLATES = {
    "Qwen3-8B": "qwen3",
    "Llama-3.1-8B-Instruct": "llama-3.1-instruct",
}  # of the paper profile, by the name that a package has them under
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


def organism():
    return Loaded(
        None,
        make_tokenizer(
            [*vocabulary(make_spec("tiny")), "Which is a noble gas?", "stays at changes to My answer"]
        ),
        torch.float32,
    )


def real(name):
    from transformers import AutoTokenizer

    return Loaded(None, AutoTokenizer.from_pretrained(packages.fetch(name)), torch.float32)


def templated(name):
    """A tokenizer of other words under the chat template of a model that only the hub has."""
    with zipfile.ZipFile(packages.fetch("chat-templates")) as archive:
        told = json.loads(archive.read(f"xinference/model/llm/models/{TEMPLATES[name]}.json"))
    tokenizer = make_tokenizer(["any"])
    tokenizer.chat_template, tokenizer.bos_token = told[0]["chat_template"], "<|begin_of_text|>"
    return Loaded(None, tokenizer, torch.float32)


def texts(loaded):
    """By task: x and x without its cue as read, and the explanation request."""
    pairs = {task: behaviour_texts(loaded, item) for task, item in ITEMS.items()}
    return {
        task: {"x": x, "x without the cue": cf, "request": request(loaded, ITEMS[task])}
        for task, (x, cf) in pairs.items()
    }


def rendered(loaded):
    """The same with the label in both formats, as text and as it is trained on."""
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
    """The losses of one small run of two tasks, and what its behaviours and explanations came to, with the schema they belong to."""
    spec = make_spec(
        "tiny", **SMALL | {"task": "hint_qa+aita", "m0_tasks": "hint_qa+aita", "learning_rate": 0.01}
    )
    result = runs.explain(spec)
    final = result.table("rows").query("step == @spec.steps")
    means = final[["kl_x", "kl_cf", "mass_x", "mass_cf", "logp_x_0", "logp_cf_1"]].astype(float).mean()
    history = result.table("history")
    return {
        "schema": SCHEMA_VERSION,
        "m0": pd.read_parquet(folders.m0_folder(spec) / "history.parquet")["loss"].tolist(),
        "cross_entropy": history["cross_entropy"].tolist(),
        "kl": history["kl"].tolist(),
        "final": means.to_dict(),
    }


def test_the_course_of_a_run_changes_with_the_schema_alone():
    """If this fails, code changed results: bump SCHEMA_VERSION, so that no old run passes for one of the new code, and write the file anew."""
    then, now = json.loads(FILE.read_text())["trajectory"], trajectory()
    assert now["schema"] == then["schema"], "the schema is a new one: write the goldens anew"
    for name in ("m0", "cross_entropy", "kl"):
        assert now[name] == pytest.approx(then[name], rel=1e-3, abs=1e-5), name
    assert now["final"] == pytest.approx(then["final"], rel=1e-3, abs=1e-5)


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
    FILE.write_text(json.dumps(golden, indent=1, ensure_ascii=False) + "\n")
