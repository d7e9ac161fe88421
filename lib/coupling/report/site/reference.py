"""The API reference: a page for each package of the library, read from its files without importing it.

Docstrings are plain text in the form of Google, with names in backticks. They are shown as Markdown.
"""

import ast
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

from coupling import files
from coupling.report.site.sources import Page, toctree

_SECTION = re.compile(r"^(Args|Returns|Yields|Raises|Attributes):\n", re.MULTILINE)
_ENTRY = re.compile(r"^(\\?\*{0,2}[\w\\]+): ", re.MULTILINE)  # the name of an argument after its escapes
_NOT_SHOWN = ("__main__.py", "conf.py")  # the command of a package, and the settings of another program
_WIDE = 88

Function = ast.FunctionDef | ast.AsyncFunctionDef


def pages() -> list[Page]:
    """Make a page for each package and each module at the top of the library, and a list of them."""
    top = files.root() / "lib" / "coupling"
    inside = (p for p in top.iterdir() if p.stem != "__init__")
    parts = sorted(p for p in inside if (p / "__init__.py").exists() or _shown(p))
    made = [Page(f"reference/{part.stem}.md", _page(part, top.parent)) for part in parts]
    text = "# Library\n\nThe public functions and classes of `coupling`, package by package.\n\n"
    return [
        *made,
        Page("reference/index.md", text + toctree([f"{p.stem}.md" for p in parts], ":maxdepth: 1")),
    ]


def _shown(path: Path) -> bool:
    return path.suffix == ".py" and path.name not in _NOT_SHOWN and not re.match(r"_(?!_init__)", path.name)


def _page(part: Path, top: Path) -> str:
    modules = [part] if part.is_file() else sorted(p for p in part.rglob("*.py") if _shown(p))
    lines = [f"# coupling.{part.stem}", ""]
    for module in sorted(modules, key=lambda path: _name(path, top)):
        tree, name = ast.parse(module.read_text()), _name(module, top)
        lines += [f"({name})=", f"## {name}", "", *_described(tree)]
        for member in _public(tree):
            lines += [f"### {member.name}", "", *_signature(member), *_described(member)]
            for method in _public(member) if isinstance(member, ast.ClassDef) else ():
                lines += [f"#### {member.name}.{method.name}", "", *_signature(method), *_described(method)]
    return "\n".join(lines) + "\n"


def _name(module: Path, top: Path) -> str:
    return ".".join(module.relative_to(top).with_suffix("").parts).removesuffix(".__init__")


def _public(owner: ast.Module | ast.ClassDef) -> Iterator[Function | ast.ClassDef]:
    """Yield the functions and classes of a module or class that have a docstring and no underscore."""
    for node in owner.body:
        defined = isinstance(node, Function | ast.ClassDef)
        if defined and not node.name.startswith("_") and ast.get_docstring(node):
            yield node


def _signature(node: Function | ast.ClassDef) -> list[str]:
    """Return the head of a function as code; nothing for a class, whose attributes say what it takes."""
    if isinstance(node, ast.ClassDef):
        return []
    parameters = re.sub(r"^(self|cls)(, |$)", "", ast.unparse(node.args))
    result = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    line = f"{node.name}({parameters}){result}"
    if len(line) > _WIDE:
        apart = "".join(f"    {one},\n" for one in _split(parameters))
        line = f"{node.name}(\n{apart}){result}"
    return ["```python", line, "```", ""]


def _split(parameters: str) -> list[str]:
    """Split parameters at the commas between them, and not at those within a type or a default."""
    found, depth = [""], 0
    for sign in parameters:
        depth += (sign in "([{") - (sign in ")]}")
        if sign == "," and not depth:
            found.append("")
        else:
            found[-1] += sign
    return [one.strip() for one in found]


def _described(node: ast.Module | Function | ast.ClassDef) -> list[str]:
    """Return a docstring as Markdown."""
    text, *sections = _SECTION.split(ast.get_docstring(node) or "")
    lines = [plain(text).strip(), ""]
    for title, body in zip(sections[::2], sections[1::2], strict=True):
        said = escaped(textwrap.dedent(body).strip())
        lines += [f"**{title}**", "", said if title in ("Returns", "Yields") else _entries(said), ""]
    return lines


def _entries(text: str) -> str:
    """Make a list of the entries of a section. Their names, which begin lines, become code."""
    return _ENTRY.sub(lambda match: "- `" + match[1].replace("\\", "") + "`: ", text)


def plain(text: str) -> str:
    """Write plain text as Markdown that reads the same. Indented blocks stay what they are, which is code."""
    return "\n".join(line if line.startswith("    ") else escaped(line) for line in text.splitlines())


def escaped(text: str) -> str:
    """Escape the signs that Markdown would take for marks, outside of backticks."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(p if p.startswith("`") else re.sub(r"[*_<\[{|]", r"\\\g<0>", p) for p in parts)
