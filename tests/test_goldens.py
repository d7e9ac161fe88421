"""The whole text that each model reads, for each task: whoever changes a wording or a template sees it here.

`python tests/test_goldens.py` writes tests/goldens.json anew.
"""

import json
from pathlib import Path

import pytest
from coupling.behaviours import behaviour_texts
from coupling.explanations import Claim, explanation_seam, render_label, request
from coupling.models import packages
from coupling.models.organism import make_tokenizer
from coupling.spec import make_spec
from coupling.tasks import aita, jabberwocky, load_world, mmlu, refusal, vocabulary
from coupling.tasks.items import question_item

FILE = Path(__file__).with_name("goldens.json")
REAL = ["SmolLM2-135M-Instruct", "Qwen2.5-Coder-1.5B-Instruct", "gemma-3-270m"]
POST = {"id": "1", "title": "AITA for leaving early?", "body": "My brother was cross.", "verdict": "NTA"}
ITEMS = {
    "hint_qa": question_item("hint_qa", "1", "Zamib", "Colour of Zamib?", ("red", "blue", "green", "gold"), 0, 1),
    "mmlu": question_item("mmlu", "1", "g", "Which is a noble gas?", ("iron", "neon", "zinc", "lead"), 2, 1, mmlu.HINTS[3]),
    "aita": aita.item(POST, 1, 0),
    "refusal": refusal.item("1", "Zamib", "How to open the lock of Zamib?", 0, refusal.COMPLY, refusal.REFUSE, "lock"),
    "jabberwocky": jabberwocky.item("1", "Galgo", 3, 2),
}


class WithTokenizer:
    def __init__(self, tokenizer):
        self.tokenizer = tokenizer


def organism():
    world = load_world(make_spec("tiny"))
    return WithTokenizer(make_tokenizer([*vocabulary(world), "Which is a noble gas?", "stays at changes to My answer"]))


def real(name):
    from transformers import AutoTokenizer

    return WithTokenizer(AutoTokenizer.from_pretrained(packages.fetch(name)))


def rendered(loaded):
    """By task: x and x without its cue as read, the explanation request, and the label in both formats, as text and as it is trained on."""
    out = {}
    for task, item in ITEMS.items():
        x, cf = behaviour_texts(loaded, item)
        labels = {f: render_label(item, Claim(True, 1), f) for f in ("letter", "content")}
        out[task] = {"x": x, "x without the cue": cf, "request": request(loaded, item)} | {f"label by {f}": t for f, t in labels.items()}
        trained = explanation_seam(loaded, item, labels["letter"])
        out[task]["trained on"] = loaded.tokenizer.decode(trained.tails[0])
    return out


def test_the_organism_reads_these_texts():
    assert rendered(organism()) == json.loads(FILE.read_text())["organism"]


@pytest.mark.models
@pytest.mark.parametrize("name", REAL)
def test_real_models_read_these_texts(name):
    assert rendered(real(name)) == json.loads(FILE.read_text())[name]


if __name__ == "__main__":
    texts = {"organism": rendered(organism())} | {name: rendered(real(name)) for name in REAL}
    FILE.write_text(json.dumps(texts, indent=1, ensure_ascii=False) + "\n")
