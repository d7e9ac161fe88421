"""Claims: every verdict on one map, and the effects behind the verdicts of each claim."""

import pandas as pd
from matplotlib.axes import Axes

from coupling.analysis.claims.rules.conditions import ONSET_RANGE
from coupling.report.figures import marks, style
from coupling.report.figures.marks import BLUE, DARK, GREEN, MIDDLE, SKY, VERMILION, Look
from coupling.sweep import CLAIMS

WHAT = "The verdict of every row of the table of claims, by claim of the paper, task and model"
TABLE = "claims"
SUPPORTED = "supported"
VERDICTS = {
    "replicated": Look(GREEN, "o", "replicated"),
    SUPPORTED: Look(BLUE, "o", "supported (exploration)", filled=False),
    "inconclusive": Look(MIDDLE, "D", "inconclusive"),
    "not replicated": Look(VERMILION, "s", "not replicated"),
    "premise not met": Look(SKY, "v", "premise not met", filled=False),
    "not computable": Look(DARK, "x", "not computable"),
    "not tested": Look(MIDDLE, "_", "not tested"),
}
HALF = 0.5  # the null of a preference
STEP = 0.12  # inches between the marks of one cell of the map
PER_LINE = 4  # marks side by side in one cell
ROW = 0.155  # inches of a row of a forest plot
FULL = style.TALLEST - 1.2  # inches of panels that a page holds, beside title and caption
_NUMBERS = {"effect (95 %)": 0.0, "p": 0.45, "controls": 0.58, "verdict": 0.735}
_NAME, _TITLE = 150, 300  # points that the name of a row and the title of a panel take at most
_MEASURED = r",? in (?:preference|the excess gap|the paper's own measure)$"  # what a panel's title says
_SHORT = {  # what each claim says, in few words (docs/method.md, "What the paper claims")
    "1": "more faithful to own behaviour",
    "2": "needs the KL term",
    "3": "labels of another family",
    "4": "needs agreement of labels",
    "5": "follows shifts of behaviour",
    "6": "robust to label noise",
    "7": "higher rank widens the gap",
    "8": "higher rate widens the gap",
    "9": "new behaviour, new regions",
    "10": "shared circuits",
    "11": "constant labels collapse",
    "own": "claims of this study",
}


def rests_on(sweep: str) -> bool:
    """Return whether the runs of a sweep are behind the figure. Those of every sweep are."""
    return True


def of_study(frame: pd.DataFrame) -> style.StudyFigure:
    """Draw the map of the study's table of claims."""
    return draw(frame)


def parts(frame: pd.DataFrame) -> dict[str, style.StudyFigure]:
    """Draw a forest plot for each claim that has an effect: claim-1, claim-2 and so on, and claim-own.

    A claim with more panels than a page holds goes on in claim-own-2 and so on.
    """
    shown = told(frame)
    shown = shown[shown["effect"].notna()]
    drawn = {}
    for number in CLAIMS:
        rows = shown[shown["claim"] == number]
        pages = _pages(rows.iloc[(~_decides(rows)).argsort(kind="stable")])
        for place, rows in enumerate(pages, 1):
            name = f"claim-{number}" if place == 1 else f"claim-{number}-{place}"
            drawn[name] = forest(rows, number, f" (page {place} of {len(pages)})" if len(pages) > 1 else "")
    return drawn


def _pages(rows: pd.DataFrame) -> list[pd.DataFrame]:
    """Divide the rows of a claim, whole panels at a time, so that each part fits a page."""
    pages: list[list[pd.DataFrame]] = []
    tall = FULL
    for _, part in rows.groupby("measure", sort=False):
        more = _tall(part, _names(part, rows))
        if tall + more > FULL:
            pages.append([])
            tall = 0.0
        pages[-1].append(part)
        tall += more
    return [pd.concat(parts) for parts in pages]


def told(claims: pd.DataFrame) -> pd.DataFrame:
    """Add what is shown of each verdict: an exploration with all that is asked for is supported, no more."""
    supported = claims["exploration"].astype(bool) & claims["supported"].astype(bool)
    return claims.assign(shown=claims["verdict"].mask(supported, SUPPORTED))


def draw(claims: pd.DataFrame) -> style.StudyFigure:
    """Draw a mark for each row of the table, in the cell of its claim, task and model.

    Args:
        claims: The table of claims.
    """
    rows = told(claims)
    rows = rows.assign(cell=_cells(rows))
    cells = style.in_order(rows["cell"])
    numbers = [number for number in CLAIMS if number in set(rows["claim"])]
    lines = {n: max(-(-count // PER_LINE) for count in _counts(rows, n)) for n in numbers}
    tall = {number: 0.14 + STEP * count for number, count in lines.items()}
    figure, axis = style.canvas(1, 1, (style.PAGE, 0.35 + sum(tall.values())))
    top, middles = 0.0, []
    for number in numbers:
        for place, cell in enumerate(cells):
            here = rows[(rows["claim"] == number) & (rows["cell"] == cell)]
            _marks(axis, place, top + 0.13, here.sort_values("primary", ascending=False))
        middles.append(top + tall[number] / 2)
        top += tall[number]
        axis.axhline(top, color="#DDDDDD", lw=0.5, zorder=0)
    names = [f"{n}: {_SHORT[n]}" if n != "own" else _SHORT[n] for n in numbers]
    axis.set_yticks(middles, names)
    axis.set_xticks(range(len(cells)), cells)
    axis.tick_params(length=0, top=True, labeltop=True, bottom=False, labelbottom=False)
    axis.set(xlim=(-0.5, len(cells) - 0.5), ylim=(top, 0))
    for side in ("left", "bottom"):
        axis.spines[side].set_visible(False)
    return style.finish(figure, _found(rows), _caption(rows))


def _cells(rows: pd.DataFrame) -> list[str]:
    """The column of each row of the table: its task or tasks, and the profile that it is decided at.

    A row that is not tested stands at the profile that has decided rows of its task, if one has.
    """
    decided = rows[rows["effect"].notna()].drop_duplicates("task", keep="first")
    profiles = dict(zip(decided["task"], decided["profile"], strict=True))
    cells = []
    for task, profile, verdict in zip(rows["task"], rows["profile"], rows["verdict"], strict=True):
        tasks = task.split("+") if task else ["no task"]
        name = tasks[0] if len(tasks) == 1 else f"{len(tasks)} tasks"
        if not task:
            cells.append(name)
            continue
        cells.append(f"{name}\n{profiles.get(task, profile) if verdict == 'not tested' else profile}")
    return cells


def _counts(rows: pd.DataFrame, number: str) -> list[int]:
    return rows[rows["claim"] == number].groupby("cell").size().tolist()


def _marks(axis: Axes, place: int, top: float, rows: pd.DataFrame) -> None:
    """Draw the marks of one cell in lines. That of a primary test comes first and is larger."""
    for k, (_, row) in enumerate(rows.iterrows()):
        look = VERDICTS[row["shown"]]
        across, down = k % PER_LINE, k // PER_LINE
        axis.plot(
            place + 0.19 * (across - (min(len(rows), PER_LINE) - 1) / 2),
            top + down * STEP,
            look.mark,
            ms=6 if row["primary"] else 4,
            color=look.colour,
            mfc=look.colour if look.filled else "white",
            mew=1,
            label=look.label,
        )


def _decides(rows: pd.DataFrame) -> pd.Series:
    """Whether each row is the planned primary test of its claim; bool [rows]."""
    return rows["primary"].astype(bool) & ~rows["exploration"].astype(bool)


def _found(rows: pd.DataFrame) -> str:
    """Say how many of the planned primary tests have each verdict; without one, how many rows have."""
    primary = rows[_decides(rows)]
    # Where a claim has a test that was run, one that was not run has been replaced.
    run = set(primary.loc[primary["verdict"] != "not tested", "claim"])
    primary = primary[(primary["verdict"] != "not tested") | ~primary["claim"].isin(run)]
    counts = (primary if len(primary) else rows)["shown"].value_counts()
    said = [f"{counts[verdict]} {verdict}" for verdict in VERDICTS if verdict in counts]
    none = "" if "replicated" in counts else "Nothing is replicated yet: "
    what = f"{len(primary)} planned primary tests" if len(primary) else f"{len(rows)} rows"
    return f"{none}of {what} {', '.join(said)}" if none else f"Of {what}: {', '.join(said)}"


def _caption(rows: pd.DataFrame) -> str:
    primary = " Larger: the primary test of a claim." if rows["primary"].any() else ""
    return (
        f"Each mark is one of the {len(rows)} rows of the table of claims.{primary} Rows share runs. "
        "Verdicts follow fixed rules; a row whose rule is newer than its data is an exploration and is "
        f"never replicated. Profiles: {', '.join(style.in_order(rows['profile']))}."
    )


def forest(rows: pd.DataFrame, number: str, page: str = "") -> style.StudyFigure:
    """Draw the effects of one claim with their 95 % intervals, one panel for each measure.

    Args:
        rows: Rows of `told`, of one claim, with an effect.
        number: Number of the claim, or "own".
        page: Which page of how many this is; or empty.
    """
    groups = [part for _, part in rows.groupby("measure", sort=False)]
    names = [_names(part, rows) for part in groups]
    size = (style.PAGE, sum(_tall(part, some) for part, some in zip(groups, names, strict=True)))
    ratios = {"width_ratios": [0.7, 1], "height_ratios": [_lines(some) for some in names]}
    figure, axes = style.canvas(len(groups), 2, size, squeeze=False, **ratios)
    for (left, right), part, some in zip(axes, groups, names, strict=True):
        _effects(left, part, some)
        _numbers(right, left, part)
    style.panels(axes[:, 0], [_title(part) for part in groups], _TITLE)
    above = 4 + 9 * _title_lines(groups[0])
    for name, at in _NUMBERS.items():
        axes[0, 1].annotate(
            name,
            (at, 1),
            xytext=(0, above),
            xycoords="axes fraction",
            textcoords="offset points",
            size=style.SMALL,
            weight="bold",
        )
    return style.finish(figure, f"{_found_of(rows, number)}{page}", _caption_of(rows))


def _title(rows: pd.DataFrame) -> str:
    """The title of a panel: its measure, and what all of its rows claim where that is one thing."""
    measure = rows["measure"].iloc[0]
    said = set(map(_said, rows["text"]))
    only = said.pop() if rows["claim"].iloc[0] == "own" and len(said) == 1 else ""
    return f"{only}: {measure}" if only else measure


def _said(text: str) -> str:
    """What a claim says, without what sets this row apart."""
    return text.partition("; ")[0]


def _names(part: pd.DataFrame, rows: pd.DataFrame) -> list[str]:
    """The names of a panel's rows: task, profile, and what sets the row's words apart."""
    several = rows["profile"].nunique() > 1
    texts = part["text"].str.replace(_MEASURED, "", regex=True)
    if texts.map(_said).nunique() == 1:
        texts = texts.str.partition("; ")[2]
    names = []
    for task, profile, text, first in zip(part["task"], part["profile"], texts, _decides(part), strict=True):
        where = f"{task.replace('+', ' + ')}, {profile}" if several else task.replace("+", " + ")
        where = f"primary: {where}" if first else where
        names.append(style.fitted(f"{where}: {text}" if text else where, _NAME))
    return names


def _lines(names: list[str]) -> float:
    """How tall rows of such names are together, in rows of one line."""
    return sum(1 + 0.65 * name.count("\n") for name in names)


def _title_lines(rows: pd.DataFrame) -> int:
    """How many lines the title of a panel takes."""
    return style.fitted(_title(rows), _TITLE - 12, style.PLAIN).count("\n") + 1


def _tall(rows: pd.DataFrame, names: list[str]) -> float:
    """How tall a panel with rows of such names is, in inches, with title and scale."""
    return ROW * _lines(names) + 0.25 + 0.12 * _title_lines(rows)


def _effects(axis: Axes, rows: pd.DataFrame, names: list[str]) -> None:
    """Draw one panel: a mark with its interval for each row."""
    at, places = 0.0, []
    for (_, row), name in zip(rows.iterrows(), names, strict=True):
        places.append(at + _lines([name]) / 2)
        ends = (row["effect"], row["low"], row["high"])
        look = VERDICTS[row["shown"]]
        look = look._replace(filled=look.filled and not row["exploration"], label="")
        marks.interval(axis, places[-1], ends, look, lying=True)
        at += _lines([name])
    axis.set_yticks(places, names)
    axis.tick_params(axis="y", length=0)
    axis.spines["left"].set_visible(False)
    axis.set_ylim(at, 0)
    axis.locator_params(axis="x", nbins=5)
    if (at_null := _null(rows["measure"].iloc[0])) is not None:
        marks.null(axis, at_null, lying=True)
    else:
        axis.axvspan(*ONSET_RANGE, color="#EEEEEE", zorder=0)
    axis.margins(x=0.08)


def _null(measure: str) -> float | None:
    """The value of a measure that means no effect; None for an agreement, which is no difference."""
    if measure.lower().startswith("agreement"):
        return None
    return HALF if measure.lower().startswith("preference") and "−" not in measure else 0.0


def _numbers(axis: Axes, beside: Axes, rows: pd.DataFrame) -> None:
    """Write effect, controls and verdict of each row, beside its mark."""
    axis.set(xlim=(0, 1), ylim=beside.get_ylim())
    axis.axis("off")
    is_difference = _null(rows["measure"].iloc[0]) == 0
    for place, (_, row) in zip(beside.get_yticks(), rows.iterrows(), strict=True):
        passed = sum(control.endswith(": passed") for control in row["controls"])
        numbers = [row[name] for name in ("effect", "low", "high")]
        effect, low, high = (style.signed(n) if is_difference else f"{n:.3f}" for n in numbers)
        p = "" if pd.isna(row["p"]) else "<0.001" if row["p"] < 0.001 else f"{row['p']:.3f}"
        texts = (f"{effect} ({low} to {high})", p, f"{passed} of {len(row['controls'])}", row["shown"])
        for at, text in zip(_NUMBERS.values(), texts, strict=True):
            axis.text(at, place, text, va="center", size=style.SMALL)


def _found_of(rows: pd.DataFrame, number: str) -> str:
    """Say how many rows of a claim have which verdict."""
    called = f"Claim {number}, {_SHORT[number]}" if number != "own" else "Claims of this study"
    counts = rows["shown"].value_counts()
    said = ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS if verdict in counts)
    return f"{called}: of {style.number(len(rows), 'row')} {said}"


def _caption_of(rows: pd.DataFrame) -> str:
    over = "; ".join(
        f"{profile}: {style.span(part['seeds'])} "
        f"{unit.removesuffix('s') if part['seeds'].max() == 1 else unit}"
        for (profile, unit), part in rows.groupby(["profile", "unit"], sort=False)
    )
    return (
        f"Bars: 95 % t interval over seeds ({over}); where there is a single seed, bootstrap over groups. "
        "Vertical line: no effect; grey: what is claimed. Open marks: explorations. Each panel has its "
        "own scale. p is corrected. Supported: an exploration that has all that a replication asks for. "
        "Rows that were not run are left out."
    )
