"""How far a batch is while it runs: what is made, what is left, and the time that this takes."""

import contextlib
import time
from collections.abc import Sequence
from pathlib import Path

from coupling import files
from coupling.report.planning import NAMES, duration
from coupling.runs import folders
from coupling.runs.graph import Node

_PRIOR = 60  # seconds for which the plan is trusted, beside what was made: one quick job says little


class Pace:
    """What a batch has made of what it was to make.

    The time left is that of the plan until something is made. From then on it also follows the batch's own
    speed.

    Attributes:
        share: How much is made, from 0 to 1, by the time that it takes.
    """

    def __init__(self, nodes: Sequence[tuple[Node, float | None]], at_once: int) -> None:
        """Begin.

        Args:
            nodes: What is to be made, and the seconds that each takes; None where that is not known.
            at_once: How many are made at once.
        """
        self._nodes = [node for node, _ in nodes]
        self._planned = {node.folder: seconds for node, seconds in nodes}
        self._took: dict[str, float] = {}  # by kind: what the last one took whose time was not known
        self._at_once = at_once
        self._made: set[Path] = set()
        self._begun = self._last = time.monotonic()
        self.share = 0.0

    def said(self) -> str:
        """Look at what is there, and say how far the batch is."""
        now = time.monotonic()
        for node in self._nodes:
            if node.folder not in self._made and (node.folder / folders.MANIFEST).exists():
                self._made.add(node.folder)
                self._last = now
                self._learn(node)
        if not self._nodes:
            return "tables and figures are being made"
        if len(self._made) == len(self._nodes):
            self.share = 1.0
            return f"{self._counts()}; tables and figures are left"
        return f"{self._counts()}; {duration(now - self._begun)} so far, {self._left(now)}"

    def _learn(self, node: Node) -> None:
        """Note what a node took, where the plan did not know it."""
        if self._planned[node.folder] is None:
            with contextlib.suppress(files.StoreError, LookupError, TypeError, AttributeError):  # damaged
                seconds = files.read_json(node.folder / folders.MANIFEST)["seconds"]
                self._took[node.kind] = float(sum(seconds.values()))

    def _left(self, now: float) -> str:
        """Say how long the rest takes."""
        takes = {n.folder: self._planned[n.folder] or self._took.get(n.kind) for n in self._nodes}
        unknown = {NAMES[node.kind] for node in self._nodes if takes[node.folder] is None}
        if unknown:
            return f"time left not known ({' and '.join(sorted(unknown))}: not measured yet)"
        whole, done = sum(takes.values()), sum(takes[folder] for folder in self._made)
        self.share = done / whole
        at_once = min(self._at_once, len(self._nodes))
        if not done:
            left = whole / at_once - (now - self._begun)
            return f"about {duration(left)} left" if left > 0 else "longer than planned"
        slower = (self._last - self._begun + _PRIOR) / (done / at_once + _PRIOR)
        ahead = slower * (whole - done) / at_once
        # Time passes while the next ones are made. What is left never runs out before they are.
        return f"about {duration(max(ahead - (now - self._last), ahead / 2))} left"

    def _counts(self) -> str:
        """Say of each kind of node how many are made."""
        parts = []
        for kind, name in NAMES.items():
            places = [node.folder for node in self._nodes if node.kind == kind]
            if places:
                parts.append(f"{sum(place in self._made for place in places)} of {len(places)} {name}")
        return f"{', '.join(parts)} made"
