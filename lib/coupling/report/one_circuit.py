"""What notebooks show of the circuits of one explainer: its maps, how alike they are, and its top sites."""

import pandas as pd
from matplotlib.figure import Figure

from coupling.analysis import circuits
from coupling.analysis.measures import region_name
from coupling.report.answers.answer import Answer
from coupling.report.answers.circuits import of_similarity
from coupling.report.figures import style
from coupling.report.figures.circuits import TITLES, draw_maps, groups_of
from coupling.runs import Result

_TOP = 8  # sites that the table shows


def _sites(result: Result) -> pd.DataFrame:
    """The means over items of a run, named as the tables of a sweep name them."""
    sites = result.table("sites")
    names = {"condition": "this run", "m0_seed": result.spec.m0_seed, "seed": result.spec.seed}
    return sites.assign(**names, region=sites["held_out"].map(region_name))


def maps(result: Result) -> Figure:
    """Draw the map of each output of the trained model, on its first task.

    Args:
        result: Finished circuits.
    """
    found = circuits.maps(_sites(result))
    task = found["task"].iloc[0]
    shown = found[(found["task"] == task) & found["trained"] & (found["way"] == "other")]
    with style.styled():
        figure, axes = style.canvas(1, 4, (style.PAGE, 1.9))
        draw_maps(axes, shown, groups_of(shown))
        style.panels(axes, list(TITLES.values()), 100)
        caption = (
            f"{task}, {result.manifest['items']} items. States of another item are put at one part, layer "
            "and group of tokens; the darker, the more the log-odds of what the model said fall. In each "
            "band layers go up."
        )
        strongest = _strongest(shown, "answer").iloc[0]
        title = f"The stated answer is decided most at {_name(strongest)}"
        return style.finish(figure, title, caption)


def top(result: Result) -> pd.DataFrame:
    """List the sites that decide the stated answer most, with their effect on each output, in log-odds."""
    found = circuits.maps(_sites(result))
    shown = found[found["trained"] & (found["way"] == "other")]
    rows = _strongest(shown, "answer").head(_TOP)
    table = {"site": [_name(row) for _, row in rows.iterrows()]}
    return pd.DataFrame(table | {title: rows[output].to_numpy() for output, title in TITLES.items()})


def similarity(result: Result) -> Answer:
    """Say how alike the maps of behaviour and explanation are, of the trained model and of its M0."""
    return of_similarity(circuits.similarity(_sites(result)))


def _strongest(maps_of: pd.DataFrame, output: str) -> pd.DataFrame:
    return maps_of.sort_values(output, ascending=False, kind="stable")


def _name(row: pd.Series) -> str:
    return f"{row['part']} of layer {row['layer']}, {row['group']} tokens"
