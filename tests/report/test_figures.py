"""Figures are found by their files, draw what their tables hold, and leave the notebook's settings alone."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from coupling import files
from coupling import sweep as sweeps
from coupling.analysis import divergent, tables
from coupling.report import figures, study
from coupling.report.figures import dumbbell, style
from coupling.report.figures.marks import LOOKS, MISSING
from coupling.spec import SpecError
from matplotlib.figure import Figure

ROOT = Path(__file__).parents[2]
SMALLEST = {  # of each figure of a sweep, a sweep whose tables are small
    "circuits": "circuits",
    "curve": "rank",
    "depth": "agreement",
    "directions": "shift",
    "dynamics": "confirm_dynamics",
    "headline": "content",
    "held_out": "held_out",
    "interventions": "circuits",
    "new_behaviour": "new_behaviour",
    "order": "shift",
    "regime": "regime",
    "reteaching": "shift",
    "sensor": "shift",
    "teacher_matrix": "teacher_matrix",
    "tracking": "shift",
}
# No tables are committed of these: other tests draw made-up ones.
NOT_RUN = ("following", "size")
TOY = """
from coupling.report.figures import style

WHAT = "How many test items there are"


def of_sweep(data, sweep):
    figure, axis = style.canvas(1, 1, (style.COLUMN, 2))
    axis.bar([0], [data.items["id"].nunique()])
    return style.finish(figure, sweep.title, "counted")
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
    parts = {path.stem for path in (files.figures_dir() / "claims").glob("*.png")}
    assert {"claim-1", "claim-2", "claim-own"} <= parts


def test_the_headline_draws_what_explanations_state_on_divergent_items(committed):
    data = tables.read("tiny", "content")
    drawn = figures.headline.draw(data.items, data.summary, "Labels by content")
    found = divergent.of_items(data.items)
    for measure in ("self", "target", "others"):
        at = {line.get_xdata()[0] for line in drawn.axes[0].lines if line.get_label() == LOOKS[measure].label}
        assert at == set(found[measure].dropna())
    texts = [text.get_text() for text in drawn.axes[1].texts]
    for _, row in data.summary.iterrows():
        assert style.signed(row["gap"]) in texts
        assert f"{row['divergent_share']:.3f}" in texts
    assert sum(text.startswith(f"{data.summary['preference'][0]:.3f} (") for text in texts) == 1
    assert texts.count(MISSING) == data.summary["preference"].isna().sum() == 1


def test_the_title_of_the_headline_counts_rows_whose_interval_lies_above_zero():
    rows = pd.DataFrame(
        {"beyond_target_low": [0.1, -0.1, 0.2], "beyond_others": [0.1, np.nan, 0.1]}
        | {"beyond_others_low": [-0.1, np.nan, 0.05]}
    )
    said = dumbbell.found(rows, "task")
    assert "explanations state the current model more often in 2 of 3 tasks; " in said
    assert said.endswith("than other explainers in 1 of 2 tasks")
    alone = rows.assign(beyond_others=np.nan)
    assert dumbbell.found(alone, "task").endswith("more often in 2 of 3 tasks")


def test_the_headline_of_the_study_has_tasks_above_controls_and_the_verdict_of_the_table(committed):
    frame, claims = _before_confirmation(), figures.study_table("claims")
    drawn = figures.divergent.draw(frame, claims)
    names = [label.get_text() for label in drawn.axes[0].get_yticklabels()]
    assert names[:4] == ["hint_qa", "aita", "refusal", "mmlu"]
    assert len(names) == len(frame)
    headings = [text.get_text() for text in drawn.axes[0].texts]
    assert [heading.split(":")[0] for heading in headings].index("control") == 2  # behind the two models
    mmlu = claims[(claims["text"].str.endswith("labels of M0, in preference")) & (claims["task"] == "mmlu")]
    said = "supported" if mmlu["supported"].iloc[0] else mmlu["verdict"].iloc[0]
    assert f"{said}\nflag not learnt" in [text.get_text() for text in drawn.axes[1].texts]
    assert "no claim" not in [text.get_text() for text in drawn.axes[1].texts]
    without = figures.divergent.draw(frame, None)
    assert [text.get_text() for text in without.axes[1].texts].count("no claim") == 3
    assert "no claim\nflag not learnt" in [
        text.get_text() for text in without.axes[1].texts
    ]  # the real model


def test_the_confirmation_takes_the_place_of_the_first_runs_of_its_profile(committed):
    before = _before_confirmation()
    first = before[(before["sweep"] == "headline") & (before["profile"] == "tiny")]
    drawn = figures.divergent.draw(pd.concat([before, first.assign(sweep="confirm")]), None)
    names = [label.get_text() for label in drawn.axes[0].get_yticklabels()]
    assert names[:4] == ["hint_qa", "aita", "refusal", "mmlu"]
    assert len(names) == len(before) + 3  # the first runs' control without the KL term is left out
    headings = [text.get_text() for text in drawn.axes[0].texts]
    assert headings[-1].startswith("exploration: the first runs")
    assert "in all 3 settings" in drawn.alt  # the real model has not learnt the flag, and decides nothing


def _before_confirmation():
    frame = tables.divergent(_all_tables(), figures.divergent.SHOWN)
    return frame[frame["sweep"] != "confirm"]


def _all_tables():
    wanted = {sweep for sweep, _ in figures.divergent.SHOWN}
    return [tables.read(*names) for names in tables.collected() if names[1] in wanted]


def test_the_figure_of_sizes_shows_one_condition_of_each_sweep_as_it_is_told(committed):
    frame = figures.study_table("scale")
    told = {"headline": sweeps.Scale(condition="KL off", called=", called so", open=True)}
    drawn = figures.scale.draw(frame, told)
    shown = frame[(frame["sweep"] == "headline") & (frame["condition"] == "KL off")]
    for place, measure in enumerate(("preference", "gap", "excess")):
        means = [float(c.lines[0].get_xdata()[0]) for axis in drawn.axes[place::3] for c in axis.containers]
        assert sorted(means) == pytest.approx(sorted(shown[measure]))
    names = {label.get_text() for axis in drawn.axes[::3] for label in axis.get_yticklabels()}
    unfit = {"refusal": " (collapsed)", "mmlu": " (flag not learnt)"}
    called = {f"{task}, called so{unfit.get(task, '')}" for task in shown["task"]}
    assert {name.replace("\n", " ") for name in names} == called
    assert {c.lines[0].get_markerfacecolor() for c in drawn.axes[0].containers} == {"white"}


def test_conditions_of_different_kinds_are_rows_and_a_grid_has_a_panel_for_each_kind(committed):
    """Lines join what differs in degree alone: how many points each line or mark of self has."""
    points = {}
    for sweep in ("sources", "label_noise", "tuning", "rank"):
        drawn = figures.curve.of_sweep(tables.read("tiny", sweep), sweeps.read_sweep(sweep).at("tiny"))
        handles = [
            handle
            for axis in drawn.axes
            for handle in (*axis.lines, *axis.containers)
            if handle.get_label() == LOOKS["self"].label
        ]
        points[sweep] = [len(getattr(handle, "lines", [handle])[0].get_xdata()) for handle in handles]
    assert points == {"sources": [1] * 9, "label_noise": [1] * 5, "tuning": [3] * 5, "rank": [3]}


def test_all_points_of_dynamics_are_over_the_same_items(committed):
    data = tables.read("tiny", "teacher_matrix")
    drawn = figures.dynamics.draw(data.dynamics, data.runs)
    line = next(line for line in drawn.axes[0].lines if line.get_label() == LOOKS["self"].label)
    assert line.get_ydata().tolist() == data.dynamics["self"].tolist()
    assert len([line for line in drawn.axes[0].lines if line.get_label() == LOOKS["self"].label]) == 1


def test_each_claim_with_an_effect_has_a_forest_plot_with_one_panel_a_measure(committed):
    claims = figures.study_table("claims")
    drawn = figures.claims.parts(claims)
    measured = claims[claims["effect"].notna()]
    parts = {name: f"claim-{name.split('-')[1]}" for name in drawn}
    assert set(parts.values()) == {f"claim-{number}" for number in measured["claim"]}
    for number, rows in measured.groupby("claim"):
        panels = [
            axis for name, of in parts.items() if of == f"claim-{number}" for axis in drawn[name].axes[::2]
        ]
        assert len(panels) == rows["measure"].nunique()
        shown = sorted(float(c.lines[0].get_xdata()[0]) for axis in panels for c in axis.containers)
        assert shown == pytest.approx(sorted(rows["effect"]))


def test_the_map_of_claims_has_a_mark_for_every_row(committed):
    claims = figures.study_table("claims")
    drawn = figures.claims.draw(claims)
    looks = {look.label for look in figures.claims.VERDICTS.values()}
    assert sum(line.get_label() in looks for line in drawn.axes[0].lines) == len(claims)


def test_a_figure_is_added_by_one_file(committed, tmp_path, monkeypatch):
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "toy.py").write_text(TOY)
    monkeypatch.setattr(figures, "__path__", [*figures.__path__, str(tmp_path / "more")])
    assert "toy" in figures.sweep_figures()
    drawn = figures.figure("toy", "tiny", "rank")
    assert drawn.alt == f"How many test items there are. {sweeps.read_sweep('rank').title}"
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
    width, height = figure.get_size_inches()
    assert about["image/png"].pop("alt").startswith("The method: fixed labels")
    assert about["image/png"] == {"width": round(120 * width), "height": round(120 * height)}
    figure.text(0.5, 0.5, "changed")
    assert figure._repr_mimebundle_()[0]["image/png"] != saved
