"""For the same events, training set, local Signals and scoring vector agree exactly."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from snowplow_signals import StreamAttributeGroup

from prospect_pipeline import features
from prospect_pipeline.attributes import prospect
from prospect_pipeline.sandbox.generator import generate
from prospect_pipeline.sandbox.store import EventStore
from prospect_pipeline.settings import DataSettings, DefinitionSettings, TrainingSettings
from prospect_pipeline.warehouse.base import Columns, DatasetRequest
from prospect_pipeline.warehouse.duckdb import DuckDBWarehouse
from prospect_pipeline_tests.sandbox.conftest import signals_over
from prospect_pipeline_tests.signals.versions import (
    CHANGED,
    FIRST,
    PINNED_FIRST,
    SECOND,
    service_of,
)

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
    data: DataSettings,
    visitors: list[str],
    moment: datetime,
    columns: Columns,
    group: StreamAttributeGroup = GROUP,
) -> Iterator[dict[str, Any]]:
    """Rows of a training set with one anchor for each visitor, at a moment."""
    anchors = data.root / "anchors.parquet"
    count = len(visitors)
    made = {"domain_userid": visitors, "anchor_ts": [moment] * count, "label": [0] * count}
    pq.write_table(pa.table(made), anchors)
    settings = TrainingSettings.load(as_of=(END + timedelta(days=1)).isoformat())
    request = DatasetRequest(group, settings, columns, anchors)
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


def test_each_of_two_published_versions_is_served_as_its_own_training_set_has_it(
    data: DataSettings, visitors: list[str]
) -> None:
    some = visitors[::5]
    served: dict[int, dict[str, dict[str, Any]]] = {1: {}, 2: {}}
    with signals_over(data, clock=END.isoformat()) as signals:
        signals.publish([FIRST, SECOND, service_of(SECOND)])
        for visitor in some:
            for number, values in served.items():
                values[visitor] = signals.get_group_attributes(
                    FIRST.name, number, list(PINNED_FIRST.attributes), "domain_userid", visitor
                )

    for group in (FIRST, SECOND):
        rows = trained(data, some, END, "attributes", group)
        for row in rows:
            values = served[group.version][row["domain_userid"]]
            assert values == {name: row[name] for name in values}
    assert [one for one in some if served[1][one][CHANGED] != served[2][one][CHANGED]]


def test_the_sample_is_past_the_limit_of_a_period(data: DataSettings, visitors: list[str]) -> None:
    counts = [row["num_page_views_l30d"] for row in trained(data, visitors, END, "features")]

    assert max(counts) == 100
    assert min(counts) < 5
