"""What came out of a batch, for its user: numbers beside the committed ones, figures, and what they show."""

from collections.abc import Iterator

import pandas as pd

from coupling import sweep as sweeps
from coupling.analysis import tables
from coupling.analysis.tables import renewal
from coupling.report import answers, study
from coupling.spec import SpecError

CHANCE = 0.05  # of 95 % intervals, so many do not hold what they are of
_PER_RUN = ("self", "target")  # what is compared of runs that have been made twice
_INSIDE = {True: "yes", False: "no", None: ""}


def said(profile: str, sweep: str) -> str:
    """Say what came out of the user's own runs of each sweep; see `overview.plans` for the arguments."""
    return "\n\n".join(_of_sweep(profile, name) for name, *_ in sweeps.members(sweep, profile))


def _of_sweep(profile: str, name: str) -> str:
    own = tables.read(profile, name, own=True)
    then = _comparable(profile, name, own)
    lines = [
        f"{sweeps.stem(name)}, your runs: {_size(own)}; tables in {tables.folder(profile, name, own=True)}"
    ]
    if then is None:
        lines += ["nothing is committed of it to compare with", _alone(own.summary)]
    else:
        found = tables.compare(own.summary, then.summary)
        lines += [
            f"beside the committed runs of the same seeds: {_size(then)}",
            _beside(found),
            *_not_there(own, then),
        ]
        lines += [counted(found)] if len(found) else []
    for figure in study.load(name).at(profile).figures:
        lines += ["", f"{study.figure_place(figure, profile, name, own=True)}.png"]
        found = answers.of_tables(figure, own).found or ["These runs are too few to say anything."]
        lines += [f"  {sentence.replace('`', '')}" for sentence in found]
    return "\n".join(lines)


def _committed(profile: str, name: str) -> tables.Tables | None:
    """The committed tables of a sweep or of the one that it is a part of, or None where there are none."""
    name = study.load(name).at(profile).part_of or name
    where = tables.folder(profile, name)
    return None if sweeps.is_path(name) or not (where / "keys.json").exists() else tables.read(profile, name)


def _comparable(profile: str, name: str, own: tables.Tables) -> tables.Tables | None:
    """The committed tables of the runs that the user has, or None where nothing of the sweep is committed.

    A part of the committed runs has means of its own, for which the interval of all runs is too narrow.
    """
    whole = _committed(profile, name)
    if whole is None:
        return None
    keys = pd.DataFrame(own.keys["runs"])
    runs = keys.assign(task=keys["task"].str.split("+")).explode("task")
    return renewal.part(whole, runs, [spec for _, spec in sweeps.plan(profile, name)])


def _size(data: tables.Tables) -> str:
    runs = pd.DataFrame(data.keys["runs"], columns=["m0_seed"])
    return f"{len(runs)} runs of {runs['m0_seed'].nunique()} M0s"


def _beside(found: pd.DataFrame) -> str:
    """The table of `tables.compare` for people."""
    shown = found[["task", "condition", "measure"]].assign(
        yours=found["value"].map(_number),
        committed=found["committed"].map(_number),
        interval=[_interval(low, high) for low, high in zip(found["low"], found["high"], strict=True)],
        inside=[_INSIDE[one] for one in found["within"]],
    )
    return shown.to_string(index=False)


def _alone(summary: pd.DataFrame) -> str:
    """A summary for people, one row a number."""
    rows = [
        {
            "task": row["task"],
            "condition": row["condition"],
            "measure": measure,
            "yours": _number(row[measure]),
            "interval": _interval(row[f"{measure}_low"], row[f"{measure}_high"]),
        }
        for _, row in summary.iterrows()
        for measure in tables.COMPARED
    ]
    return pd.DataFrame(rows).to_string(index=False)


def _number(value: float) -> str:
    return "" if pd.isna(value) else f"{value:.3f}"


def _interval(low: float, high: float) -> str:
    return "" if pd.isna(low) else f"{low:.3f} to {high:.3f}"


def _not_there(own: tables.Tables, then: tables.Tables) -> list[str]:
    """Name the own conditions that nothing is committed of."""
    names = ["task", "condition"]
    there = set(then.summary[names].itertuples(index=False, name=None))
    missing = [
        ", ".join(one) for one in own.summary[names].itertuples(index=False, name=None) if one not in there
    ]
    return [f"nothing is committed of: {'; '.join(missing)}"] if missing else []


def counted(found: pd.DataFrame) -> str:
    """Say how many numbers of `tables.compare` lie in their committed interval."""
    judged = found[found["within"].notna()]
    return (
        f"{judged['within'].astype(bool).sum()} of {len(judged)} numbers lie in their committed 95 % interval"
    )


def check_committed(profile: str, sweep: str) -> None:
    """Check, before any compute, that each sweep has committed numbers to be compared with.

    Raises:
        SpecError: Where one has none.
    """
    for name, *_ in sweeps.members(sweep, profile):
        if _committed(profile, name) is None:
            raise SpecError(
                f"profile={profile}, sweep={name}: nothing is committed in {tables.folder(profile, name)}, "
                "so that nothing can be verified; name a sweep of the study that has tables there"
            )


def verified(profile: str, sweep: str) -> tuple[bool, str]:
    """Tell of each number of the user's own runs whether it lies in the committed interval.

    Returns:
        Whether all do, and what is found in words.
    """
    lines, outside, judged = [], [], 0
    for name, *_ in sweeps.members(sweep, profile):
        own = tables.read(profile, name, own=True)
        then = _comparable(profile, name, own)
        found = tables.compare(own.summary, then.summary)
        lines += [f"{name}: {_size(own)} against {_size(then)} committed, of the same seeds", _beside(found)]
        lines += [*_not_there(own, then), *_made_twice(own, then), ""]
        judged += int(found["within"].notna().sum())
        outside += list(_outside(name, found))
    if not judged:
        return False, "\n".join([*lines, "no number has a committed interval: nothing is verified"])
    if not outside:
        return True, "\n".join([*lines, f"all {judged} numbers lie in their committed 95 % interval"])
    return False, "\n".join(
        [*lines, f"{len(outside)} of {judged} numbers lie outside:", *outside, _meaning(judged)]
    )


def _outside(name: str, found: pd.DataFrame) -> Iterator[str]:
    for _, row in found[found["within"].eq(False)].iterrows():
        yield (
            f"  {name}, {row['task']}, {row['condition']}: {row['measure']} {_number(row['value'])} "
            f"is not in {_interval(row['low'], row['high'])}"
        )


def _meaning(judged: int) -> str:
    chance = f"1 in {1 / CHANCE:.0f} by chance, here about {CHANCE * judged:.1f} of {judged}"
    return (
        f"What this means: a 95 % interval leaves out {chance}. A few numbers just outside are no failure to "
        "reproduce. Many, or one far outside, say that something differs: the machine, the packages or the "
        "code. Runs of the same spec and seeds (above) tell which."
    )


def _made_twice(own: tables.Tables, then: tables.Tables) -> list[str]:
    """Say how far own runs lie from the committed runs of the same key."""
    here, there = _finals(own), _finals(then)
    pairs = here.merge(there, on=["key", "task"], suffixes=("", "_then"))
    if pairs.empty:
        return ["none of your runs has the same spec and seeds as a committed one"]
    apart = max((pairs[name] - pairs[f"{name}_then"]).abs().max() for name in _PER_RUN)
    return [
        f"{pairs['key'].nunique()} of your runs have the spec and the seeds of committed ones: "
        f"{' and '.join(_PER_RUN)} of such a run differ by at most {apart:.4f}"
    ]


def _finals(data: tables.Tables) -> pd.DataFrame:
    """The measures of each run and task at the final step, with the key of the run."""
    names = ["task", "condition", "m0_seed", "seed"]
    keys = pd.DataFrame(data.keys["runs"])[[*names, "key"]]
    keys = keys.assign(task=keys["task"].str.split("+")).explode("task")
    ends = data.runs.groupby(names)["step"].transform("max")
    return data.runs[data.runs["step"] == ends].merge(keys, on=names)[["key", "task", *_PER_RUN]]
