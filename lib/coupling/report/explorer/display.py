"""The explorer in a notebook: one frame that holds page, style, script and data, and loads nothing."""

import html
import json
from pathlib import Path
from typing import Any

import pandas as pd
from IPython.display import Markdown

from coupling.report.explorer.data import counts, datasets

SCRIPT = Path(__file__).with_name("explorer.js")
STYLE = Path(__file__).with_name("explorer.css")
ELEMENT = "items-explorer"  # the id of the element that the page fills; explorer.css names it too
_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Explorer</title>
<style>{style}</style>
<main id="{element}"></main>
<script>{script}</script>
<script>{calls}</script>
</html>"""


class Explorer:
    """What `show` returns. A notebook displays it as a frame.

    Attributes:
        page: The whole page as HTML.
        counts: What explanations state on the items that it shows; see `coupling.report.explorer.counts`.
    """

    def __init__(self, page: str, counts: pd.DataFrame) -> None:
        self.page = page
        self.counts = counts

    @property
    def text(self) -> Markdown:
        """The counts in sentences."""
        return Markdown(
            "\n".join(
                f"- {row['task']}: on {row['divergent']} of {row['items']} items of {row['runs']} runs, "
                "label source and trained model differ. "
                f"There {row['own']} explanations state the model's own behaviour, {row['source']} the "
                f"label source, and {row['neither']} neither."
                for _, row in self.counts.iterrows()
            )
        )

    def _repr_html_(self) -> str:
        return (
            f'<iframe title="explorer of items" srcdoc="{html.escape(self.page)}" '
            'style="width: 100%; height: 1000px; border: 1px solid #8888"></iframe>'
        )


def show(profile: str, sweep: str) -> Explorer:
    """Display the items of a sweep's published runs in a notebook, and what was said of them.

    Args:
        profile: Name of the profile.
        sweep: Name of a sweep of the study.

    Raises:
        SpecError: Where there is no such profile or sweep.
        StoreError: Where nothing is published of any of its runs.
    """
    found = datasets(profile, sweep)
    entries = [{name: data[name] for name in ("profile", "sweep", "task", "title")} for data in found]
    calls = [call("take", k, data) for k, data in enumerate(found)]
    page = _PAGE.format(
        element=ELEMENT,
        style=STYLE.read_text(),
        script=SCRIPT.read_text(),
        calls="\n".join([*calls, call("start", ELEMENT, entries)]),
    )
    return Explorer(page, counts(found))


def call(function: str, *values: Any) -> str:
    """Write a call of a function of explorer.js, such as can stand in a script and in a page."""
    written = [
        json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
        for value in values
    ]
    return f"couplingExplorer.{function}({', '.join(written)});"
