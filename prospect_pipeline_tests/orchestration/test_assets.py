"""The assets, materialized for real: DuckDB, a local Signals over HTTP, MLflow on SQLite."""

import html
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from prospect_pipeline.attributes import prospect
from prospect_pipeline.attributes.version import GroupVersion
from prospect_pipeline.definitions import build_defs
from prospect_pipeline.features import COLUMNS
from prospect_pipeline.registry.store import ModelVersion, Registry
from prospect_pipeline.sandbox.generator import generate
from prospect_pipeline.sandbox.store import EventStore
from prospect_pipeline.settings import DataSettings, DefinitionSettings, RegistrySettings
from prospect_pipeline.training.model import DEFAULTS
from prospect_pipeline_tests.orchestration.retraining import without_pictures
from prospect_pipeline_tests.registry.models import with_tables
from prospect_pipeline_tests.sandbox.conftest import TOKEN, signals_over

END = datetime(2026, 5, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pytest.MonkeyPatch]:
    root = with_tables(tmp_path_factory.mktemp("data"))
    data = DataSettings.load(data_dir=root)
    generate(2500, 5, END, root / "generated.parquet")
    EventStore(data).load(root / "generated.parquet")
    with pytest.MonkeyPatch.context() as patch, signals_over(data, END.isoformat()) as signals:
        patch.setenv("PROSPECT_DATA_DIR", str(root))
        patch.setenv("SP_SANDBOX_URL", signals.api_client.api_url)
        patch.setenv("SP_SANDBOX_TOKEN", TOKEN)
        patch.setenv("PROSPECT_AS_OF", END.isoformat())
        patch.setenv("PROSPECT_CLOCK", "last-event")
        patch.setenv("MIN_CONVERTERS", "20")
        yield patch


def materialize(job: str, **kwargs: Any) -> dg.ExecuteInProcessResult:
    with dg.DagsterInstance.ephemeral() as instance:
        resolved = build_defs().resolve_job_def(job)
        return resolved.execute_in_process(instance=instance, **kwargs)


@pytest.fixture(scope="module")
def everything(environment: pytest.MonkeyPatch) -> dg.ExecuteInProcessResult:
    made = materialize("everything")
    without_pictures(environment)  # those of the retrainings that follow are not looked at
    return made


def metadata(result: dg.ExecuteInProcessResult, asset: str) -> dict[str, Any]:
    [found] = result.asset_materializations_for_node(asset)
    return {name: entry.value for name, entry in found.metadata.items()}


def test_everything_materializes_and_passes_its_checks(
    everything: dg.ExecuteInProcessResult,
) -> None:
    checks = everything.get_asset_check_evaluations()

    assert everything.success
    assert {check.check_name for check in checks if check.passed} >= {
        "has_both_classes",
        "has_enough_converters",
        "anchors_are_unique",
        "no_nulls",
        "labels_are_binary",
        "label_rate",
        "no_leakage",
        "events_are_fresh",
        "counts_like_last_run",
        "labels_follow",
        "events_arrive",
        "served_equals_trained",
    }


def test_the_configuration_shows_a_preview_of_values(
    everything: dg.ExecuteInProcessResult,
) -> None:
    shown = metadata(everything, "signals_configuration")

    assert "| domain_userid |" in shown["preview"]
    assert "| attribute group prospect_scoring_tutorial | create |" in shown["changes"]
    assert "SIGNALS_BACKFILL_SINCE is not set" in shown["warnings"]


def test_publishing_again_changes_nothing(everything: dg.ExecuteInProcessResult) -> None:
    again = metadata(materialize("deploy_configuration"), "signals_configuration")

    assert again["changed"] is False


def test_the_dataframe_says_what_it_holds(everything: dg.ExecuteInProcessResult) -> None:
    shown = metadata(everything, "training_dataframe")

    assert shown["dagster/row_count"] > 1000
    assert shown["label_rate"] == shown["positives"] / shown["dagster/row_count"]
    assert shown["dropped_counts"]["outside_cohort"] > 0
    assert "WITH copies AS" in shown["sql"]
    digests = {shown[f"{of}fingerprint"] for of in ("", "definition_", "data_")}
    assert [len(digest) for digest in digests] == [16, 16, 16]
    assert shown["as_of"] == END.isoformat()
    assert shown["visitors_first_seen"] == f"{END - 60 * DAY} to {END - 30 * DAY}"
    events, rows = (
        [datetime.fromisoformat(moment) for moment in shown[window].split(" to ")]
        for window in ("events_window", "rows_window")
    )
    assert events[0] <= rows[0] < rows[1] <= events[1] <= END
    assert shown["warnings"] == "none"
    assert shown["dropped"].startswith("| reason | events | meaning |")


def test_the_champion_is_the_version_just_registered(
    everything: dg.ExecuteInProcessResult,
) -> None:
    shown = metadata(everything, "registered_model")
    registry = Registry(RegistrySettings.load(), DataSettings.load())

    champion = registry.resolve()

    assert (champion.version, champion.run_id) == (shown["version"], shown["run_id"])
    assert b"WITH copies AS" in registry.read_artifact(champion.run_id, "training.sql")
    assert b"<!doctype html>" in registry.read_artifact(champion.run_id, "report.html")


def test_the_registered_version_carries_the_attribute_group_that_it_was_trained_on(
    everything: dg.ExecuteInProcessResult,
) -> None:
    registry = Registry(RegistrySettings.load(), DataSettings.load())
    made = metadata(everything, "registered_model")

    loaded = registry.load(ModelVersion(made["name"], made["version"], made["run_id"]))

    assert loaded.group == GroupVersion.of(prospect.attribute_group(DefinitionSettings.load()))


def test_the_report_is_a_page_with_inline_pictures_in_dagster(
    everything: dg.ExecuteInProcessResult,
) -> None:
    shown = metadata(everything, "evaluation_report")

    assert Path(shown["report"]).read_text().startswith("<!doctype html>")
    assert shown["ROC"].startswith("![ROC](data:image/png;base64,")
    assert shown["Permutation importance"].startswith("![Permutation importance](data:")
    assert 0 < shown["roc_auc"] < 1
    assert shown["decision"].startswith("Promoted. It is the first version that can be served.")
    assert shown["champion_before"] == "none"


def test_the_run_holds_the_report_the_decision_and_every_number(
    everything: dg.ExecuteInProcessResult,
) -> None:
    run = metadata(everything, "registered_model")["run_id"]
    registry = Registry(RegistrySettings.load(), DataSettings.load())

    page = registry.read_artifact(run, "report.html").decode()
    numbers = json.loads(registry.read_artifact(run, "evaluation.json"))
    decision = json.loads(registry.read_artifact(run, "decision.json"))

    assert page == Path(metadata(everything, "evaluation_report")["report"]).read_text()
    assert len(page) < 1_500_000
    assert "How likely is it that this visitor sends a form within the next 60 minutes?" in page
    assert set(numbers["metrics"]) == {
        "model", "tutorial pipeline", "logistic regression", "viewed pricing", "base rate"
    }  # fmt: skip
    assert set(json.loads(registry.read_artifact(run, "permutation.json"))) == set(COLUMNS)
    lifts = [one["lift"] for one in numbers["deciles"]]
    assert len(lifts) == 10
    assert lifts[0]["low"] < lifts[0]["value"] < lifts[0]["high"]
    assert {"device", "app", "visitor"} <= {one["what"] for one in numbers["slices"]}
    assert (decision["promoted"], decision["champion"]) == (True, None)


def test_the_report_comes_after_the_champion() -> None:
    graph = build_defs().resolve_asset_graph()

    assert dg.AssetKey("champion") in graph.get(dg.AssetKey("evaluation_report")).parent_keys


def test_a_model_trains_on_anchors_of_ones_own(
    everything: dg.ExecuteInProcessResult,
    environment: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    made = everything.output_for_node("training_dataframe")
    own = made[["domain_userid", "anchor_ts", "label"]].drop_duplicates(
        ["domain_userid", "anchor_ts"]
    )
    own = own.assign(anchor_ts=own["anchor_ts"] + timedelta(hours=2))  # some are past as-of
    own.to_parquet(tmp_path / "own.parquet")
    with environment.context() as patch:
        patch.delenv("PROSPECT_AS_OF")
        patch.setenv("PROSPECT_ANCHORS", str(tmp_path / "own.parquet"))
        patch.setenv("PROSPECT_ANCHORS_HORIZON_MINUTES", str(24 * 60))
        result = materialize("retrain")

    assert result.success
    shown = metadata(result, "training_dataframe")
    assert shown["dagster/row_count"] == len(own)
    assert all(check.passed for check in result.get_asset_check_evaluations())
    words = "as own.parquet says, taken as known 1440 minutes after the row's moment"
    assert shown["label"] == words
    page = html.unescape(Path(metadata(result, "evaluation_report")["report"]).read_text())
    assert page.count(words) == 2  # with the data, and in the model card
    assert "How likely is it that own.parquet says 1 of this visitor at this moment?" in page
    assert "within the next" not in page
    run = metadata(result, "registered_model")["run_id"]
    registry = Registry(RegistrySettings.load(), DataSettings.load())
    parts = json.loads(registry.read_artifact(run, "split.json"))
    for part, following in pairwise(parts):
        last = datetime.fromisoformat(part["last_anchor"])
        assert last + DAY <= datetime.fromisoformat(following["first_anchor"])
        assert part["purged"] > 0


def test_a_table_of_labels_of_which_nothing_is_said_is_refused(
    everything: dg.ExecuteInProcessResult, environment: pytest.MonkeyPatch
) -> None:
    with environment.context() as patch:
        patch.setenv("PROSPECT_ANCHORS", "own.parquet")
        result = materialize("retrain", raise_on_error=False)

    [failed] = [event for event in result.all_events if event.is_step_failure]
    assert failed.step_key == "training_dataframe"
    assert "PROSPECT_ANCHORS_HORIZON_MINUTES" in str(failed.event_specific_data)


def test_a_failing_check_stops_the_model(
    everything: dg.ExecuteInProcessResult, environment: pytest.MonkeyPatch
) -> None:
    with environment.context() as patch:
        patch.setenv("MIN_CONVERTERS", "100000")
        result = materialize("retrain", raise_on_error=False)

    assert not result.success
    assert not result.asset_materializations_for_node("registered_model")


def test_training_again_on_the_same_data_gives_the_same_fingerprint_and_metrics(
    everything: dg.ExecuteInProcessResult,
) -> None:
    again = materialize("retrain")

    for asset, names in (
        ("training_dataframe", ("fingerprint", "dagster/row_count")),
        ("registered_model", ("log_loss", "roc_auc")),
    ):
        first, second = metadata(everything, asset), metadata(again, asset)
        assert [first[name] for name in names] == [second[name] for name in names]


def test_the_trials_of_a_search_go_with_the_version(
    everything: dg.ExecuteInProcessResult, environment: pytest.MonkeyPatch
) -> None:
    with environment.context() as patch:
        patch.setenv("PROSPECT_SEARCH_TRIALS", "2")
        shown = metadata(materialize("retrain"), "registered_model")
    registry = Registry(RegistrySettings.load(), DataSettings.load())

    stored = json.loads(registry.read_artifact(shown["run_id"], "search.json"))
    before = json.loads(
        registry.read_artifact(metadata(everything, "registered_model")["run_id"], "search.json")
    )

    assert [trial["trial"] for trial in stored["trials"]] == [1, 2]
    assert before["trials"] == stored["trials"][:1]
    with registry.connected() as client:
        params = client.get_run(shown["run_id"]).data.params
    chosen = stored["trials"][stored["chosen"] - 1]
    assert params["search_trials"] == "2"
    assert {name: float(params[name]) for name in DEFAULTS} == {
        name: chosen[name] for name in DEFAULTS
    }
    assert shown["search"].startswith("| trial | log_loss | rounds | ")


def test_the_definitions_are_loadable_and_retraining_leaves_signals_alone() -> None:
    dg.Definitions.validate_loadable(build_defs())

    selected = build_defs().resolve_job_def("retrain").asset_layer.executable_asset_keys
    assert dg.AssetKey("signals_configuration") not in selected
