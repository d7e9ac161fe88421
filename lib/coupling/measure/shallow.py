"""How far a shallow rule on an item's surface predicts a model's labels.

A behaviour that a few words of the question decide is a poor object of introspection: an explainer could learn the rule
and never look at itself. So the behaviours of an organism (M0) must not be explained by one. The accuracy of such a rule
on L(M0) is compared with how often a second M0 seed of the same world agrees with L(M0), and has to be at least 10 points
worse.
"""

import re
from collections.abc import Sequence

import numpy as np

from coupling.tasks.items import Item

STRENGTHS = (0.001, 0.01, 0.1, 1.0, 10.0)  # C, the inverse of the L2 penalty
LEAST = 2  # training items that a feature must occur in

_WORDS = re.compile(r"\w+|[^\w\s]")


def rule_accuracy(
    train: Sequence[Item], train_labels: Sequence[str], test: Sequence[Item], test_labels: Sequence[str]
) -> float:
    """How often a logistic model that sees an item's surface alone predicts its whole label string on test items.

    It sees, as features that are there or not, the words of the counterfactual prompt (each on its own, and with the line
    or option it stands in), the words of the cue and the cue as a whole, and every pair of these. A feature counts if two
    training items or more have it; of features that the same training items have, one is kept. The penalty is chosen on
    the last fifth of the training items in order of their groups, so that it fits groups not seen, as in testing; then all
    training items are fitted. The same input gives the same number. With one label in training, that label is predicted.
    The pairs make this a tool for items of some tens of words: time and memory grow with the square of their number.
    """
    if len(train) != len(train_labels) or len(test) != len(test_labels):
        raise ValueError(
            f"{len(train)} training items with {len(train_labels)} labels, {len(test)} test items with {len(test_labels)}"
        )
    if not train or not test:
        raise ValueError("a rule needs training items and test items")
    groups: dict[str, int] = {}
    order = np.argsort([groups.setdefault(i.group, len(groups)) for i in train], kind="stable")
    items, labels = [train[k] for k in order], np.array([train_labels[k] for k in order])
    if len(set(labels)) == 1:
        return float((np.array(test_labels) == labels[0]).mean())
    cut = len(items) - max(1, len(items) // 5)
    chosen = _accuracies(items[:cut], labels[:cut], items[cut:], labels[cut:], STRENGTHS)
    return _accuracies(items, labels, test, np.array(test_labels), [STRENGTHS[int(np.argmax(chosen))]])[0]


def _accuracies(
    train: Sequence[Item],
    labels: np.ndarray,
    test: Sequence[Item],
    truth: np.ndarray,
    strengths: Sequence[float],
) -> list[float]:
    """The accuracy on test items at each strength."""
    from sklearn.linear_model import LogisticRegression

    if len(set(labels)) == 1:
        return [float((truth == labels[0]).mean())] * len(strengths)
    seen, unseen = _matrices(train, test)
    model = LogisticRegression(
        max_iter=1000, warm_start=True, random_state=0
    )  # lbfgs: multinomial with an L2 penalty
    return [
        float((model.set_params(C=c).fit(seen, labels).predict(unseen) == truth).mean()) for c in strengths
    ]


def _matrices(train: Sequence[Item], test: Sequence[Item]) -> list:
    """Sparse 0/1 matrices of the training and the test items, with the same columns."""
    numbers: dict[tuple[str, ...], int] = {
        (): 0
    }  # 0: every item has it, so that what all items share is kept once
    known = [np.array([0, *{numbers.setdefault(name, len(numbers)) for name in _surface(i)}]) for i in train]
    new = [np.array([0, *{numbers[name] for name in _surface(i) if name in numbers}]) for i in test]
    single = _kept(known)
    known, new = (
        [_with_pairs(np.intersect1d(row, single), len(numbers)) for row in rows] for rows in (known, new)
    )
    columns = _kept(known)
    return [_matrix(rows, columns) for rows in (known, new)]


def _surface(item: Item) -> list[tuple[str, ...]]:
    """The names of the item's features, pairs aside."""
    names: list[tuple[str, ...]] = [
        ("cue as a whole", item.cue),
        *(("cue", w) for w in _WORDS.findall(item.cue)),
    ]
    for number, line in enumerate(item.counterfactual_prompt.splitlines(), 1):
        words = _WORDS.findall(line)
        place = f"option {words[0]}" if words and words[0] in item.choices else f"line {number}"
        names += [name for w in words for name in ((w,), (place, w))]
    return names


def _with_pairs(row: np.ndarray, size: int) -> np.ndarray:
    """The numbers (below `size`) of an item's features, and behind them a number for each pair of them."""
    i, j = np.triu_indices(len(row), 1)
    return np.concatenate([row, size + row[i] * size + row[j]])


def _kept(rows: list[np.ndarray]) -> np.ndarray:
    """The features in LEAST items or more, in order; of those that the same items have, the first."""
    columns, counts = np.unique(np.concatenate(rows), return_counts=True)
    columns = columns[counts >= LEAST]
    table = _matrix(rows, columns).tocsc()
    firsts: dict[bytes, int] = {}
    for k in range(len(columns)):
        firsts.setdefault(table.indices[table.indptr[k] : table.indptr[k + 1]].tobytes(), k)
    return columns[list(firsts.values())]


def _matrix(rows: list[np.ndarray], columns: np.ndarray):
    """A sparse matrix of which item (row) has which of these features (columns)."""
    from scipy.sparse import csr_matrix

    features = np.concatenate(rows)
    items = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
    at = np.minimum(np.searchsorted(columns, features), len(columns) - 1)
    real = columns[at] == features
    return csr_matrix((np.ones(real.sum()), (items[real], at[real])), shape=(len(rows), len(columns)))
