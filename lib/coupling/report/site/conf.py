"""Sphinx's settings for the site (`make site`). Nothing on a built page is loaded from a network."""

from typing import Any

project = "Introspective coupling"
html_title = project
author = "the authors of the repository"
extensions = ["myst_nb"]
html_theme = "furo"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False

nb_execution_mode = "off"  # what is shown was executed before
nb_output_stderr = "remove"
nb_merge_streams = True
myst_enable_extensions: list[str] = []
myst_heading_anchors = 6
suppress_warnings = ["myst.header", "mystnb.unknown_mime_type"]  # pages may begin below a first heading


def setup(app: Any) -> None:
    """Take what the sources bring in their own _static: script and data of the explorer."""
    app.connect("config-inited", lambda app, config: config.html_static_path.append(f"{app.srcdir}/_static"))
