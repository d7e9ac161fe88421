"""How well a shallow rule on an item's words predicts what a model does.

A behaviour that a few words of the question decide is a poor object of introspection: an explainer could
learn the rule and never look at itself. So a rule must not explain the behaviours of an organism. The test of
that is `rule_accuracy`: the accuracy of the best such rule on the labels L(M0). It is compared with how often
a second M0 seed of the same world agrees with L(M0), and must be at least 10 points lower (docs/method.md,
"The world").
"""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from coupling.tasks.items import Item

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

STRENGTHS = (0.001, 0.01, 0.1, 1.0, 10.0)  # candidates for C, the inverse of the L2 penalty
LEAST = 2  # a feature counts if so many training items have it

_WORDS = re.compile(r"\w+|[^\w\s]")


def rule_accuracy(
    train: Sequence[Item], train_labels: Sequence[str], test: Sequence[Item], test_labels: Sequence[str]
) -> float:
    """Fit a logistic model to the words of items; return how often it predicts the label of a test item.

    The features are there or not: each word of the counterfactual prompt, by itself and together with the
    line or option that it stands in; each word of the cue; the cue as a whole; and every pair of these.
    Features that the same training items have count as one. The strength of the penalty is chosen on the last
    fifth of the training items, in the order of their groups, so that it suits unseen groups, as in testing.
    Then all training items are fitted. Nothing is drawn at random. If the training items have only one label,
    that label is predicted.

    Time and memory grow with the square of an item's words, because of the pairs. So this is for items of
    some tens of words.

    Args:
        train: The training items.
        train_labels: Their label texts.
        test: The test items.
        test_labels: Their label texts.

    Raises:
        ValueError: If there are no items, or if items and labels differ in number.
    """
    if len(train) != len(train_labels) or len(test) != len(test_labels):
        raise ValueError(
            f"{len(train)} training items with {len(train_labels)} labels, "
            f"{len(test)} test items with {len(test_labels)}"
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
    """Fit the logistic model at each strength and return its accuracies on the test items."""
    from sklearn.linear_model import LogisticRegression  # imported here, since it takes long and few need it

    if len(set(labels)) == 1:
        return [float((truth == labels[0]).mean())] * len(strengths)
    seen, unseen = matrices(train, test)
    # The default solver, lbfgs: multinomial with an L2 penalty. Each strength starts from the fit before it.
    model = LogisticRegression(max_iter=1000, warm_start=True, random_state=0)
    return [
        float((model.set_params(C=c).fit(seen, labels).predict(unseen) == truth).mean()) for c in strengths
    ]


def matrices(train: Sequence[Item], test: Sequence[Item]) -> "list[csr_matrix]":
    """Write the features of training and test items as two sparse matrices of 0 and 1 with the same columns.

    Returns:
        Two matrices [items, features], float64. A feature is there if LEAST training items have it and no
        feature before it is there for the same training items.
    """
    # Number 0 is a feature of every item. It stands for all that the items have in common, which is then kept
    # once.
    numbers: dict[tuple[str, ...], int] = {(): 0}
    known = [np.array([0, *{numbers.setdefault(name, len(numbers)) for name in _surface(i)}]) for i in train]
    new = [np.array([0, *{numbers[name] for name in _surface(i) if name in numbers}]) for i in test]
    single = _kept(known)
    known, new = (
        [with_pairs(np.intersect1d(row, single), len(numbers)) for row in rows] for rows in (known, new)
    )
    columns = _kept(known)
    return [_matrix(rows, columns) for rows in (known, new)]


def _surface(item: Item) -> list[tuple[str, ...]]:
    """Return the names of the features that an item has, without the pairs."""
    names: list[tuple[str, ...]] = [
        ("cue as a whole", item.cue),
        *(("cue", w) for w in _WORDS.findall(item.cue)),
    ]
    for number, line in enumerate(item.counterfactual_prompt.splitlines(), 1):
        words = _WORDS.findall(line)
        place = f"option {words[0]}" if words and words[0] in item.choices else f"line {number}"
        names += [name for w in words for name in ((w,), (place, w))]
    return names


def with_pairs(row: np.ndarray, size: int) -> np.ndarray:
    """Add a feature for every pair of an item's features.

    Args:
        row: The numbers of the item's features, all below `size`; int64 [features].
        size: The number of features.

    Returns:
        The same numbers, and after them one number for each pair, from `size` up.
    """
    i, j = np.triu_indices(len(row), 1)
    return np.concatenate([row, size + row[i] * size + row[j]])


def _kept(rows: list[np.ndarray]) -> np.ndarray:
    """Choose the features that LEAST items have, and of several that the same items have the first.

    Args:
        rows: The numbers of the features of each item.

    Returns:
        The numbers of the chosen features.
    """
    columns, counts = np.unique(np.concatenate(rows), return_counts=True)
    columns = columns[counts >= LEAST]
    table = _matrix(rows, columns).tocsc()
    firsts: dict[bytes, int] = {}
    for k in range(len(columns)):
        firsts.setdefault(table.indices[table.indptr[k] : table.indptr[k + 1]].tobytes(), k)
    return columns[list(firsts.values())]


def _matrix(rows: list[np.ndarray], columns: np.ndarray) -> "csr_matrix":
    """Write which item (row) has which of some features (columns, in ascending order) as a sparse matrix."""
    from scipy.sparse import csr_matrix

    features = np.concatenate(rows)
    items = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
    at = np.minimum(np.searchsorted(columns, features), len(columns) - 1)
    real = columns[at] == features
    return csr_matrix((np.ones(real.sum()), (items[real], at[real])), shape=(len(rows), len(columns)))
