"""What a model does and says while something in it is changed: ablation, steering and adapter surgery.

Ablation asks whether the sites that decide the behaviour also decide the explanation. Attention and MLP at
some tokens are given their mean over other items of the same layout. Four sets of equally many sites are
compared: those that matter most for the behaviour, those that matter most for the explanation, those that
matter least for the behaviour, and sites drawn at random for each item.

Steering asks whether an explanation moves with a behaviour. The direction that tells items on which the model
makes a choice without the cue from other items is added to the residual stream, at a site before the two
part. A direction of the same length that is drawn at random stands beside it.

Surgery asks which parts of the adapter make behaviour drift, and which make explanations true. The whole
adapter is weakened, halves and single layers are taken out, or exchanged for those of another run.

Sites and directions are chosen on every second item, and all effects are measured on the others.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager

import numpy as np
import pandas as pd
import torch

from coupling.measure.behaviours import batches
from coupling.measure.circuits import donors
from coupling.measure.outputs import NONE, OUTPUTS, SHARED
from coupling.measure.patches import BLOCK, Block, Copy, Move, Said, odds, said
from coupling.measure.token_groups import TEXTS, Prompted, Slot, beside
from coupling.models import Loaded
from coupling.models.sites import Site
from coupling.models.surgery import adapter_parts, exchanged, scaled

TOP = 0.1  # the share of the sites that a set for ablation has
ABLATED = ("most for behaviour", "most for explanation", "least for behaviour", "at random")
STEERED = ("question", "options", "cue")  # tokens that behaviour and explanation read alike
AMOUNTS = (1.0, 2.0)  # so many times the direction is added
SCALES = (0.0, 0.25, 0.5, 0.75)  # of the whole adapter
DIGITS = 3  # of a change of log-odds

Place = tuple[Site, str]  # a site and a group of tokens
Row = dict[str, object]


@torch.no_grad()
def interventions(
    loaded: Loaded,
    made: Sequence[Prompted],
    effects: pd.DataFrame,
    chosen_on: set[str],
    seed: int,
    other: Mapping[str, torch.Tensor] | None = None,
) -> pd.DataFrame:
    """Change a model in many ways, and look at what it then chooses and states.

    Args:
        loaded: The model with its adapter.
        made: The items, as `circuits.prepared` makes them.
        effects: What `circuits.effects` found on them.
        chosen_on: The ids of the items on which sites and directions are chosen.
        seed: Seed of the random sites and of the random direction.
        other: The adapter of another run with the same M0, by the names of peft's files. None: no parts are
            exchanged.

    Returns:
        One row an item that is not among `chosen_on` and intervention: id, intervention (str), what the model
        chooses and states (the columns OUTPUTS, int8), and by how much the log-odds rise of what it said
        before, or, of steering, of the choice that it is steered to: rise_x and so on, float32. Rows of the
        intervention NONE say what it said before.
    """
    on_chosen = effects[effects["id"].isin(chosen_on) & (effects["way"] == "other")]
    sets = _sets(on_chosen, np.random.default_rng([seed, 0]))
    directions = _Directions(_blocks(loaded, made), _shared_place(on_chosen), chosen_on)
    noise = torch.Generator().manual_seed(seed)
    rows: list[Row] = []
    for block in _blocks(loaded, made):
        rows += _untouched(block, chosen_on)
        for name, places in sets.items():
            rows += _ablated(block, f"ablated, {name}", places, chosen_on)
        rows += _steered(block, directions, chosen_on, noise)
        rows += _operated(loaded, block, chosen_on, other)
    found = pd.DataFrame(rows)
    changes = [f"rise_{name}" for name in OUTPUTS]
    whole = dict.fromkeys(OUTPUTS, "int8") | dict.fromkeys(changes, "float32")
    return found.assign(**{name: found[name].round(DIGITS) for name in changes}).astype(whole)


def _blocks(loaded: Loaded, made: Sequence[Prompted]) -> Iterator[Block]:
    """The items in blocks, one after the other: the states of all of them would not fit in memory."""
    for part in batches(len(made), BLOCK):
        yield Block(loaded, made[part])


def _row(one: Prompted, name: str, scores: np.ndarray, wanted: Said, before: np.ndarray) -> Row:
    """The row of an item: what the scores say, and the rise of the log-odds of what is wanted."""
    rises = odds(one.item, wanted, scores) - odds(one.item, wanted, before)
    return (
        {"id": one.item.id, "intervention": name}
        | vars(said(one.item, scores))
        | {f"rise_{output}": float(rise) for output, rise in zip(OUTPUTS, rises, strict=True)}
    )


def _measured(block: Block, chosen_on: set[str]) -> list[int]:
    """The items of a block on which effects are measured."""
    return [k for k, one in enumerate(block.items) if one.item.id not in chosen_on]


def _untouched(block: Block, chosen_on: set[str]) -> list[Row]:
    return [
        _row(block.items[k], NONE, block.scores[k], block.said[k], block.scores[k])
        for k in _measured(block, chosen_on)
    ]


def _sets(effects: pd.DataFrame, rng: np.random.Generator) -> dict[str, Callable[[], list[Place]]]:
    """Choose the sets of ABLATED among attentions and MLPs of all layers, at tokens that both can read.

    Returns:
        By name what gives the set of an item. It is the same for all items, but for sites drawn at random,
        which are drawn anew each time.
    """
    rows = effects[(effects["part"] != "residual") & effects["group"].isin(SHARED)]
    means = rows.groupby(["layer", "part", "group"], observed=True)[list(OUTPUTS)].mean()
    places = [(Site(int(layer), part), group) for layer, part, group in means.index]
    number = max(1, round(TOP * len(places)))
    behaviour, explanation = (means[list(names)].mean(axis=1) for names in (OUTPUTS[:2], OUTPUTS[2:]))

    def first(of: pd.Series) -> Callable[[], list[Place]]:
        chosen = [places[k] for k in np.argsort(of.to_numpy(), kind="stable")[:number]]
        return lambda: chosen

    def drawn() -> list[Place]:
        return [places[k] for k in rng.permutation(len(places))[:number]]

    return dict(zip(ABLATED, (first(-behaviour), first(-explanation), first(behaviour), drawn), strict=True))


def _ablated(block: Block, name: str, places: Callable[[], list[Place]], chosen_on: set[str]) -> list[Row]:
    """Give some sites of each item their mean over the items of its layout in the block."""
    next_to = donors(block.items)
    measured, copies = _measured(block, chosen_on), []
    for k in measured:
        one = block.items[k]
        alike = [j for j, two in enumerate(block.items) if j != k and two.layout == one.layout]
        copies.append(Copy(k, tuple(_means(block, k, alike or [next_to[k]], places()))))
    return [
        _row(block.items[k], name, scores, block.said[k], block.scores[k])
        for k, scores in zip(measured, block.patched(copies), strict=True)
    ]


def _means(block: Block, item: int, alike: Sequence[int], places: Sequence[Place]) -> Iterator[Move]:
    """The moves that put means over other items, one for each group of tokens."""
    for group in dict.fromkeys(group for _, group in places):
        at = tuple(site for site, its in places if its == group)
        counterparts = [beside(block.items[item], block.items[j], [group]) for j in alike]
        to = [place for place in counterparts[0] if all(place in found for found in counterparts)]
        if to:
            taken = np.array([[found[place] for place in to] for found in counterparts], np.int64)
            yield Move(at, np.array(to, np.int64), tuple(alike), taken)


def _shared_place(effects: pd.DataFrame) -> Place:
    """The place in the residual stream that matters most for both, choice without the cue and answer."""
    rows = effects[(effects["part"] == "residual") & effects["group"].isin(STEERED)]
    ranks = rows.groupby(["layer", "group"], observed=True)[["cf", "answer"]].mean().rank()
    layer, group = ranks.min(axis=1).idxmax()
    return Site(int(layer), "residual"), group


def _slots(one: Prompted, group: str) -> dict[int, tuple[str, Slot]]:
    """The text and slot of each place in an item's tree that has a token of a group."""
    found: dict[int, tuple[str, Slot]] = {}
    for text in TEXTS:
        for slot, place in one.slots[text].items():
            if slot[0] == group:
                found.setdefault(place, (text, slot))
    return found


class _Directions:
    """For each choice, how states differ between items on which it is chosen without the cue, and others.

    Items whose texts have other slots count for the slots that they have.
    """

    def __init__(self, blocks: Iterable[Block], place: Place, chosen_on: set[str]):
        self.site, self.group = place
        sums: dict[tuple, torch.Tensor] = {}
        counts: dict[tuple, int] = {}
        for block in blocks:
            for k, one in enumerate(block.items):
                if one.item.id not in chosen_on:
                    continue
                slots = _slots(one, self.group)
                states = block.states(self.site, k, np.array(list(slots), np.int64))
                for state, slot in zip(states, slots.values(), strict=True):
                    name = slot, block.said[k].cf
                    sums[name] = sums[name] + state if name in sums else state.clone()
                    counts[name] = counts.get(name, 0) + 1
        self._sums, self._counts = sums, counts

    def toward(self, one: Prompted, choice: int) -> tuple[np.ndarray, torch.Tensor | None]:
        """Return the places of an item's tree that have a direction, and the directions, [places, width]."""
        places, found = [], []
        for place, slot in _slots(one, self.group).items():
            others = [c for s, c in self._counts if s == slot and c != choice]
            if (slot, choice) in self._counts and others:
                mean = self._sums[slot, choice] / self._counts[slot, choice]
                rest = sum(self._sums[slot, c] for c in others) / sum(self._counts[slot, c] for c in others)
                places.append(place)
                found.append(mean - rest)
        return np.array(places, np.int64), torch.stack(found) if found else None


def _steered(block: Block, directions: _Directions, chosen_on: set[str], noise: torch.Generator) -> list[Row]:
    """Steer each item towards the choice after the one that the model makes without the cue."""
    copies, about = [], []
    for k in _measured(block, chosen_on):
        one, before = block.items[k], block.said[k]
        choice = (before.cf + 1) % len(one.item.choices)
        to, toward = directions.toward(one, choice)
        if toward is None:
            continue
        drawn = torch.randn(toward.shape, generator=noise).to(toward)
        drawn *= toward.norm(dim=1, keepdim=True) / drawn.norm(dim=1, keepdim=True)
        wanted = Said(choice, choice, choice, before.flag)
        ways = {f"steered by {amount:g}": amount * toward for amount in AMOUNTS}
        for name, added in (ways | {"steered at random": AMOUNTS[-1] * drawn}).items():
            copies.append(Copy(k, (Move((directions.site,), to, (k,), to[None], added),)))
            about.append((one, name, wanted, block.scores[k]))
    return [
        _row(one, name, scores, wanted, clean)
        for (one, name, wanted, clean), scores in zip(about, block.patched(copies), strict=True)
    ]


def _operated(
    loaded: Loaded, block: Block, chosen_on: set[str], other: Mapping[str, torch.Tensor] | None
) -> list[Row]:
    """Look at the items with parts of the adapter weakened, taken out or exchanged."""
    rows: list[Row] = []
    for name, operation in _operations(loaded, other):
        with operation:
            now = Block(loaded, block.items)
        rows += [
            _row(block.items[k], name, now.scores[k], block.said[k], block.scores[k])
            for k in _measured(block, chosen_on)
        ]
    return rows


def _operations(
    loaded: Loaded, other: Mapping[str, torch.Tensor] | None
) -> Iterator[tuple[str, AbstractContextManager]]:
    """The operations by name, each as a context in which the adapter is changed."""
    parts = list(adapter_parts(loaded.model))
    layers = sorted({site.layer for site in parts})
    middle = layers[len(layers) // 2]
    halves = {
        "lower": [site for site in parts if site.layer < middle],
        "upper": [site for site in parts if site.layer >= middle],
    }
    for scale in SCALES:
        yield f"adapter times {scale:g}", scaled(loaded, dict.fromkeys(parts, scale))
    for name, left in zip(halves, reversed(halves.values()), strict=True):
        yield f"{name} half alone", scaled(loaded, dict.fromkeys(left, 0.0))
    for part in ("attention", "mlp"):
        left = [site for site in parts if site.part != part]
        yield f"{part} alone", scaled(loaded, dict.fromkeys(left, 0.0))
    for layer in layers:
        yield f"without layer {layer}", scaled(loaded, {s: 0.0 for s in parts if s.layer == layer})
    if other is not None:
        for name, chosen in halves.items():
            yield f"{name} half of another run", exchanged(loaded, other, chosen)
