"""Who becomes champion in Dagster: newer and not worse, or the one in use stays."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd
import pytest
import xgboost

from prospect_pipeline.features import COLUMNS, Encoder
from prospect_pipeline.orchestration.assets import registered_model
from prospect_pipeline.orchestration.champion import champion
from prospect_pipeline.orchestration.resources import RegistryResource, parquet_frames
from prospect_pipeline.registry.champions import Champions
from prospect_pipeline.registry.store import Registry
from prospect_pipeline.scoring import ScoringModel
from prospect_pipeline.settings import DataSettings, RegistrySettings
from prospect_pipeline_tests.registry.models import rows
from prospect_pipeline_tests.training import signal_frame


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PROSPECT_DATA_DIR", str(tmp_path))
        patch.setenv("MIN_CONVERTERS", "20")
        yield Registry(RegistrySettings.load(), DataSettings.load())


def retrain(frame: pd.DataFrame, week: int, fingerprint: str | None = None) -> dict[str, Any]:
    """Train on a frame that was built in some week, and return what is shown of the champion."""
    until = f"2026-05-{4 + 7 * week:02}T12:00:00+00:00"

    @dg.asset(io_manager_key="frames")
    def training_dataframe() -> pd.DataFrame:
        made = frame.copy()
        made.attrs = {
            "as_of": until, "last_event": until, "fingerprint": fingerprint or f"week {week}",
            "group": "g version 1", "window": "ever", "sql": "SELECT 1",
        }  # fmt: skip
        return made

    with dg.DagsterInstance.ephemeral() as instance:
        done = dg.materialize(
            [training_dataframe, registered_model, champion],
            instance=instance,
            resources={"registry": RegistryResource(), "frames": parquet_frames},
        )
    [found] = done.asset_materializations_for_node("champion")
    return {name: entry.value for name, entry in found.metadata.items()}


def shuffled(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(label=np.random.default_rng(1).permutation(frame["label"]))


def test_weeks_of_equal_quality_follow_each_other_and_each_change_says_why(
    registry: Registry,
) -> None:
    first = retrain(signal_frame(6000, seed=1), week=0)
    second = retrain(signal_frame(6000, seed=2), week=1)

    assert (first["version"], first["promoted"]) == ("1", True)
    assert first["reason"].startswith("It is the first version that can be served.")
    assert (second["version"], second["promoted"]) == ("2", True)
    assert second["reason"].startswith("It takes the place of version 1: on the same test rows")
    assert registry.resolve().version == "2"
    assert [change.why for change in Champions(registry).history()] == [
        first["reason"], second["reason"]
    ]  # fmt: skip
    assert all(c.who.startswith("dagster run ") for c in Champions(registry).history())


def test_the_same_data_never_moves_the_champion(registry: Registry) -> None:
    frame = signal_frame(3000, seed=1)
    retrain(frame, week=0)

    again = retrain(frame, week=0)

    assert (again["version"], again["challenger"], again["promoted"]) == ("1", "2", False)
    assert "its data and definition are those of version 1" in again["reason"]
    assert "is not later than the champion's" in again["reason"]
    with registry.connected() as client:
        tags = client.get_model_version("prospect_scoring", "2").tags
    assert (tags["decision"], tags["reason"]) == ("refused", again["reason"])


@pytest.mark.parametrize("tries", [2, pytest.param(50, marks=pytest.mark.long)])
def test_a_worse_challenger_is_never_promoted(registry: Registry, tries: int) -> None:
    retrain(signal_frame(3000, seed=0), week=0)

    for number in range(tries):
        good = signal_frame(3000, seed=number + 1)
        blind = good.assign(num_pricing_views_l7d=0, first_mkt_medium_l30d="")
        for worse in (shuffled(good), blind):
            found = retrain(worse, week=1, fingerprint=f"{number}")
            assert found["version"] == "1"
            assert not found["promoted"]


def test_a_champion_that_no_longer_loads_gives_way(registry: Registry) -> None:
    retrain(signal_frame(3000, seed=0), week=0)
    for path in (registry.folder / "artifacts").rglob("model.json"):
        path.write_text("{")

    found = retrain(signal_frame(3000, seed=1), week=1)

    assert (found["version"], found["promoted"]) == ("2", True)
    assert found["reason"].startswith(
        "It takes the place of version 1: version 1 could not be compared with (prospect_scoring "
        "version 1 is damaged and cannot be loaded ("
    )
    assert registry.resolve().version == "2"


def test_a_champion_of_columns_that_are_gone_gives_way(registry: Registry) -> None:
    known = rows().assign(gone=1)
    encoder = Encoder((*COLUMNS, "gone"), Encoder.fit(known).vocabulary)
    matrix = xgboost.DMatrix(
        encoder.encode(known),
        label=known["label"],
        feature_names=list(encoder.columns),
        feature_types=encoder.types,
        enable_categorical=True,
    )
    older = ScoringModel(xgboost.train({"nthread": 1}, matrix, num_boost_round=2), encoder)
    version = registry.log_version(
        older, example=known.head(5), params={}, metrics={}, tags={}, artifacts={}
    )
    Champions(registry).promote(version, "a test", "it is told to")

    found = retrain(signal_frame(3000, seed=1), week=1)

    assert (found["version"], found["promoted"]) == ("2", True)
    assert found["reason"].startswith(
        "It takes the place of version 1: version 1 could not be compared with (The data lacks "
        "the model's column(s) gone; "
    )
