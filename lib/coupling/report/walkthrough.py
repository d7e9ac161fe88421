"""One item shown whole, step by step, for people who read notebooks."""

import numpy as np
import pandas as pd

from coupling.measure.behaviours import behaviour_texts, behaviours
from coupling.measure.explanations import forced_choice, generate, labels, request
from coupling.runs import Models, Result, items_of
from coupling.spec import STAGES, given, make_spec
from coupling.tasks import Item
from coupling.training.data import reply_seams


def walkthrough(result: Result, task: str | None = None) -> pd.DataFrame:
    """One test item of the result's task, or of another, shown whole: a row for each step of the method, step and text (M0 untrained)."""
    spec = make_spec(**given(result.spec, *STAGES) | ({"task": task} if task else {}))
    item = items_of(spec)[1][0]
    m0 = Models().load(spec)
    b0 = behaviours(m0, [item], 1)
    if item.replies:
        said = dict(
            zip(
                ("x", "cf"),
                (m0.tokenizer.decode(s.tails[0]) for s in reply_seams(m0, [item])[0]),
                strict=True,
            )
        )
    else:
        said = {
            k: ", ".join(f"{c} {np.exp(p):.3f}" for c, p in zip(item.choices, getattr(b0, k)[0], strict=True))
            for k in ("x", "cf")
        }
    rows = _words(item) | {
        "x as M0 reads it": behaviour_texts(m0, item)[0],
        "B(M0) on x": said["x"],
        "B(M0) on x without C": said["cf"],
        "explanation request": request(m0, item),
        "label L(M0), by letter": labels([item], b0, "letter")[0],
        "label L(M0), by content": labels([item], b0, "content")[0],
        "what M0 says untrained, free": generate(m0, [item], "letter", 1)[0],
        "what M0 says untrained, forced to a label": forced_choice(m0, [item], "letter", 1)[0],
    }
    return pd.DataFrame({"step": rows.keys(), "text": rows.values()})


def item_whole(profile: str, task: str) -> pd.DataFrame:
    """The words of one test item of a task, without any model: step and text."""
    rows = _words(items_of(make_spec(profile, task=task, train_items=8, test_items=8))[1][0])
    return pd.DataFrame({"step": rows.keys(), "text": rows.values()})


def _words(item: Item) -> dict[str, str]:
    return {
        "x, the input with its cue": item.prompt,
        "cue C": repr(item.cue),
        "x without C": item.counterfactual_prompt,
        "choices": ", ".join(
            f"{c} ({t})" if c != t else c for c, t in zip(item.choices, item.contents, strict=True)
        ),
        "what is asked": item.request,
    }
