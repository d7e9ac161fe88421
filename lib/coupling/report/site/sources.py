"""The sources of the site: pages of the study as Sphinx reads them, with links that hold in the site.

The sources lie in the same folders as the files that they are made from, so that most relative links hold as
they are. Images and other files that a page links to are copied.
"""

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from coupling import files

FIRST = "index.md"  # what the README is called in the site
# The pages of the study in the order in which the site lists them, by heading. A page that is not there is
# left out.
LISTED = {
    "Results": ["docs/results.md", "docs/claims.md", "docs/paper.md", "figures/README.md", "explorer.md"],
    "Method": ["docs/method.md", "notebooks/PLAN.md", "notebooks/LOG.md", "docs/reanalysis.md"],
    "Use": ["docs/howto.md", "examples/README.md"],
    "Library": ["docs/architecture.md", "docs/faults.md", "reference/index.md", "CHANGELOG.md"],
}
_FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(!?\[(?:[^\[\]]|\[[^\]]*\])*\])\(([^)\s]+)\)")
_ELSEWHERE = re.compile(r"[a-z][a-z+.-]*:|#|//")  # another site, or a place on the same page
_MODULE = re.compile(r"lib/(coupling/.*)\.py")


@dataclass(frozen=True)
class Page:
    """A page of the site.

    Attributes:
        place: Its path among the sources.
        text: Markdown, or a notebook as JSON, with links that hold at `place`.
        needs: Files and folders of the study that it links to; each is copied to its own path.
    """

    place: str
    text: str
    needs: tuple[str, ...] = ()


def study_pages() -> list[Page]:
    """Return the README as the first page, and the pages of LISTED that are there."""
    names = ["README.md", *(name for group in LISTED.values() for name in group)]
    there = [name for name in names if (files.root() / name).exists()]
    pages = [page_of(name, (files.root() / name).read_text()) for name in there]
    first = pages[0]
    return [Page(FIRST, first.text + "\n" + _contents(), first.needs), *pages[1:]]


def _contents() -> str:
    """Return the lists of pages that stand beside every page."""
    lists = dict(LISTED)
    lists = {"Results": lists.pop("Results"), "Notebooks": ["notebooks/index.md"], **lists}
    made = {"explorer.md", "reference/index.md", "notebooks/index.md"}
    return "\n".join(
        toctree(
            [n for n in names if n in made or (files.root() / n).exists()], f":caption: {heading}", ":hidden:"
        )
        for heading, names in lists.items()
    )


def toctree(names: list[str], *options: str) -> str:
    """Return a list of pages as Sphinx reads it.

    Args:
        names: Paths of pages, from the page that holds the list.
        *options: Lines of options, for instance ":hidden:", which shows the list beside the page alone.
    """
    inside = [*options, "", *(str(PurePosixPath(name).with_suffix("")) for name in names)]
    return "\n".join(["```{toctree}", *inside, "```", ""])


def page_of(source: str, text: str, place: str = "") -> Page:
    """Make a page of the site from a page of the study.

    Args:
        source: Path of the page in the repository. Its links are meant from there.
        text: Markdown.
        place: Path in the site; where it is not given, the path in the repository.
    """
    place = place or (FIRST if source == "README.md" else source)
    written, needs = linked(_one_title(text), source, place)
    return Page(place, written, tuple(needs))


def _one_title(text: str) -> str:
    """Lower the headings after the first title where there are more titles: a page is listed once."""
    lines, inside, headings = text.splitlines(keepends=True), False, []
    for k, line in enumerate(lines):
        inside ^= line.startswith(("```", "~~~"))  # code has lines that begin alike
        if re.match(r"#+ ", line) and not inside:
            headings.append(k)
    titles = [k for k in headings if lines[k].startswith("# ")]
    if len(titles) > 1:
        lines = ["#" + line if k in headings and k > titles[0] else line for k, line in enumerate(lines)]
    return "".join(lines)


def linked(text: str, source: str, place: str) -> tuple[str, list[str]]:
    """Point the links of a page to pages of the site. See `page_of` for the arguments.

    Returns:
        The text, and the files and folders of the repository that it links to and that are no pages.

    Raises:
        StoreError: Where a link leads to nothing. The message names page and link.
    """
    needs: list[str] = []

    def link(match: re.Match) -> str:
        label, target = match.groups()
        if _ELSEWHERE.match(target):
            return match[0]
        path, hash, anchor = target.partition("#")
        named = os.path.normpath(PurePosixPath(source).parent / path)
        if module := _MODULE.fullmatch(named):
            return f"{label}(#{module[1].replace('/', '.')})"
        aim = _page_at(named)
        if aim is None:
            there = files.root() / named
            if not there.exists():
                raise files.StoreError(f"{source}: the link {target!r} leads nowhere; mend it")
            needs.append(named)
            aim = f"{named}/index.md" if there.is_dir() else named
        return f"{label}({_from(place, aim)}{hash}{anchor})"

    # Code keeps its brackets.
    parts, at = [], 0
    for fence in _FENCE.finditer(text):
        parts += [_LINK.sub(link, text[at : fence.start()]), fence[0]]
        at = fence.end()
    return "".join([*parts, _LINK.sub(link, text[at:])]), needs


def _page_at(named: str) -> str | None:
    """Return the page of the site for a path of the repository; None where it is no page."""
    listed = {"README.md": FIRST} | {name: name for group in LISTED.values() for name in group}
    if named in listed:
        return listed[named]
    if re.fullmatch(r"notebooks/[^/]+\.ipynb", named) and (files.root() / named).is_file():
        return named
    folders = {"notebooks": "notebooks/index.md", "examples": "examples/README.md"}
    folders |= {"figures": "figures/README.md", "docs": FIRST, ".": FIRST}
    return folders.get(named)


def _from(place: str, aim: str) -> str:
    return os.path.relpath(aim, PurePosixPath(place).parent)


def write(pages: list[Page], made: Path) -> None:
    """Write pages, and copy the files that they link to."""
    for page in pages:
        path = made / page.place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page.text, encoding="utf-8")
        for name in page.needs:
            _copy(name, made)


def _copy(name: str, made: Path) -> None:
    """Copy a file of the study, or all files of a folder with a page that lists them."""
    source, copy = files.root() / name, made / name
    if source.is_dir():
        inside = sorted(path.name for path in source.iterdir() if path.is_file())
        copy.mkdir(parents=True, exist_ok=True)
        listed = "\n".join(f"- [{one}]({one})" for one in inside)
        (copy / "index.md").write_text(f"---\norphan: true\n---\n\n# {name}\n\n{listed}\n")
        for one in inside:
            shutil.copy(source / one, copy)
        return
    copy.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, copy)
