"""The API reference: a page for each package of the library, read from its docstrings without importing it.

Docstrings are plain text in the form of Google, with names in backticks. They are shown as Markdown.
"""

import logging
import re
import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING

from coupling import files
from coupling.report.site.sources import Page, toctree

if TYPE_CHECKING:  # installed by `make site` alone
    import griffe

_SECTIONS = {
    "parameters": "Args",
    "returns": "Returns",
    "yields": "Yields",
    "raises": "Raises",
    "attributes": "Attributes",
}
_NOT_SHOWN = ("__main__", "conf")  # the command of a package, and the settings of another program


def pages() -> list[Page]:
    """Make a page for each package and each module at the top of the library, and a list of them."""
    import griffe

    logging.getLogger("griffe").setLevel(logging.ERROR)  # types that a docstring leaves to the signature
    whole = griffe.load(
        "coupling",
        search_paths=[files.root() / "lib"],
        docstring_parser="google",
        docstring_options={"returns_multiple_items": False, "returns_named_value": False},
        allow_inspection=False,
    )
    parts = [whole.modules[name] for name in sorted(whole.modules)]
    made = [Page(f"reference/{part.name}.md", _page(part)) for part in parts]
    text = "# Library\n\nThe public functions and classes of `coupling`, package by package.\n\n"
    return [
        *made,
        Page("reference/index.md", text + toctree([f"{p.name}.md" for p in parts], ":maxdepth: 1")),
    ]


def _page(part: "griffe.Module") -> str:
    lines = [f"# coupling.{part.name}", ""]
    for module in _modules(part):
        lines += [f"({module.path})=", f"## {module.path}", "", *_described(module)]
        for member in _public(module):
            lines += [f"### {member.name}", "", *_signature(member), *_described(member)]
            for method in _public(member) if member.is_class else ():
                lines += [f"#### {member.name}.{method.name}", "", *_signature(method), *_described(method)]
    return "\n".join(lines) + "\n"


def _modules(part: "griffe.Module") -> Iterator["griffe.Module"]:
    """Yield a module and all modules below it, each package before what it holds."""
    if part.name not in _NOT_SHOWN:
        yield part
        for name in sorted(part.modules):
            yield from _modules(part.modules[name])


def _public(owner: "griffe.Object") -> list["griffe.Object"]:
    """Return the functions and classes that are defined here, have a docstring and no underscore."""
    members = (m for m in owner.members.values() if not m.is_alias and (m.is_function or m.is_class))
    return [m for m in members if not m.name.startswith("_") and m.docstring]


def _signature(member: "griffe.Object") -> list[str]:
    """Return the head of a function as code; nothing for a class, whose attributes say what it takes."""
    if not member.is_function:
        return []
    parameters, starred = [], False
    for one in member.parameters:
        kind = one.kind.value if one.kind else ""
        if kind == "keyword-only" and not starred:
            parameters.append("*")
        starred = starred or kind in ("keyword-only", "variadic positional")
        star = {"variadic positional": "*", "variadic keyword": "**"}.get(kind, "")
        typed = f": {one.annotation}" if one.annotation else ""
        default = f" = {one.default}" if one.default and not star else ""
        parameters.append(f"{star}{one.name}{typed}{default}")
    result = f" -> {member.returns}" if member.returns else ""
    line = f"{member.name}({', '.join(parameters)}){result}"
    if len(line) > 88:
        line = f"{member.name}(\n" + "".join(f"    {one},\n" for one in parameters) + f"){result}"
    return ["```python", line, "```", ""]


def _described(owner: "griffe.Object") -> list[str]:
    """Return a docstring as Markdown."""
    if not owner.docstring:
        return []
    lines: list[str] = []
    for section in owner.docstring.parsed:
        kind = section.kind.value
        if kind == "text":
            lines += [plain(section.value), ""]
        elif kind in _SECTIONS:
            lines += [f"**{_SECTIONS[kind]}**", "", *(_entry(kind, one) for one in section.value), ""]
        else:
            lines += [plain(str(section.value)), ""]
    return lines


def _entry(kind: str, one: "griffe.DocstringElement") -> str:
    name = str(one.annotation) if kind == "raises" else getattr(one, "name", "")
    said = plain(textwrap.dedent(one.description))
    if not name:
        return said
    return f"- `{name}`: " + textwrap.indent(said, "  ").lstrip()


def plain(text: str) -> str:
    """Write plain text as Markdown that reads the same. Names in backticks and indented blocks stay."""
    lines = []
    for line in text.splitlines():
        if line.startswith("    "):
            lines.append(line)
            continue
        parts = re.split(r"(`[^`]*`)", line)
        lines.append("".join(p if p.startswith("`") else re.sub(r"[*_<\[{|]", r"\\\g<0>", p) for p in parts))
    return "\n".join(lines)
