"""`prospect evaluate`, on few visitors."""

import json

import pytest
from click.testing import CliRunner, Result

from prospect_pipeline.cli import cli


@pytest.fixture(scope="module")
def evaluated() -> Result:
    """Judged where settings are such that no pipeline could train with them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PROSPECT_AS_OF", "2020-01-01")
        patch.setenv("PROSPECT_ANCHORS", "missing.parquet")
        patch.setenv("PROSPECT_NEGATIVE_RATE", "0.1")
        patch.setenv("SIGNALS_GROUP_VERSION", "nonsense")
        return CliRunner().invoke(cli, ["evaluate", "--seeds", "2", "--users", "4000", "--json"])


def test_every_scorer_lies_between_the_base_rate_and_the_truth(evaluated: Result) -> None:
    assert evaluated.exit_code == 0, evaluated.output
    found = json.loads(evaluated.stdout.splitlines()[-1])

    losses = {name: numbers["log_loss"] for name, numbers in found["scorers"].items()}
    assert losses["truth"] < losses["best possible"] < losses["model"] < losses["base rate"]
    assert found["scorers"]["best possible"]["share"] == pytest.approx(1)
    assert found["scorers"]["base rate"]["share"] == pytest.approx(0)
    assert 0.3 < found["share_of_best_possible_gain"] < 1
    assert found["share_of_the_truths_gain"] < found["share_of_best_possible_gain"]


def test_the_model_is_set_against_the_tutorials_pipeline(evaluated: Result) -> None:
    found = json.loads(evaluated.stdout.splitlines()[-1])["pr_auc_over_tutorial"]

    low, high = found["interval"]
    assert low < found["mean"] < high
    assert found["mean"] > 0


def test_a_person_reads_a_table(evaluated: Result) -> None:
    lines = evaluated.stdout.splitlines()

    assert [line.split("  ")[0] for line in lines[1:8]] == [
        "model", "tutorial pipeline", "logistic regression", "viewed pricing", "base rate",
        "best possible", "truth",
    ]  # fmt: skip
    assert lines[8].startswith("The model reaches ")
