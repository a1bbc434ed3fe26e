"""For the same events, training set, local Signals and scoring vector agree exactly."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from prospect_pipeline import features
from prospect_pipeline.attributes import prospect
from prospect_pipeline.sandbox.generator import generate
from prospect_pipeline.sandbox.store import EventStore
from prospect_pipeline.settings import DataSettings, DefinitionSettings, TrainingSettings
from prospect_pipeline.warehouse.base import Columns, DatasetRequest
from prospect_pipeline.warehouse.duckdb import DuckDBWarehouse
from prospect_pipeline_tests.sandbox.conftest import signals_over

END = datetime(2026, 5, 1, 12, tzinfo=UTC)
SETTINGS = DefinitionSettings.load()
GROUP = prospect.attribute_group(SETTINGS)
VISITORS = 200
MOMENTS = (END, END - timedelta(days=9, hours=3), END - timedelta(days=40))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> DataSettings:
    root = tmp_path_factory.mktemp("data")
    generate(1500, 4, END, root / "generated.parquet")
    settings = DataSettings.load(data_dir=root)
    EventStore(settings).load(root / "generated.parquet")
    return settings


@pytest.fixture(scope="module")
def visitors(data: DataSettings) -> list[str]:
    """From the least active to the most active one, who is past the limit of 100 events."""
    return EventStore(data).sample_keys(VISITORS)


def trained(
    data: DataSettings, visitors: list[str], moment: datetime, columns: Columns
) -> Iterator[dict[str, Any]]:
    """Rows of a training set with one anchor for each visitor, at a moment."""
    anchors = data.root / "anchors.parquet"
    count = len(visitors)
    made = {"domain_userid": visitors, "anchor_ts": [moment] * count, "label": [0] * count}
    pq.write_table(pa.table(made), anchors)
    settings = TrainingSettings.load(as_of=(END + timedelta(days=1)).isoformat())
    request = DatasetRequest(GROUP, settings, columns, anchors)
    table = DuckDBWarehouse(EventStore(data).path).training_set(request).table
    return iter(table.to_pylist())


@pytest.mark.parametrize("moment", MOMENTS)
def test_what_is_served_is_what_was_trained_on(
    data: DataSettings, visitors: list[str], moment: datetime
) -> None:
    raw = {row["domain_userid"]: row for row in trained(data, visitors, moment, "attributes")}
    columns = {row["domain_userid"]: row for row in trained(data, visitors, moment, "features")}

    with signals_over(data, clock=moment.isoformat()) as signals:
        signals.publish([GROUP, prospect.service(SETTINGS)])
        served = {
            visitor: signals.get_service_attributes(SETTINGS.service_name, "domain_userid", visitor)
            for visitor in visitors
        }

    names = [attribute.name for attribute in GROUP.attributes]
    assert len(served) >= VISITORS * 0.9
    for visitor, values in served.items():
        assert {name: values[name] for name in names} == {
            name: raw[visitor][name] for name in names
        }
        vector = features.vector(values, moment)
        assert vector == {name: columns[visitor][name] for name in features.COLUMNS}


def test_the_sample_is_past_the_limit_of_a_period(data: DataSettings, visitors: list[str]) -> None:
    counts = [row["num_page_views_l30d"] for row in trained(data, visitors, END, "features")]

    assert max(counts) == 100
    assert min(counts) < 5
