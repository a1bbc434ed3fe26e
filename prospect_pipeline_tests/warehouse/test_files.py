"""Files of atomic events: what is read alike, and what is refused with which words."""

import csv
import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from prospect_pipeline.attributes import prospect
from prospect_pipeline.errors import AnchorsError, EventsError
from prospect_pipeline.settings import DefinitionSettings, TrainingSettings
from prospect_pipeline.warehouse.base import DatasetRequest, TrainingSet
from prospect_pipeline.warehouse.duckdb import DuckDBWarehouse
from prospect_pipeline_tests.events import NOW, YAUAA, Event, event, write

GROUP = prospect.attribute_group(DefinitionSettings.load())
EVENTS = [
    event("a", NOW, page_url="https://x.io/pricing"),
    event("b", NOW.replace(hour=13), "submit_form"),
    event("c", NOW.replace(hour=20), device="Phone"),
]


def training_set(path: Path, anchors: Path | None = None, **settings: str) -> TrainingSet:
    chosen = TrainingSettings.load(**({"cohort": "all"} | settings))
    return DuckDBWarehouse(path).training_set(DatasetRequest(GROUP, chosen, anchors=anchors))


def as_csv(events: list[Event], path: Path, *, upper: bool = False) -> Path:
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "wt", newline="") as file:
        columns = list(events[0])
        writer = csv.writer(file)
        writer.writerow([column.upper() if upper else column for column in columns])
        for one in events:
            row = [one[column] for column in columns]
            stamps = [v.replace(tzinfo=None) if hasattr(v, "tzinfo") else v for v in row]
            writer.writerow(["" if value is None else value for value in stamps])
    return path


def test_csv_gzipped_csv_and_parquet_give_the_same_rows(tmp_path: Path) -> None:
    expected = training_set(write(EVENTS, tmp_path / "events.parquet")).table.to_pylist()

    assert expected
    for path in (
        as_csv(EVENTS, tmp_path / "events.csv"),
        as_csv(EVENTS, tmp_path / "events.csv.gz"),
        as_csv(EVENTS, tmp_path / "upper.csv", upper=True),
    ):
        assert training_set(path).table.to_pylist() == expected


def test_nested_contexts_read_like_json_text(tmp_path: Path) -> None:
    expected = training_set(write(EVENTS, tmp_path / "text.parquet")).table.to_pylist()
    nested = [e | {YAUAA: json.loads(e[YAUAA])} for e in EVENTS]
    pq.write_table(pa.Table.from_pylist(nested), tmp_path / "nested.parquet")

    assert training_set(tmp_path / "nested.parquet").table.to_pylist() == expected


def test_moments_of_another_zone_are_converted(tmp_path: Path) -> None:
    zoned = [e | {"derived_tstamp": e["derived_tstamp"].isoformat()} for e in EVENTS]
    shifted = [z["derived_tstamp"].replace("T12", "T14").replace("+00:00", "+02:00") for z in zoned]
    zoned[0]["derived_tstamp"] = shifted[0]

    [first, *_] = training_set(as_csv(zoned, tmp_path / "zoned.csv")).table.to_pylist()

    assert first["anchor_ts"] == NOW


def test_columns_that_are_missing_are_null(tmp_path: Path) -> None:
    least = ("event_id", "domain_userid", "derived_tstamp", "event_name", "event_vendor")
    kept = [{c: e[c] for c in (*least, "event_version")} for e in EVENTS]
    pq.write_table(pa.Table.from_pylist(kept), tmp_path / "least.parquet")

    [first, *_] = training_set(tmp_path / "least.parquet").table.to_pylist()

    assert first["latest_device_class"] == ""
    assert first["num_page_views_l7d"] == 1
    assert first["label"] == 1


def refused(words: str) -> "pytest.RaisesExc[EventsError]":
    return pytest.raises(EventsError, match=words)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with refused("nowhere.csv does not exist"):
        training_set(tmp_path / "nowhere.csv")


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.csv").touch()
    with refused("empty.csv is empty"):
        training_set(tmp_path / "empty.csv")


def test_a_file_without_rows_is_refused(tmp_path: Path) -> None:
    with refused("holds no events"):
        training_set(write([], tmp_path / "none.parquet"))


def test_a_file_that_is_no_parquet_is_refused(tmp_path: Path) -> None:
    (tmp_path / "odd.parquet").write_text("hello")
    with refused("odd.parquet cannot be read"):
        training_set(tmp_path / "odd.parquet")


def test_an_unknown_kind_of_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "events.xlsx").write_text("hello")
    with refused(r"events.xlsx is none of .csv, .csv.gz, .parquet"):
        training_set(tmp_path / "events.xlsx")


@pytest.mark.parametrize("column", ["event_id", "domain_userid", "derived_tstamp", "event_name"])
def test_a_missing_required_column_is_named(tmp_path: Path, column: str) -> None:
    table = pa.Table.from_pylist(EVENTS).drop_columns([column])
    pq.write_table(table, tmp_path / "events.parquet")
    with refused(rf"lacks the required column\(s\) {column}; it has"):
        training_set(tmp_path / "events.parquet")


def test_moments_that_are_none_are_counted_with_an_example(tmp_path: Path) -> None:
    odd = [{**EVENTS[0], "derived_tstamp": "yesterday"}, EVENTS[1]]
    with refused("1 of 2 values of derived_tstamp are no timestamps, such as 'yesterday'"):
        training_set(as_csv(odd, tmp_path / "odd.csv"))


def test_an_empty_cohort_says_which_dates_the_events_cover(tmp_path: Path) -> None:
    path = write(EVENTS, tmp_path / "events.parquet")
    with refused("run from 2026-05-01 12:00 to 2026-05-01 20:00 UTC.*--cohort"):
        training_set(path, cohort="60:30")


def test_events_after_as_of_are_never_read(tmp_path: Path) -> None:
    path = write(EVENTS, tmp_path / "events.parquet")

    made = training_set(path, as_of="2026-05-01T13:30:00")

    assert [row["event_id"] for row in made.table.to_pylist()] == ["a"]
    assert made.dropped == {"after_as_of": 1, "horizon_past_as_of": 1}


def own_anchors(path: Path, **columns: list[object]) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


def test_own_anchors_give_a_row_each(tmp_path: Path) -> None:
    events = write(EVENTS, tmp_path / "events.parquet")
    anchors = own_anchors(
        tmp_path / "anchors.parquet",
        domain_userid=["ann", "ann", "nobody"],
        anchor_ts=[NOW, NOW.replace(hour=11), NOW],
        label=[1, 0, 0],
    )

    rows = training_set(events, anchors).table.to_pylist()

    found = [
        (r["domain_userid"], r["anchor_ts"].hour, r["num_page_views_l7d"], r["label"]) for r in rows
    ]
    assert found == [("ann", 11, 0, 0), ("ann", 12, 1, 1), ("nobody", 12, 0, 0)]


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"domain_userid": ["ann"], "label": [1]}, "lacks anchor_ts"),
        ({"domain_userid": [None], "anchor_ts": [NOW], "label": [1]}, "1 anchors have a null"),
    ],
)
def test_incomplete_anchors_are_refused(
    tmp_path: Path, columns: dict[str, list[object]], words: str
) -> None:
    events = write(EVENTS, tmp_path / "events.parquet")
    with pytest.raises(AnchorsError, match=words):
        training_set(events, own_anchors(tmp_path / "anchors.parquet", **columns))


def test_the_span_up_to_a_moment_includes_it_and_is_refused_without_events(tmp_path: Path) -> None:
    warehouse = DuckDBWarehouse(write(EVENTS, tmp_path / "events.parquet"))
    until = warehouse.span(until=NOW.replace(hour=13))

    assert (until.events, until.first, until.last) == (2, NOW, NOW.replace(hour=13))
    with pytest.raises(EventsError, match="holds no event up to 2026-05-01T11:00"):
        warehouse.span(until=NOW.replace(hour=11))
