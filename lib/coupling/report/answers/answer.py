"""What a figure has to say in words: a table of the columns that matter, and sentences made from it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from coupling.report import notebooks
from coupling.report.notebooks import Markdown

if TYPE_CHECKING:
    from pandas.io.formats.style import Styler


@dataclass(frozen=True)
class Answer:
    """What a figure has to say in words.

    Attributes:
        rows: The columns that matter, written for readers: every cell is text.
        found: What came out, in sentences made from the tables. Names stand in backticks, as in Markdown.
    """

    rows: pd.DataFrame
    found: Sequence[str]

    @property
    def table(self) -> "Styler":
        """The table as a notebook shows it. Columns without any entry are left out."""
        return notebooks.whole(self.filled)

    @property
    def text(self) -> Markdown:
        """The sentences as a list."""
        said = self.found or ["Too few evaluations are behind the table to say anything."]
        return Markdown("\n".join(f"- {sentence}" for sentence in said))

    @property
    def filled(self) -> pd.DataFrame:
        """The rows without the columns that have no entry at all."""
        return self.rows if self.rows.empty else self.rows.loc[:, (self.rows != "").any()]
