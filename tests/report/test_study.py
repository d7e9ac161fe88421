"""A sweep is checked whole when it is loaded, and one YAML file is all that a new sweep needs."""

import pandas as pd
import pytest
import yaml
from conftest import SMALL
from coupling import files, runs
from coupling import sweep as sweeps
from coupling.analysis import claims, tables
from coupling.report import figures, study
from coupling.spec import SpecError
from own_sweeps import own_sweep

TOY = {
    "title": "Toy",
    "question": "Does a higher rank widen the gap of a toy?",
    "m0_seeds": 1,
    "seeds": 1,
    "values": SMALL | {"learning_rate": 0.02},
    "conditions": {"low": {"rank": 2}, "high": {"rank": 8}},
    "figures": ["headline"],
    "claims": [
        {
            "number": "own",
            "text": "a higher rank widens the gap of a toy",
            "tasks": ["hint_qa"],
            "rule": "wider",
            "arguments": {"low": "low", "high": "high"},
            "exploration": True,
        }
    ],
    "profiles": {"tiny": None},
}


@pytest.fixture
def toy(tmp_path):
    """A function that writes the toy sweep, with some fields replaced and some fields of its claim."""

    def write(claim=None, **replaced):
        values = TOY | replaced
        values["claims"] = [TOY["claims"][0] | (claim or {})]
        path = tmp_path / "toy.yaml"
        path.write_text(yaml.safe_dump(values, sort_keys=False))
        return str(path)

    return write


def test_every_sweep_of_the_study_is_whole():
    found = study.load_all()
    assert [sweep.name for sweep in found] == sweeps.sweep_names()
    assert {claim.number for sweep in found for claim in sweep.claims} == set(sweeps.CLAIMS)
    assert all(claim.exploration for sweep in found for claim in sweep.claims if not claim.part)
    used = {claim.rule for sweep in found for claim in sweep.claims if claim.rule}
    assert used == set(claims.RULES)  # no rule is left behind
    for figure in {name for sweep in found for p in sweep.profiles for name in sweep.at(p).figures}:
        assert study.notebook_of(figure).endswith(f"_{figure}")


def test_one_file_makes_a_sweep_with_runs_tables_a_figure_and_a_claim(toy):
    path = toy()
    sweep, plan = study.load(path), sweeps.plan("tiny", path)
    for _, spec in plan:
        runs.explain(spec)
    tables.write(tables.collect(path, plan), tables.folder("tiny", path))
    row = claims.table([sweep]).iloc[0]
    assert (row["text"], row["profile"], row["task"]) == (
        "a higher rank widens the gap of a toy",
        "tiny",
        "hint_qa",
    )
    assert (row["measure"], row["verdict"], row["exploration"]) == (
        "gap at high − at low",
        "inconclusive",
        True,
    )
    assert row["low"] <= row["effect"] <= row["high"]
    assert len(row["controls"]) == 2
    assert figures.figure(sweep.figures[0], "tiny", path).axes


@pytest.mark.parametrize(
    ("claim", "message"),
    [
        ({"rule": "widr"}, "claims[0].rule: unknown rule 'widr': did you mean 'wider'"),
        ({"arguments": {"low": "low"}}, "claims[0].arguments.high: rule 'wider' needs this argument"),
        (
            {"arguments": {"lw": "low"}},
            "claims[0].arguments.lw: unknown argument of rule 'wider': did you mean 'low'",
        ),
        ({"arguments": {"low": "lo", "high": "high"}}, "claims[0].arguments.low: unknown condition 'lo'"),
        (
            {"arguments": {"low": 4, "high": "high"}},
            "claims[0].arguments.low: 4: expected the name of a condition",
        ),
        (
            {"arguments": {"low": "rnk/4", "high": "high"}},
            "unknown sweep 'rnk' in 'rnk/4': did you mean 'rank'",
        ),
        ({"arguments": {"low": "rank/5", "high": "high"}}, "sweep 'rank' has no condition '5'"),
        (
            {"rule": "onset", "arguments": {"sweep": "rank"}},
            "arguments.sweep: unknown argument of rule 'onset'",
        ),
        (
            {"rule": "senses", "arguments": {"strength": "1"}},
            "arguments.strength: '1': expected a value of type float",
        ),
        (
            {"rule": "needs_kl", "arguments": {"with_kl": "high", "without_kl": "low", "measure": "exces"}},
            "arguments.measure: 'exces': expected preference or gap or gap_content or excess",
        ),
    ],
)
def test_a_mistake_in_a_claim_is_named_with_its_file_and_key(toy, claim, message):
    with pytest.raises(SpecError) as error:
        study.load(toy(claim))
    assert "toy.yaml, claims[0]" in str(error.value)
    assert message in str(error.value)


def test_an_argument_may_name_a_condition_of_another_sweep_at_any_profile(toy):
    sweep = study.load(toy({"arguments": {"low": "rank/8", "high": "high"}}))  # rank has 8 at medium alone
    bound = claims.bind(sweep, 0)
    assert bound.keywords == {"low": claims.Ref("rank", "8"), "high": claims.Ref(sweep.name, "high")}


def test_an_unknown_figure_is_named_with_its_file_and_key(toy):
    with pytest.raises(
        SpecError, match=r"toy\.yaml, figures: unknown figure 'headlin': did you mean 'headline'"
    ):
        study.load(toy(figures=["headlin"]))
    with pytest.raises(SpecError, match=r"toy\.yaml, profiles\.tiny\.figures: unknown figure 'style'"):
        study.load(toy(profiles={"tiny": {"figures": ["style"]}}))


def test_a_figures_notebook_is_found_by_its_name():
    assert study.notebook_of("sensor") == "22_sensor"  # and not 03_sensor, which is a walk-through
    with pytest.raises(files.StoreError, match=r"NN_nothing\.ipynb"):
        study.notebook_of("nothing")


def test_a_claim_whose_tables_have_gone_is_an_error_and_not_untested():
    (claim, *_) = study.load("headline").claims
    about = {"claim": claim.number, "text": claim.text, "profile": "tiny", "task": claim.tasks[0]}
    path = files.tables_dir() / "claims.parquet"
    path.parent.mkdir(parents=True)
    files.write_table(path, pd.DataFrame([about | {"verdict": "not tested"}]))
    assert set(study.decided_claims()["verdict"]) == {"not tested"}
    files.write_table(path, pd.DataFrame([about | {"verdict": "inconclusive"}]))
    with pytest.raises(files.StoreError, match=r"1 rows were decided .* tables are missing in .*/tiny; take"):
        study.decided_claims()


def test_figures_of_own_runs_are_kept_among_the_results_and_those_of_a_sweep_given_by_path_always():
    own = files.results_dir() / "figures" / "tiny"
    assert study.figure_place("curve", "tiny", "rank") == files.figures_dir() / "tiny" / "rank-curve"
    assert study.figure_place("curve", "tiny", "rank", own=True) == own / "rank-curve"
    assert study.figure_place("curve", "tiny", "there/mine.yaml") == own / "mine-curve"


PART = {"part_of": "rank", "values": {}, "conditions": {"32": {"rank": 32}}}


def test_a_part_of_a_sweep_has_runs_of_that_sweep_alone(tmp_path):
    assert study.load(str(own_sweep(tmp_path, **PART))).part_of == "rank"
    with pytest.raises(SpecError, match=r"mine.yaml, part_of: unknown sweep 'rnk': did you mean 'rank'"):
        study.load(str(own_sweep(tmp_path, **PART | {"part_of": "rnk"})))
    more = ({"seeds": 9}, {"values": {"steps": 7}}, {"conditions": {"33": {"rank": 32}}}, {"tasks": ["aita"]})
    for other in more:
        with pytest.raises(SpecError, match=r"mine.yaml, part_of: rank does not run .* at tiny: make values"):
            study.load(str(own_sweep(tmp_path, **PART | other)))
