"""Generate the tree of files for `docs/architecture.md`, with one line on each file."""

import ast
import json
from itertools import takewhile
from pathlib import Path

import yaml

from coupling import files

_FOLDERS = ("docs", "lib/coupling", "notebooks")
_SHOWN = {".py", ".yaml", ".ipynb", ".md", ""}  # the Snakefile has no suffix


def tree() -> str:
    """Return the tree of files as a block of text: docs, library and notebooks, one line a file.

    A line says what the file says of itself: the first line of a module's docstring, the title of a notebook,
    page or sweep, or the first comment.
    """
    lines = [line for name in _FOLDERS for line in _lines(files.root() / name, name, 0)]
    return "\n".join(["```text", *lines, "```"])


def _lines(folder: Path, name: str, depth: int) -> list[str]:
    """Return the lines of a folder, files before folders; nothing where it holds no file that is shown."""
    inside = sorted(p for p in folder.glob("*") if not p.name.startswith((".", "__")))
    shown = [p for p in inside if p.is_file() and p.suffix in _SHOWN]
    lines = [_line(path.name, depth + 1, about(path)) for path in shown]
    for path in inside:
        if path.is_dir():
            lines += _lines(path, path.name, depth + 1)
    package = folder / "__init__.py"
    return [_line(f"{name}/", depth, about(package) if package.exists() else ""), *lines] if lines else []


def _line(name: str, depth: int, what: str) -> str:
    return f"{'  ' * depth + name:<28}  {what}".rstrip()


def about(path: Path) -> str:
    """Return the line by which a file says what it is; empty where it says nothing.

    Args:
        path: A Python module, a notebook, a Markdown page, a YAML file or the Snakefile.
    """
    text = path.read_text()
    if path.suffix == ".py":
        return (ast.get_docstring(ast.parse(text)) or "").partition("\n")[0]
    if path.suffix == ".ipynb":
        text = "".join(line for cell in json.loads(text)["cells"][:1] for line in cell["source"])
    if path.suffix == ".yaml" and (title := yaml.safe_load(text).get("title")):
        return title
    if path.suffix == ".yaml":  # the first sentence of its first comment
        lines = list(takewhile(lambda line: line.startswith("# "), text.splitlines()))
        return " ".join(line.removeprefix("# ") for line in lines).partition(". ")[0].rstrip(".")
    return next((line.lstrip("# ") for line in text.splitlines() if line.startswith("# ")), "")
