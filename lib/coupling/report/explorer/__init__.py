"""The explorer: browse the items of published runs, and what was said of them, in a page without a kernel.

`show` displays it in a notebook. The site writes the same page with the data of several sweeps. The page is
explorer.js and explorer.css; data.py says what they are given.
"""

from coupling.report.explorer.data import ITEMS, counts, datasets, shown
from coupling.report.explorer.display import ELEMENT, SCRIPT, STYLE, Explorer, call, show

__all__ = ["ELEMENT", "ITEMS", "SCRIPT", "STYLE", "Explorer", "call", "counts", "datasets", "show", "shown"]
