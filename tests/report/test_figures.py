"""Figures are found by their files, draw what their tables hold, and leave the notebook's settings alone."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from coupling import files
from coupling import sweep as sweeps
from coupling.analysis import tables
from coupling.report import figures, study
from coupling.report.figures import style
from coupling.spec import SpecError
from matplotlib.figure import Figure

ROOT = Path(__file__).parents[2]
SMALLEST = {  # of each figure of a sweep, a sweep whose tables are small
    "curve": "rank",
    "depth": "agreement",
    "directions": "shift",
    "dynamics": "teacher_matrix",
    "headline": "content",
    "held_out": "held_out",
    "new_behaviour": "new_behaviour",
    "order": "shift",
    "reteaching": "shift",
    "sensor": "shift",
    "teacher_matrix": "teacher_matrix",
    "tracking": "shift",
}
NOT_RUN = ("regime",)  # has no committed tables yet; tests/analysis/test_regime.py draws it from made-up ones
TOY = """
from coupling.report.figures import style

WHAT = "How many test items there are"


def of_sweep(data, sweep):
    figure, axis = style.canvas(1, 1, (2, 2))
    axis.bar([0], [data.items["id"].nunique()])
    axis.set_title(sweep.title)
    return figure
"""


@pytest.fixture
def committed():
    """The committed tables, beside a folder of figures that may be written."""
    files.figures_dir().mkdir()
    files.tables_dir().symlink_to(ROOT / "figures" / "data")


def test_every_file_that_says_what_it_shows_is_a_figure():
    found = {
        path.stem
        for path in (ROOT / "lib/coupling/report/figures").glob("*.py")
        if "\nWHAT = " in path.read_text()
    }
    assert {"schematic", *figures.sweep_figures(), *figures.study_figures()} == found
    assert not set(figures.sweep_figures()) & set(figures.study_figures())
    assert {*SMALLEST, *NOT_RUN} == set(figures.sweep_figures()) == set(study.figure_names())
    for name in found:
        assert figures.what(name)[0].isupper()
        assert not figures.what(name).endswith(".")


@pytest.mark.parametrize("name", SMALLEST)
def test_every_figure_of_a_sweep_is_drawn_and_saved_with_its_runs(name, committed):
    sweep = SMALLEST[name]
    assert figures.figure(name, "tiny", sweep).axes
    for ending in ("png", "pdf"):
        assert (files.figures_dir() / "tiny" / f"{sweep}-{name}.{ending}").stat().st_size > 1000
    saved = files.read_json(files.figures_dir() / "tiny" / f"{sweep}-{name}.json")
    assert (saved["figure"], saved["shows"]) == (name, figures.what(name))
    assert saved["runs"] == [run["key"] for run in tables.read_keys("tiny", sweep)["runs"]]


def test_the_figure_of_own_runs_is_kept_among_the_results(committed):
    where = tables.folder("tiny", "rank", own=True)
    where.parent.mkdir(parents=True)
    where.symlink_to(ROOT / "figures/data/tiny/rank")
    figures.figure("curve", "tiny", "rank", own=True)
    found = {p.name for p in (files.results_dir() / "figures" / "tiny").iterdir()}
    assert found == {f"rank-curve.{ending}" for ending in ("png", "pdf", "json")}
    assert {p.name for p in files.figures_dir().iterdir()} == {"data"}


def test_figures_of_the_whole_study_name_the_runs_that_they_rest_on(committed):
    for name in figures.study_figures():
        assert figures.has_table(name)
        assert figures.study_figure(name).axes
    assert not (files.figures_dir() / "speed.json").exists()
    behind = files.read_json(files.figures_dir() / "scale.json")["runs"]
    assert set(behind) == {f"{p}/{s}" for p, s in tables.collected() if sweeps.read_sweep(s).scale}
    behind = files.read_json(files.figures_dir() / "claims.json")["runs"]
    assert set(behind) == {f"{p}/{s}" for p, s in tables.collected()}


def test_the_headline_draws_the_means_of_its_table(committed):
    data = tables.read("tiny", "headline")
    drawn = figures.headline.draw(data.summary, data.runs, "KL on and off")
    shown = (("self", "target"), ("gap", "excess"), ("preference",))
    for place, measures in enumerate(shown):
        means = [mean for measure in measures for mean in data.summary[measure]]
        assert _heights(drawn.axes[place::3]) == pytest.approx(sorted(means))


def test_the_figure_of_sizes_shows_one_condition_of_each_sweep_as_it_is_told(committed):
    frame = figures.study_table("scale")
    told = {"headline": sweeps.Scale(condition="KL off", called=", called so", open=True)}
    drawn = figures.scale.draw(frame, told)
    shown = frame[(frame["sweep"] == "headline") & (frame["condition"] == "KL off")]
    for axis, measure in zip(drawn.axes, ("preference", "gap", "excess"), strict=True):
        assert _heights([axis]) == pytest.approx(sorted(shown[measure]))
    names = {text.get_text() for text in drawn.axes[1].get_legend().get_texts()}
    assert names == {f"{task}, called so" for task in shown["task"]}
    assert {c.lines[0].get_markerfacecolor() for c in drawn.axes[0].containers} == {"white"}


def _heights(axes):
    marks = [c.lines[0] for axis in axes for c in axis.containers]
    return sorted(float(y) for mark in marks for y in np.atleast_1d(mark.get_ydata()))


def test_a_figure_is_added_by_one_file(committed, tmp_path, monkeypatch):
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "toy.py").write_text(TOY)
    monkeypatch.setattr(figures, "__path__", [*figures.__path__, str(tmp_path / "more")])
    assert "toy" in figures.sweep_figures()
    drawn = figures.figure("toy", "tiny", "rank")
    assert drawn.axes[0].get_title() == sweeps.read_sweep("rank").title
    assert (files.figures_dir() / "tiny" / "rank-toy.png").exists()


def test_figures_of_a_users_own_sweep_are_kept_among_the_results(committed, tmp_path):
    fields = yaml.safe_load((ROOT / "lib/coupling/sweeps/rank.yaml").read_text()) | {"claims": []}
    path = tmp_path / "my.own.yaml"
    path.write_text(yaml.safe_dump(fields, sort_keys=False))
    where = tables.folder("tiny", str(path))
    where.parent.mkdir(parents=True)
    where.symlink_to(ROOT / "figures/data/tiny/rank")
    figures.figure("curve", "tiny", str(path))
    found = {p.name for p in (files.results_dir() / "figures" / "tiny").iterdir()}
    assert found == {f"my.own-curve.{ending}" for ending in ("png", "pdf", "json")}
    assert {p.name for p in files.figures_dir().iterdir()} == {"data"}


@pytest.mark.parametrize(
    ("name", "draw"), [("headlin", "figure"), ("scale", "figure"), ("curve", "study_figure")]
)
def test_a_name_that_is_no_such_figure_is_an_error(name, draw):
    with pytest.raises(SpecError, match=f"unknown figure '{name}': did you mean|unknown figure '{name}'"):
        getattr(figures, draw)(name, *(["tiny", "headline"] if draw == "figure" else []))


def test_nothing_to_draw_names_the_command_that_makes_it():
    with pytest.raises(files.StoreError, match="make study PROFILE=tiny SWEEP=headline"):
        figures.figure("headline", "tiny", "headline")


def test_drawing_needs_no_display_and_changes_no_setting_of_matplotlib(tmp_path):
    code = (
        "import matplotlib as mpl; before = dict(mpl.rcParams.copy())\n"
        "from coupling.report import figures\n"
        "assert figures.schematic_figure().axes\n"
        "figures.save_schematic()\n"
        "assert mpl.get_backend(auto_select=False) is None, 'a backend was chosen'\n"
        "assert dict(mpl.rcParams.copy()) == before, 'settings were changed'\n"
    )
    environment = {
        n: v for n, v in os.environ.items() if n not in ("DISPLAY", "WAYLAND_DISPLAY", "MPLBACKEND")
    }
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert (files.figures_dir() / "schematic.png").exists()


def test_a_figure_is_saved_in_the_same_bytes_again(tmp_path):
    figure = figures.schematic_figure()
    with style.styled():
        first = [path.read_bytes() for path in style.save(figure, tmp_path / "a.b")]
        again = [path.read_bytes() for path in style.save(figures.schematic.draw(), tmp_path / "c")]
    assert first == again
    assert isinstance(figure, Figure)
    assert (tmp_path / "a.b.png").exists()


def test_a_notebook_shows_a_figure_as_it_was_saved_until_it_changes(tmp_path):
    figure = figures.schematic_figure()
    assert not files.figures_dir().exists()  # it is shown in notebooks that change no committed file
    with style.styled():
        saved = style.save(figure, tmp_path / "schematic")[0].read_bytes()
    shown, about = figure._repr_mimebundle_()
    assert shown["image/png"] == saved
    assert about["image/png"] == {"width": 912, "height": 372}  # 7.6 by 3.1 inches, 120 dots an inch
    figure.text(0.5, 0.5, "changed")
    assert figure._repr_mimebundle_()[0]["image/png"] != saved
