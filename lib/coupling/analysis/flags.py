"""How well a run has learnt the flag of its labels: whether the answer changes without the cue.

Definition: docs/method.md, "Answer and flag".
"""

import numpy as np
import pandas as pd

from coupling.analysis.measures import label_code, stated_code

LEARNT = 0.65  # balanced accuracy against L(S) from which on a flag counts as learnt
CLASSES = {"stays": 0, "changes": 1}
COLUMNS = [f"flag_{name}_{score}" for name in CLASSES for score in ("precision", "recall", "f1")]


def flag_scores(frame: pd.DataFrame) -> dict[str, float]:
    """Score the flags that explanations state against those of L(S).

    An explanation that is no label states neither class. Items without L(S) are left out.

    Args:
        frame: Rows of one run and evaluation.

    Returns:
        flag_balanced: the mean recall of the two classes. Then precision, recall and F1 of each class, as
        COLUMNS names them. A score without any item to count is NaN; F1 is 0 where nothing of the class is
        right.
    """
    source, stated = label_code(frame, "target_"), stated_code(frame)
    source, stated = source[source >= 0], stated[source >= 0]
    scores = {}
    for name, value in CLASSES.items():
        is_class, said = source % 2 == value, (stated >= 0) & (stated % 2 == value)
        right = int((is_class & said).sum())
        scores[f"flag_{name}_precision"] = _share(right, int(said.sum()))
        scores[f"flag_{name}_recall"] = _share(right, int(is_class.sum()))
        scores[f"flag_{name}_f1"] = _share(2 * right, int(said.sum()) + int(is_class.sum()))
    recalls = [scores[f"flag_{name}_recall"] for name in CLASSES]
    return {"flag_balanced": float(np.mean(recalls))} | scores


def not_learnt(balanced: pd.Series) -> pd.Series:
    """Return which runs have not learnt the flag, by their flag_balanced; bool. NaN counts as learnt."""
    return balanced < LEARNT


def _share(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
