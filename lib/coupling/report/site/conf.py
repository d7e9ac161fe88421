"""Sphinx's settings for the site (`make site`). Nothing on a built page is loaded from a network."""

import re
from typing import Any

project = "Introspective coupling"
html_title = project
author = "the authors of the repository"
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
html_theme = "furo"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
templates_path: list[str] = []

nb_execution_mode = "off"  # what is shown was executed before
nb_output_stderr = "remove"
nb_merge_streams = True
myst_enable_extensions: list[str] = []
myst_heading_anchors = 6
suppress_warnings = ["myst.header", "mystnb.unknown_mime_type"]  # pages may begin below a first heading

default_role = "code"  # docstrings write names in single backticks
napoleon_numpy_docstring = False
napoleon_use_rtype = False
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # signatures have them
python_use_unqualified_type_names = True

_SECTION = re.compile(r"\s*(Args|Returns|Raises|Attributes|Yields):$")


def setup(app: Any) -> None:
    """Read docstrings as plain text, before napoleon reads their sections; take what the sources bring."""
    app.connect("autodoc-process-docstring", as_plain_text, priority=400)
    app.connect("config-inited", lambda app, config: config.html_static_path.append(f"{app.srcdir}/_static"))


def as_plain_text(app: Any, what: str, name: str, of: Any, options: Any, lines: list[str]) -> None:
    """Keep signs of a docstring that Sphinx would take for marks, and its indented blocks as they are.

    The arguments are those of Sphinx's event autodoc-process-docstring; `lines` is changed in place.
    """
    literal = False
    for k, line in enumerate(lines):
        if literal and line.strip() and not line.startswith(" "):
            literal = False
        if not literal:
            lines[k] = _escaped(line)
        following = next((later for later in lines[k + 1 :] if later.strip()), "")
        opens = line.endswith(":") and not line.startswith(" ") and not _SECTION.match(line)
        if opens and lines[k + 1 : k + 2] != [following] and following.startswith("    "):
            lines[k] += ":"
            literal = True


def _escaped(line: str) -> str:
    """Escape stars, bars and underscores at the ends of words outside of backticks."""
    parts = re.split(r"(`[^`]*`)", line)
    return "".join(
        part if part.startswith("`") else re.sub(r"[*|]|_(?!\w)", r"\\\g<0>", part) for part in parts
    )
