"""Every figure of the study can be printed: its width, its texts, its marks."""

from pathlib import Path

import geometry
import numpy as np
import pytest
from coupling import files
from coupling.analysis import tables
from coupling.report import figures, study
from coupling.report.figures import style
from coupling.sweep import CLAIMS
from matplotlib.container import ErrorbarContainer
from matplotlib.lines import Line2D

ROOT = Path(__file__).parents[2]
DATA = ROOT / "figures" / "data"
SWEEPS = sorted((path.parents[1].name, path.parent.name) for path in DATA.glob("*/*/keys.json"))
OF_SWEEPS = [(p, s, name) for p, s in SWEEPS for name in study.load(s).at(p).figures]
OF_STUDY = [("study", "", name) for name in (*figures.study_figures(), "schematic")]
OF_CLAIMS = [("claims", f"claim-{number}", "claims") for number in (*CLAIMS, "own-2")]
MOST_BYTES = 700_000


@pytest.fixture(autouse=True)
def committed():
    """The committed tables, where figures look for them."""
    files.figures_dir().mkdir()
    files.tables_dir().symlink_to(DATA)


@pytest.fixture(scope="module")
def drawn():
    """Figures that were drawn already, by their names."""
    return {}


@pytest.fixture
def figure(request, drawn):
    """A figure of the study, or nothing where its table or its claim has no number."""
    kind, sweep, name = request.param
    if request.param not in drawn:
        with style.styled():
            drawn[request.param] = _draw(kind, sweep, name)
    if drawn[request.param] is None:
        pytest.skip("nothing of this has been measured")
    return drawn[request.param]


def _draw(kind, sweep, name):
    if name == "schematic":
        return figures.schematic.draw()
    module = getattr(figures, name)
    if kind == "claims":
        return module.parts(figures.study_table("claims")).get(sweep)
    if kind == "study":
        return module.of_study(figures.study_table(module.TABLE)) if figures.has_table(name) else None
    return module.of_sweep(tables.read(kind, sweep), study.load(sweep).at(kind))


every = pytest.mark.parametrize(
    "figure",
    [*OF_SWEEPS, *OF_STUDY, *OF_CLAIMS],
    indirect=True,
    ids=lambda names: "-".join(filter(None, names)),
)


@every
def test_a_figure_fits_a_page_and_can_be_read(figure):
    """It is as wide as a column or a page, no text is small, overlaps another or leaves the figure."""
    width, height = figure.get_size_inches()
    assert width in (pytest.approx(style.COLUMN), pytest.approx(style.PAGE))
    assert height <= style.TALLEST
    found = geometry.boxes(figure)
    assert min(text.get_fontsize() for text, _ in found) >= style.SMALL
    assert geometry.overlapping(found) == []
    assert geometry.outside(figure, found) == []


@every
def test_every_name_in_the_key_has_a_mark_of_its_own(figure):
    looks = {}
    for axis in figure.axes:
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
            if looks.get(label) is None:
                looks[label] = _look(handle)
    named = [text.get_text() for legend in figure.legends for text in legend.get_texts()]
    for label in named:
        assert looks[label] is not None, f"{label} has no mark"
    forms = [looks[label] for label in named]
    assert len(set(forms)) == len(forms), "two names cannot be told apart in grey"


def _look(handle):
    """The form of a mark or line: what is left of it in a grey print. None where nothing is drawn."""
    line = handle.lines[0] if isinstance(handle, ErrorbarContainer) else handle
    if not isinstance(line, Line2D):  # points
        return (str(line.get_paths()[0].vertices.tolist()),) if len(line.get_offsets()) else None
    if not np.isfinite(np.asarray(line.get_ydata(), float)).any():
        return None
    return str(line.get_marker()), line.get_markerfacecolor() == "white", str(line.get_linestyle())


def test_a_figure_says_what_was_found_in_words_that_come_with_it(drawn):
    for names, figure in drawn.items():
        if figure is not None and names[2] != "schematic":
            assert figure.alt, names


def test_geometry_sees_texts_that_overlap_leave_the_figure_or_are_hidden():
    with style.styled():
        figure, axis = style.canvas(1, 1, (style.COLUMN, 2))
        style.finish(figure, "Title", "caption")
    axis.text(0.5, 0.5, "one")
    axis.text(0.51, 0.5, "two")
    figure.text(0.99, 0.5, "far too long")
    found = geometry.boxes(figure)
    assert geometry.overlapping(found) == [("one", "two")]
    assert geometry.outside(figure, found) == ["far too long"]
    axis.axis("off")
    assert "0.4" not in [text.get_text() for text, _ in geometry.boxes(figure)]


def test_committed_images_are_small():
    """The images in the repository, which a reader loads with its pages."""
    for path in (ROOT / "figures").rglob("*"):
        if path.suffix in (".png", ".pdf"):
            assert path.stat().st_size <= MOST_BYTES, path
