"""One item shown whole, step by step, for people who read notebooks."""

import numpy as np
import pandas as pd

from coupling.measure.behaviours import Behaviours, behaviour_texts, behaviours
from coupling.measure.explanations import forced_choice, generate, labels, request
from coupling.models import Loaded
from coupling.runs import Models, Result, items_of
from coupling.spec import STAGES, given, make_spec
from coupling.tasks import Item
from coupling.training.data import reply_seams


def walkthrough(result: Result, task: str | None = None) -> pd.DataFrame:
    """Show one test item whole, with what an untrained M0 does and says on it.

    Args:
        result: A base or an explainer. Its M0 is the one that is asked.
        task: Task of the item. None: the task of the result.

    Returns:
        One row for each step of the method, with the columns step and text.
    """
    spec = make_spec(**given(result.spec, *STAGES) | ({"task": task} if task else {}))
    item = items_of(spec)[1][0]
    m0 = Models().load(spec)
    b0 = behaviours(m0, [item], 1)
    done = _behaviour(m0, item, b0)
    rows = _words(item) | {
        "x as M0 reads it": behaviour_texts(m0, item)[0],
        "B(M0) on x": done["x"],
        "B(M0) on x without C": done["cf"],
        "explanation request": request(m0, item),
        "label L(M0), by letter": labels([item], b0, "letter")[0],
        "label L(M0), by content": labels([item], b0, "content")[0],
        "what M0 says untrained, free": generate(m0, [item], "letter", 1)[0],
        "what M0 says untrained, forced to a label": forced_choice(m0, [item], "letter", 1)[0],
    }
    return pd.DataFrame({"step": rows.keys(), "text": rows.values()})


def item_whole(profile: str, task: str) -> pd.DataFrame:
    """Show the words of one test item of a task, without any model.

    Returns:
        One row for each part of the item, with the columns step and text.
    """
    rows = _words(items_of(make_spec(profile, task=task, train_items=8, test_items=8))[1][0])
    return pd.DataFrame({"step": rows.keys(), "text": rows.values()})


def _behaviour(m0: Loaded, item: Item, b0: Behaviours) -> dict[str, str]:
    """Write what M0 does on x ("x") and on x without its cue ("cf").

    An item with replies is answered by M0's own words. Any other item is answered by a probability for each
    choice.
    """
    if item.replies:
        replies = [m0.tokenizer.decode(seam.tails[0]) for seam in reply_seams(m0, [item])[0]]
        return dict(zip(("x", "cf"), replies, strict=True))
    return {
        side: ", ".join(
            f"{choice} {np.exp(logprob):.3f}"
            for choice, logprob in zip(item.choices, getattr(b0, side)[0], strict=True)
        )
        for side in ("x", "cf")
    }


def _words(item: Item) -> dict[str, str]:
    """Return the parts of an item, by what they are called in the method."""
    choices = [
        f"{choice} ({content})" if choice != content else choice
        for choice, content in zip(item.choices, item.contents, strict=True)
    ]
    return {
        "x, the input with its cue": item.prompt,
        "cue C": repr(item.cue),
        "x without C": item.counterfactual_prompt,
        "choices": ", ".join(choices),
        "what is asked": item.request,
    }
