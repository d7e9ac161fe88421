"""The site: executed notebooks, pages, API reference and explorer as static pages that need no network.

`make site` builds it: `python -m coupling.report.site` writes the sources below results/ (sources.py,
executed.py, reference.py), hands them to Sphinx (conf.py), and checks what came out (checking.py).
"""

from coupling.report.site.building import build

__all__ = ["build"]
