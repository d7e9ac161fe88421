"""A judge beside the detector: asked of every reply, and reported beside the health of a base."""

import numpy as np
import torch
from coupling import runs
from coupling.measure import judge
from coupling.measure.behaviours import behaviours
from coupling.models import load_from
from coupling.spec import STAGES, key
from coupling.tasks import load_items
from coupling.tasks.detector import REFUSE, detect
from micro import micro_model


def test_log_odds_are_those_of_the_next_token(tmp_path):
    torch.manual_seed(0)
    model = load_from(micro_model(tmp_path / "m"), "float32", None)
    said = [("Open it?", "No, I will not."), ("Why?", "Because it is late, and the shop is closed.")]
    odds = judge.log_odds(model, said, 1)
    np.testing.assert_allclose(odds, judge.log_odds(model, said, 2), atol=1e-4)
    text = judge.render(model, judge.QUESTION.format(request=said[0][0], reply=said[0][1]), "Answer:")
    sums = []
    for answer in judge.ANSWERS:
        ids = torch.tensor([model.tokenizer(text + answer, add_special_tokens=False)["input_ids"]])
        start = len(model.tokenizer(text + " ", add_special_tokens=False)["input_ids"])
        steps = model.model(ids).logits.log_softmax(-1)[0, start - 1 : -1]
        sums.append(float(steps.gather(1, ids[0, start:, None]).sum()))
    assert abs(odds[0] - (sums[0] - sums[1])) < 1e-4


def test_the_judge_reads_the_replies_that_behaviours_are_read_from(spec, m0):
    items = load_items(spec.model_copy(update={"task": "refusal"}), {})[1][:6]
    said = judge.replies_to(m0, items, 4)
    assert [asked for asked, _ in said[:2]] == [items[0].prompt, items[0].counterfactual_prompt]
    b = behaviours(m0, items, 4)
    read = [-1 if (what := detect(reply)) is None else what for _, reply in said]
    assert read == [c for pair in zip(b.choice("x"), b.choice("cf"), strict=True) for c in pair]


def test_a_judge_is_reported_beside_and_changes_the_key_of_its_own_spec_alone(spec, tmp_path, monkeypatch):
    asked = spec.model_copy(update={"task": "refusal", "judge": micro_model(tmp_path / "judge")})
    monkeypatch.setattr(judge, "log_odds", lambda model, said, batch: np.ones(len(said), np.float32))
    health = runs.base(asked).manifest["health"]["refusal"]
    assert health["judge_refused"] == 1
    assert 0 <= health["detector_refused"] <= 1
    plain = asked.model_copy(update={"judge": ""})
    assert "judge_refused" not in runs.base(plain).manifest["health"]["refusal"]
    assert [stage for stage in STAGES if key(asked, stage) != key(plain, stage)] == [
        "base",
        "labels",
        "explain",
        "circuits",
    ]


def test_agreement_counts_what_the_detector_can_read(monkeypatch):
    said = [("?", "I cannot help."), ("?", "Sure, here is how."), ("?", "...")]
    monkeypatch.setattr(judge, "log_odds", lambda *of: np.array([1.0, 1.0, -1.0], np.float32))
    found = judge.compared(None, said, 2)
    assert found["judge_agreement"] == 0.5
    assert found["detector_refused"] == sum(detect(r) == REFUSE for _, r in said) / 3
