"""Who becomes champion in Dagster: newer and not worse, or the one in use stays."""

import html
import json
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from snowplow_signals import SignalsSandbox

from prospect_pipeline.attributes.version import GroupVersion
from prospect_pipeline.errors import RegistryError, SignalsUnavailable
from prospect_pipeline.orchestration.assets import PINNED, evaluation_report, registered_model
from prospect_pipeline.orchestration.champion import (
    _floors,
    _made_champion_by,
    _present,
    champion,
)
from prospect_pipeline.orchestration.published import published
from prospect_pipeline.orchestration.resources import (
    RegistryResource,
    SignalsResource,
    parquet_frames,
)
from prospect_pipeline.registry.champions import Champions
from prospect_pipeline.registry.store import LoadedModel, ModelVersion, Registry
from prospect_pipeline.settings import DataSettings, RegistrySettings, TrainingSettings
from prospect_pipeline.training.bootstrap import Draws
from prospect_pipeline.training.promotion import Floors
from prospect_pipeline_tests.orchestration.retraining import without_pictures
from prospect_pipeline_tests.registry.models import register_champion, tiny_model, with_tables
from prospect_pipeline_tests.sandbox.conftest import TOKEN, signals_over
from prospect_pipeline_tests.signals.versions import FIRST, PINNED_FIRST, PINNED_SECOND, SECOND
from prospect_pipeline_tests.training import signal_frame


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PROSPECT_DATA_DIR", str(with_tables(tmp_path)))
        patch.setenv("MIN_CONVERTERS", "20")
        without_pictures(patch)
        yield Registry(RegistrySettings.load(), DataSettings.load())


JUDGED = [registered_model, champion]
REPORTED = [*JUDGED, evaluation_report]


def retrain(
    frame: pd.DataFrame,
    week: int,
    fingerprint: str | None = None,
    assets: Sequence[dg.AssetsDefinition] = JUDGED,
    last_event: str | None = None,
    group: GroupVersion = PINNED_FIRST,
) -> dict[str, Any]:
    """Train on a frame that was built in some week, and return what is shown of the champion.

    Where the report is among the ``assets``, what is shown of it too, and its text as ``page``.
    """
    until = f"2026-09-{4 + 7 * week:02}T12:00:00+00:00"

    @dg.asset(io_manager_key="frames")
    def training_dataframe() -> pd.DataFrame:
        made = frame.assign(anchor_ts=frame["anchor_ts"] + timedelta(weeks=week))
        made.attrs = {
            "as_of": until, "last_event": last_event or until,
            "fingerprint": fingerprint or f"week {week}",
            "group": "g version 1", "window": f"week {week}", "sql": "SELECT 1",
            "horizon": "60 minutes", "goal": "submit_form", "dropped": {}, "events": len(frame),
            "rows": len(frame), "positives": int(frame["label"].sum()),
            PINNED: group.to_json(),
        }  # fmt: skip
        return made

    with dg.DagsterInstance.ephemeral() as instance:
        done = dg.materialize(
            [training_dataframe, *assets],
            instance=instance,
            resources={
                "registry": RegistryResource(),
                "frames": parquet_frames,
                "signals": SignalsResource(),
            },
        )
    shown = {
        name: entry.value
        for asset in ("evaluation_report", "champion")
        for found in done.asset_materializations_for_node(asset)
        for name, entry in found.metadata.items()
    }
    return shown | ({"page": Path(shown["report"]).read_text()} if "report" in shown else {})


def shuffled(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(label=np.random.default_rng(1).permutation(frame["label"]))


def test_weeks_of_equal_quality_follow_each_other_and_each_change_says_why(
    registry: Registry,
) -> None:
    future = "2030-01-01T00:00:00+00:00"  # an event that is in no row, and blocks nobody
    first = retrain(signal_frame(6000, seed=3), week=0, assets=REPORTED, last_event=future)
    second = retrain(signal_frame(6000, seed=2), week=1, assets=REPORTED)

    assert (first["version"], first["promoted"]) == ("1", True)
    assert first["reason"].startswith("It is the first version that can be served.")
    assert (second["version"], second["promoted"]) == ("2", True)
    assert second["reason"].startswith(
        "It takes the place of version 1: on 400 of 400 test visitors"
    )
    assert registry.resolve().version == "2"
    assert [change.why for change in Champions(registry).history()] == [
        first["reason"], second["reason"]
    ]  # fmt: skip
    assert all(c.who.startswith("dagster run ") for c in Champions(registry).history())
    assert (first["champion_before"], second["champion_before"]) == ("none", "1")
    for told in (first, second):
        assert told["decision"] == f"Promoted. {told['reason']}"
        assert told["decision"] in html.unescape(told["page"])
    assert "It is the first version: there was no champion" in first["page"]
    assert "<th>This version</th><th>Version 1</th><th>Difference</th>" in second["page"]
    assert "<td>visitors first seen</td><td>week 1</td><td>week 0</td>" in second["page"]
    assert "The same in both: attribute group, " in second["page"]


def test_the_same_data_never_moves_the_champion(registry: Registry) -> None:
    frame = signal_frame(3000, seed=1)
    retrain(frame, week=0)

    again = retrain(frame, week=0)

    assert (again["version"], again["challenger"], again["promoted"]) == ("1", "2", False)
    assert "are those of version 1, which is the champion" in again["reason"]
    assert "is not later than version 1's" in again["reason"]
    with registry.connected() as client:
        tags = client.get_model_version("prospect_scoring", "2").tags
    assert (tags["decision"], tags["reason"]) == ("refused", again["reason"])
    stored = json.loads(registry.read_artifact(registry.resolve("2").run_id, "decision.json"))
    assert (stored["promoted"], stored["reason"]) == (False, again["reason"])
    assert stored["champion"] == vars(registry.resolve("1"))
    assert {gate["name"]: gate["passed"] for gate in stored["gates"]}["other_data"] is False


def test_what_was_rolled_back_does_not_come_back_with_the_same_data(registry: Registry) -> None:
    first, frame = register_champion(registry, tiny_model()), signal_frame(3000, seed=2)
    second = retrain(frame, week=1)
    Champions(registry).rollback("ann", "odd scores")

    again = retrain(frame, week=1)

    assert (second["version"], second["promoted"]) == ("2", True)
    assert "(it is not known whom version 1 has learnt from)" in second["reason"]
    assert (again["version"], again["challenger"], again["promoted"]) == ("1", "3", False)
    assert again["reason"] == (
        "Version 1 stays champion: version 3's data and definition are those of version 2, which "
        "was rolled back from (odd scores)."
    )
    assert registry.resolve() == first


def test_a_champion_is_compared_on_visitors_whom_it_has_not_learnt_from(
    registry: Registry,
) -> None:
    retrain(signal_frame(3000, seed=1), week=1)
    earlier = signal_frame(3000, seed=2)  # its test part begins before the champion has learnt all
    earlier["anchor_ts"] -= timedelta(days=10)

    found = retrain(earlier, week=2)

    [champions, challengers] = [registry.run_tags(registry.resolve(n).run_id) for n in ("1", "2")]
    firsts = earlier.groupby("domain_userid")["anchor_ts"].min() + timedelta(weeks=2)
    test = firsts[firsts > datetime.fromisoformat(challengers["learnt_until"]).replace(tzinfo=None)]
    fresh = test[test > datetime.fromisoformat(champions["learnt_until"]).replace(tzinfo=None)]
    assert len(test) == 200
    assert 100 < len(fresh) < 200
    assert (
        f"on {len(fresh)} of 200 test visitors (first seen after all whom version 1 has learnt "
        "from) version 2's log loss differs from version 1's by "
    ) in found["gates"]


@pytest.mark.parametrize("tries", [2, pytest.param(50, marks=pytest.mark.long)])
def test_a_worse_challenger_is_never_promoted(registry: Registry, tries: int) -> None:
    retrain(signal_frame(3000, seed=0), week=0)

    for number in range(tries):
        good = signal_frame(3000, seed=number + 1)
        blind = good.assign(num_pricing_views_l7d=0, first_mkt_medium_l30d="")
        for kind, worse in (("shuffled", shuffled(good)), ("blind", blind)):
            found = retrain(worse, week=1, fingerprint=f"{kind} {number}")
            assert found["version"] == "1"
            assert not found["promoted"]
            assert "data and definition" not in found["reason"]


def test_the_floors_are_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = _floors(TrainingSettings.load())
    monkeypatch.setenv("PROSPECT_PROMOTION_MARGIN", "0.05")
    monkeypatch.setenv("PROSPECT_PROMOTION_CALIBRATION", "0.5")
    monkeypatch.setenv("PROSPECT_PROMOTION_CONVERTERS", "40")

    assert usual == Floors()
    assert _floors(TrainingSettings.load()) == Floors(0.05, 0.5, 40)


def test_a_champion_that_no_longer_loads_gives_way(registry: Registry) -> None:
    retrain(signal_frame(3000, seed=0), week=0)
    for path in (registry.folder / "artifacts").rglob("model.json"):
        path.write_text("{")

    found = retrain(signal_frame(3000, seed=1), week=1, assets=REPORTED)

    assert (found["version"], found["promoted"]) == ("2", True)
    assert found["reason"].startswith(
        "It takes the place of version 1: nothing could be compared with version 1 "
        "(prospect_scoring version 1 is damaged and cannot be loaded ("
    )
    assert registry.resolve().version == "2"
    assert (
        "Version 1, champion then, cannot be compared: prospect_scoring version 1 is damaged"
        in (found["page"])
    )
    assert "<td>visitors first seen</td><td>week 1</td><td>week 0</td>" in found["page"]


def test_a_champion_whose_files_are_lost_gives_way(registry: Registry) -> None:
    retrain(signal_frame(3000, seed=0), week=0)
    for path in (registry.folder / "artifacts").rglob("model.json"):
        path.unlink()

    found = retrain(signal_frame(3000, seed=1), week=1)

    assert (found["version"], found["promoted"]) == ("2", True)
    assert "nothing could be compared with version 1" in found["reason"]


def test_a_registry_that_is_away_is_no_champion_that_gives_way(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    retrain(signal_frame(3000, seed=0), week=0)
    nothing, draws = pd.DataFrame(), Draws(pd.Series(["a", "b"]), np.ones(2), 0, draws=1)

    def away(_registry: Registry, _version: ModelVersion) -> LoadedModel:
        raise RegistryError("MLflow cannot be used: timed out.")

    monkeypatch.setattr(Registry, "load", away)
    with pytest.raises(RegistryError, match="timed out"):
        _present(registry, registry.resolve(), nothing, nothing, draws, Floors())


def test_a_champion_that_needs_another_column_gives_way(registry: Registry) -> None:
    retrain(signal_frame(3000, seed=0), week=0)
    for path in (registry.folder / "artifacts").rglob("MLmodel"):
        for file in (path, path.with_name("model.json")):
            file.write_text(file.read_text().replace("num_apps_l7d", "num_gone_l7d"))

    found = retrain(signal_frame(3000, seed=1), week=1, assets=REPORTED)

    assert (found["version"], found["promoted"]) == ("2", True)
    assert "nothing could be compared with version 1" in found["reason"]
    assert "lacks the model&#39;s column(s) num_gone_l7d" in found["page"]


def test_a_version_that_was_not_judged_has_a_report_that_says_so(registry: Registry) -> None:
    found = retrain(signal_frame(3000, seed=0), 0, assets=[registered_model, evaluation_report])

    assert (found["decision"], found["champion_before"]) == ("none recorded", "none")
    assert "No decision is recorded with this version" in found["page"]


def away_after(real: Any) -> Any:
    """Do what is asked, and fail the first time, as a server does whose answer is lost."""
    lost: list[bool] = []

    def call(*arguments: Any, **named: Any) -> Any:
        done = real(*arguments, **named)
        if not lost:
            lost.append(True)
            raise MlflowException("timed out")
        return done

    return call


def away_before(real: Any) -> Any:
    """Fail the first time, and do nothing."""
    failed: list[bool] = []

    def call(*arguments: Any, **named: Any) -> Any:
        if not failed:
            failed.append(True)
            raise MlflowException("timed out")
        return real(*arguments, **named)

    return call


@pytest.mark.parametrize(
    ("name", "away"),
    [
        ("set_registered_model_alias", away_after),
        pytest.param("set_registered_model_alias", away_before, marks=pytest.mark.long),
        pytest.param("set_model_version_tag", away_before, marks=pytest.mark.long),
    ],
)
def test_a_decision_outlives_a_registry_that_blinks(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, name: str, away: Any
) -> None:
    monkeypatch.setattr(dg.RetryPolicy, "calculate_delay", lambda _policy, _attempt: 0)
    monkeypatch.setattr(MlflowClient, name, away(getattr(MlflowClient, name)))

    found = retrain(signal_frame(3000, seed=0), week=0, assets=REPORTED)

    assert (found["version"], found["promoted"]) == ("1", True)
    assert found["reason"].startswith("It is the first version that can be served.")
    assert "| serves | True |" in found["gates"]
    assert found["decision"] == f"Promoted. {found['reason']}"
    stored = json.loads(registry.read_artifact(registry.resolve().run_id, "decision.json"))
    assert (stored["reason"], stored["champion"]) == (found["reason"], None)
    with registry.connected() as client:
        tags = client.get_model_version("prospect_scoring", "1").tags
    assert (tags["decision"], tags["reason"]) == ("promoted", found["reason"])


def test_a_champion_made_by_hand_stays_it_without_a_decision_of_its_own(
    registry: Registry,
) -> None:
    frame = signal_frame(3000, seed=1)
    retrain(frame, week=0)
    refused = retrain(frame, week=0)
    second = registry.resolve("2")
    Champions(registry).promote(second, "ann", "by hand")

    again = _made_champion_by(registry, second)

    assert refused["promoted"] is False
    assert (again.promote, again.reason, again.gates) == (True, "It is the champion already.", ())


@pytest.fixture
def signals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SignalsSandbox]:
    """A Signals that is configured, with the first version of the group published."""
    with signals_over(DataSettings.load(data_dir=tmp_path / "signals")) as sdk:
        monkeypatch.setenv("SP_SANDBOX_URL", str(sdk.api_client.api_url))
        monkeypatch.setenv("SP_SANDBOX_TOKEN", TOKEN)
        sdk.publish([FIRST])
        yield sdk


def gates(registry: Registry, version: str) -> dict[str, tuple[bool, str]]:
    stored = json.loads(registry.read_artifact(registry.resolve(version).run_id, "decision.json"))
    return {gate["name"]: (gate["passed"], gate["words"]) for gate in stored["gates"]}


def test_a_challenger_waits_until_its_attributes_are_published(
    registry: Registry, signals: SignalsSandbox
) -> None:
    title = "attribute group 'prospect_scoring_tutorial' version"
    retrain(signal_frame(6000, seed=3), week=0)

    newer = signal_frame(6000, seed=2)
    refused = retrain(newer, week=1, group=PINNED_SECOND)
    signals.publish([SECOND])
    promoted = retrain(newer, week=1, group=PINNED_SECOND, fingerprint="again")

    assert gates(registry, "1")["published"] == (True, f"Signals has published {title} 1")
    assert (refused["version"], refused["promoted"]) == ("1", False)
    assert (
        f"Signals has not published {title} 2, which the new version was trained on"
        in refused["reason"]
    )
    assert "deploy_configuration" in refused["reason"]
    assert (promoted["version"], promoted["promoted"]) == ("3", True)
    assert gates(registry, "3")["published"] == (True, f"Signals has published {title} 2")


def test_a_first_version_becomes_champion_and_it_is_said_that_its_attributes_are_missing(
    registry: Registry, signals: SignalsSandbox
) -> None:
    found = retrain(signal_frame(3000, seed=1), week=0, group=PINNED_SECOND)

    assert (found["version"], found["promoted"]) == ("1", True)
    assert "It is below what a later one must reach: Signals has not published" in found["reason"]


def test_without_any_signals_it_is_said_that_nothing_was_looked_up(registry: Registry) -> None:
    found = retrain(signal_frame(3000, seed=1), week=0)

    assert found["promoted"]
    passed, words = gates(registry, "1")["published"]
    assert passed
    assert "is not known (No local Signals runs" in words


def test_a_configured_signals_that_is_away_is_asked_again_and_moves_nothing(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SP_SANDBOX_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("SP_SANDBOX_TOKEN", TOKEN)

    assert published(SignalsResource(), PINNED_FIRST, first=True).passed
    with pytest.raises(SignalsUnavailable, match="does not answer"):
        published(SignalsResource(), PINNED_FIRST, first=False)
