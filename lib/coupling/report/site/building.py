"""From the sources to the site: what is written, in which order, and what a build must not leave."""

import shutil
import subprocess
import sys
from pathlib import Path

from coupling import files
from coupling.report import explorer
from coupling.report.site import checking, executed, reference, sources
from coupling.report.site.sources import Page

_HERE = Path(__file__).parent


def build() -> Path:
    """Build the site anew and return its first page.

    Nothing is trained, and no tracked file is changed. Notebooks that draw figures are executed where this
    has not been done since their tables or the library changed.

    Raises:
        StoreError: Where there is no study here, or where a page has a link that leads nowhere.
        NotebookError: Where a notebook fails.
        SiteError: Where Sphinx warns, or where a built page would load something from a network.
    """
    files.check_place("COUPLING_FIGURES", files.tables_dir())
    executed.execute_stale()
    work, site = files.results_dir() / "site", files.root() / "site"
    made, built = work / "sources", work / "built" / "html"
    for folder in (work, site):
        shutil.rmtree(folder, ignore_errors=True)
    pages = [*sources.study_pages(), *executed.pages(), *reference.pages(), explorer_page(made)]
    sources.write(pages, made)
    _run_sphinx(made, built, work / "cache")
    checking.check(built)
    shutil.move(built, site)
    return site / "index.html"


def explorer_page(made: Path) -> Page:
    """Make the page of the explorer, and write its data and its script where Sphinx finds them.

    Args:
        made: The folder of the sources.
    """
    static = made / "_static" / "explorer"
    static.mkdir(parents=True)
    entries, lines = [], []
    for profile, sweep in explorer.shown():
        for data in explorer.datasets(profile, sweep):
            file = f"{profile}-{sweep}-{files.short(data['task'])}.js"
            files.write_text(static / file, explorer.call("take", len(entries), data) + "\n")
            names = {name: data[name] for name in ("profile", "sweep", "task", "title")}
            entries.append(names | {"file": f"_static/explorer/{file}"})
            first = max(map(len, data["items"]))
            records = sum(run["record"] for run in data["runs"])
            lines.append(
                f"| {profile} | {sweep} | {data['task']} | {len(data['runs'])} | {records} | {first} |"
            )
    for source in (explorer.SCRIPT, explorer.STYLE):
        shutil.copy(source, static)
    text = (_HERE / "explorer.md").read_text()
    text = text.replace("TABLE", "\n".join(lines)).replace("ITEMS", str(explorer.ITEMS))
    text = text.replace("ELEMENT", explorer.ELEMENT)
    return Page("explorer.md", text.replace("START", explorer.call("start", explorer.ELEMENT, entries)))


def _run_sphinx(made: Path, built: Path, cache: Path) -> None:
    """Run Sphinx. Its warnings are errors, so that no page is published that lacks a part.

    MyST-NB leaves the images of notebooks in a folder beside the one that is built.

    Raises:
        SiteError: Where Sphinx fails or warns. The message has its last lines.
    """
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-j", "auto", "-b", "html"]
    done = subprocess.run(
        [*command, "-c", str(_HERE), "-d", str(cache), str(made), str(built)], capture_output=True, text=True
    )
    if done.returncode:
        said = "\n".join(done.stderr.splitlines()[-40:])
        raise checking.SiteError(f"Sphinx did not build the site:\n{said}")
