"""The API reference: a page for each package of the library, read from its docstrings by Sphinx."""

import ast
from pathlib import Path

from coupling import files
from coupling.report.site.sources import Page, toctree


def pages() -> list[Page]:
    """Make a page for each package and each module at the top of the library, and a list of them."""
    top = files.root() / "lib" / "coupling"
    parts = sorted(p for p in top.iterdir() if (p / "__init__.py").exists() or _is_public(p))
    made = [Page(f"reference/{part.stem}.md", _page(part, top.parent)) for part in parts]
    text = "# Library\n\nThe public functions and classes of `coupling`, package by package.\n\n"
    return [
        *made,
        Page("reference/index.md", text + toctree([f"{part.stem}.md" for part in parts], ":maxdepth: 1")),
    ]


def _page(part: Path, top: Path) -> str:
    modules = [part] if part.is_file() else sorted(m for m in part.rglob("*.py") if _shown(m))
    lines = [f"# coupling.{part.stem}", ""]
    for module in modules:
        name = ".".join(module.relative_to(top).with_suffix("").parts).removesuffix(".__init__")
        whole = ":no-members:" if module.name == "__init__.py" and _reexports(module) else ":members:"
        lines += [f"## {name}", "", "```{eval-rst}", f".. automodule:: {name}", f"   {whole}", "```", ""]
    return "\n".join(lines)


def _shown(module: Path) -> bool:
    """Whether a module is a part of the reference: settings and commands of other programs are none."""
    return _is_public(module) or module.name == "__init__.py"


def _is_public(module: Path) -> bool:
    return module.suffix == ".py" and not module.name.startswith("_") and module.name != "conf.py"


def _reexports(module: Path) -> bool:
    """Whether a package defines no function of its own. What it names is described where it is defined."""
    return not any(
        isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
        for node in ast.parse(module.read_text()).body
    )
