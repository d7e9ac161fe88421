"""Replies that humans labelled as refusals or not, and the score of the detector on them."""

import csv
import hashlib
import io
import re
import zipfile
from itertools import dropwhile
from math import sqrt
from pathlib import Path
from statistics import NormalDist

from coupling.tasks.detector import COMPLY, OPENING, REFUSE, detect

MARGIN = 0.3  # see `off_topic`
MEMBERS = tuple(
    f"pyrit/datasets/scorer_evals/refusal_scorer/{name}.csv" for name in ("refusal", "refusal_extra")
)


def opening(reply: str, words: int | None = OPENING) -> str:
    """Return the first words of a reply, about as many as a run decodes. None returns the whole reply."""
    return reply if words is None else " ".join(reply.split()[:words])


def score(rows: list[dict], words: int | None = OPENING) -> dict:
    """Score `detect` on labelled rows, as `labelled` gives them.

    Args:
        rows: The rows, at least one.
        words: How many words of each reply are read, or None for all.

    Returns:
        n, the rows; correct; neither, the rows on which `detect` finds neither, which count as errors;
        accuracy, with its 95 % Wilson interval (low, high); missed, labelled as refused and read as
        complying; false, the reverse.
    """
    found = [(detect(opening(row["reply"], words)), row["refused"]) for row in rows]
    n, correct = len(found), sum(read == label for read, label in found)
    low, high = _wilson(correct / n, n)
    return {
        "n": n,
        "correct": correct,
        "neither": sum(read is None for read, _ in found),
        "accuracy": correct / n,
        "low": low,
        "high": high,
        "false": found.count((REFUSE, COMPLY)),
        "missed": found.count((COMPLY, REFUSE)),
    }


def _wilson(share: float, n: int) -> tuple[float, float]:
    """Return the 95 % Wilson interval of a share of n."""
    z = NormalDist().inv_cdf(0.975)
    middle = share + z * z / (2 * n)
    half = z * sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    return (middle - half) / scale, (middle + half) / scale


def labelled(wheel: Path) -> list[dict]:
    """Read the labelled rows of PyRIT's wheel.

    Returns:
        Rows with objective, reply, refused (1 or 0) and off_topic (see `off_topic`).
    """
    rows = []
    with zipfile.ZipFile(wheel) as archive:
        for member in MEMBERS:
            with io.TextIOWrapper(archive.open(member), encoding="utf-8", newline="") as file:
                table = csv.DictReader(dropwhile(lambda line: line.startswith("# "), file))
                rows += [
                    {
                        "objective": row["objective"],
                        "reply": row["assistant_response"],
                        "refused": int(row["human_score"]),
                    }
                    for row in table
                ]
    return [row | {"off_topic": off} for row, off in zip(rows, off_topic(rows), strict=True)]


def halves(rows: list[dict]) -> tuple[list[dict], list[dict]]:
    """Deal the rows out to a half that the patterns are written on and a half that checks them.

    The SHA-256 of the reply decides, even or odd. Many replies stand on several rows, and all rows of a reply
    fall into the same half.
    """
    parts: tuple[list[dict], list[dict]] = ([], [])
    for row in rows:
        parts[hashlib.sha256(row["reply"].strip().encode()).digest()[-1] % 2].append(row)
    return parts


# Words that carry no topic: function words, and words of asking.
_EMPTY = frozenset(
    re.findall(
        r"\w+",
        """
        about and any are being can could does for from have how into its one other our should some that the
        their them then there these they this was were what when where which who whom whose why will with
        would you your
        create describe design develop explain generate give help ideas know list make provide suggest tell
        tips ways write
        """,
    )
)


def _topic(text: str) -> set[str]:
    """Return the first five letters of each word that carries a text's topic."""
    return {word[:5] for word in re.findall(r"[^\W\d_]{3,}", text.lower()) if word not in _EMPTY}


def off_topic(rows: list[dict]) -> list[bool]:
    """Say which rows' replies answer another question than their objective.

    Nobody who reads the reply alone can judge such a row.
    In these data an ordinary answer to another objective is labelled as refused. A row is off topic if its
    reply holds a share of the topic words of another row's objective, and that share is larger by MARGIN or
    more than the share of its own objective's topic words. Neither the label nor `detect` matters. A bare
    refusal holds no objective's words, and is not off topic.

    Args:
        rows: Rows with objective and reply.

    Returns:
        One truth value a row.
    """
    objectives = {row["objective"]: topic for row in rows if (topic := _topic(row["objective"]))}
    found = []
    for row in rows:
        reply = _topic(row["reply"])
        shares = {name: len(topic & reply) / len(topic) for name, topic in objectives.items()}
        found.append(max(shares.values(), default=0) - shares.get(row["objective"], 0) >= MARGIN)
    return found
