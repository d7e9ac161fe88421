"""What a built site must keep: links that lead somewhere, and nothing that is loaded from a network."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

from coupling.errors import StudyError

_LOADED = {"script": "src", "img": "src", "iframe": "src", "link": "href", "source": "src", "audio": "src"}
_STYLE = re.compile(r"url\(\s*['\"]?(https?:)?//|@import\s+['\"]?(https?:)?//")


class SiteError(StudyError, RuntimeError):
    """The site cannot be published as it was built. The message names the pages."""


class _Links(HTMLParser):
    """What a page names: anchors of its own, links, and what it loads."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.ids |= {values[name] for name in ("id", "name") if values.get(name)}
        if tag == "a" and values.get("href"):
            self.links.append(values["href"])
        of_page = tag != "link" or values.get("rel") not in ("canonical", "search", "next", "prev", "index")
        if (value := values.get(_LOADED.get(tag, ""))) and of_page:
            self.loaded.append(value)


def check(site: Path) -> None:
    """Check the pages of a site.

    Raises:
        SiteError: Where a page loads a script, style, font or image from a network, or where a link, an
            anchor or a file that it loads is not there.
    """
    if wrong := list(_wrong(site)):
        raise SiteError(f"{len(wrong)} faults in {site}:\n" + "\n".join(wrong[:40]))


def _wrong(site: Path) -> Iterator[str]:
    pages = {path: _read(path) for path in sorted(site.rglob("*.html"))}
    for path, page in pages.items():
        name = path.relative_to(site)
        for value in page.loaded:
            if re.match(r"(https?:)?//", value):
                yield f"{name} loads {value} from a network"
            elif not value.startswith("data:") and not _aim(path, value)[0].exists():
                yield f"{name} loads {value}, which is not there"
        for value in page.links:
            if re.match(r"[a-z]+:|//", value):
                continue
            aim, anchor = _aim(path, value)
            if not aim.exists():
                yield f"{name} links to {value}, which is not there"
            elif anchor and aim in pages and anchor not in pages[aim].ids:
                yield f"{name} links to {value}, and that page has no such place"
    for path in sorted(site.rglob("*.css")):
        if _STYLE.search(path.read_text(encoding="utf-8")):
            yield f"{path.relative_to(site)} loads something from a network"


def _read(path: Path) -> _Links:
    found = _Links()
    found.feed(path.read_text(encoding="utf-8"))
    return found


def _aim(page: Path, value: str) -> tuple[Path, str]:
    """Return the file that a link of a page leads to, and the place in it."""
    link, _, anchor = value.partition("#")
    target = (page.parent / unquote(link.partition("?")[0])).resolve() if link else page
    return (target / "index.html" if target.is_dir() else target), unquote(anchor)
