"""What is selected and read from events: the SQL of both dialects equals the reference."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import fakesnow
import pyarrow as pa
import pytest
import snowflake.connector
import sqlglot
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from snowplow_signals import (
    AtomicProperty,
    Attribute,
    Criteria,
    Criterion,
    EntityProperty,
    Event,
    EventProperty,
)
from snowplow_signals.models.property_wrapper import CalculatedProperty

from prospect_pipeline.attributes import expressions, selection
from prospect_pipeline.attributes.expressions import Dialect
from prospect_pipeline.attributes.properties import Source, source_of
from prospect_pipeline.warehouse.duckdb import connect

ENTITY = "contexts_com_acme_cart_1"
OWN = "unstruct_event_com_acme_purchase_2"
COLUMNS = {
    "event_vendor": "VARCHAR",
    "event_name": "VARCHAR",
    "event_version": "VARCHAR",
    "page_url": "VARCHAR",
    "mkt_campaign": "VARCHAR",
    "se_value": "DOUBLE",
    "domain_sessionidx": "BIGINT",
    "dvce_ismobile": "BOOLEAN",
    "derived_tstamp": "TIMESTAMP",
    ENTITY: "JSON",
    OWN: "JSON",
}
TEXTS = (
    None, "", "a", "A", "50%", "a_b", "it's", "back\\slash", "line\nbreak", "é", "true", "false",
    "1", "01", "1.5", "-2", " 1", "1_000", "inf", "nan", "1e3", "1e400", ".5", "5.", "0x1",
    "123456789012345678", "2026-05-01T12:30:00Z", "2026-05-01 23:30:00.123456-01:30",
    "2026-02-30T00:00:00Z", "2026-05-01", "2026-12-31T23:59:59+00:00",
)  # fmt: skip
SCALARS = (*TEXTS, True, False, 0, 7, -3, 2.5, 1e-7, {"x": 1}, [1, 2])
MOMENTS = (
    None,
    datetime(2026, 5, 1, 12, tzinfo=UTC),
    datetime(2026, 1, 4, 23, 59, 59, 999_999, tzinfo=UTC),
    datetime(2025, 12, 29, 0, 0, 0, 500_000, tzinfo=UTC),
)
VENDORS = (None, "com.acme", "com.other")


@st.composite
def entities(draw: st.DrawFn) -> str | None:
    one = st.fixed_dictionaries(
        {}, optional={"price": st.sampled_from(SCALARS), "two words": st.sampled_from(SCALARS)}
    )
    made = draw(st.one_of(st.none(), st.lists(one, max_size=3)))
    return None if made is None else json.dumps(made)


@st.composite
def events(draw: st.DrawFn) -> dict[str, Any]:
    inside = {"total": st.sampled_from(SCALARS), "deep": st.just({"list": [1, "x", None]})}
    own = draw(st.one_of(st.none(), st.fixed_dictionaries({}, optional=inside)))
    return {
        "event_vendor": draw(st.sampled_from(VENDORS)),
        "event_name": draw(st.sampled_from([None, "purchase", "page_view"])),
        "event_version": draw(st.sampled_from(["1-0-0", "2-0-0"])),
        "page_url": draw(st.sampled_from(TEXTS)),
        "mkt_campaign": draw(st.sampled_from(TEXTS)),
        "se_value": draw(st.sampled_from([None, 0.0, 1.5, -2.0, 1e20, 0.1])),
        "domain_sessionidx": draw(st.sampled_from([None, 0, 7, -3, 123_456_789_012])),
        "dvce_ismobile": draw(st.sampled_from([None, True, False])),
        "derived_tstamp": draw(st.sampled_from(MOMENTS)),
        ENTITY: draw(entities()),
        OWN: None if own is None else json.dumps(own),
    }


def entity(path: str, index: int | None = None, **more: Any) -> EntityProperty:
    return EntityProperty(
        vendor="com.acme", name="cart", major_version=1, path=path, index=index, **more
    )


def own(path: str, **more: Any) -> EventProperty:
    return EventProperty(vendor="com.acme", name="purchase", major_version=2, path=path, **more)


LEAVES = [
    *(AtomicProperty(name=c) for c in COLUMNS if c not in (ENTITY, OWN)),  # type: ignore[arg-type]
    entity("price"),
    entity("two words", 1),
    own("total"),
    own("deep.list[1]"),
]
NUMERIC = [AtomicProperty(name="se_value"), AtomicProperty(name="domain_sessionidx"), own("total")]
CALCULATED = [
    CalculatedProperty(operation="concat", properties=LEAVES[3:7], separator=", "),
    CalculatedProperty(operation="concat", properties=LEAVES[-4:-2]),
    *(
        CalculatedProperty(operation=operation, properties=NUMERIC)
        for operation in ("sum", "product", "min", "max")
    ),
    CalculatedProperty(operation="coalesce", properties=LEAVES[3:5]),
    CalculatedProperty(operation="coalesce", properties=[NUMERIC[0]]),
]
PARTS = ("active_day", "active_week", "active_month", "hour_of_day", "day_of_week", "month_of_year")
DATED = [
    made
    for part in PARTS
    for made in (
        AtomicProperty(name="derived_tstamp", date_part=part),
        entity("price", date_part=part),
    )
]
VALUES = st.sampled_from([*(t for t in TEXTS if t is not None), 0, 7, 1.5, -2, True, False])


@st.composite
def criterion(draw: st.DrawFn) -> Criterion:
    operator = draw(
        st.sampled_from(["=", "!=", "<", ">", "<=", ">=", "like", "in", "is null", "is not null"])
    )
    value: Any = None
    if operator == "like":
        value = draw(st.sampled_from(["%", "a%", "%_%", "a_b", "it's", "%\\%", "50%", "%\n%", ""]))
    elif operator == "in":
        kind = draw(st.sampled_from([str, int, bool]))
        same = VALUES.filter(lambda value: type(value) is kind)
        value = draw(st.lists(same, max_size=3))
    elif not operator.startswith("is"):
        value = draw(VALUES)
    place = draw(st.sampled_from([*LEAVES, *CALCULATED, *DATED]))
    return Criterion(property=place, operator=operator, value=value)  # type: ignore[arg-type]


@st.composite
def read_attribute(draw: st.DrawFn) -> Attribute:
    patterns = st.builds(
        Event,
        vendor=st.sampled_from(VENDORS),
        name=st.sampled_from([None, "purchase"]),
        version=st.sampled_from([None, "1-0-0"]),
    )
    criteria = st.builds(
        Criteria,
        all=st.lists(criterion(), max_size=2),
        any=st.one_of(st.none(), st.lists(criterion(), max_size=2)),
    )
    return Attribute(
        name="a",
        aggregation="last",
        events=draw(st.lists(patterns, max_size=2)),
        criteria=draw(st.one_of(st.none(), criteria)),
        property=draw(st.sampled_from([*LEAVES, *CALCULATED, *DATED])),
        type=draw(st.sampled_from(["string", "int32", "int64", "float", "double", "bool"])),
    )


def query(attributes: list[Attribute], dialect: Dialect) -> str:
    """One row for each event: whether it counts, and what is read, for every attribute."""
    places: dict[Source, str] = {}

    def names(source: Source) -> str:
        return places.setdefault(source, f"p{len(places)}")

    columns = [
        f"CASE WHEN {expressions.selected(a, names)} THEN 1 ELSE 0 END AS s{n},"
        f" {expressions.value(a, names)} AS v{n}"
        for n, a in enumerate(attributes)
    ]
    reads = [f"{expressions.read(source, dialect)} AS {name}" for source, name in places.items()]
    first = f"SELECT i, event_vendor, event_name, event_version, {', '.join(reads)} FROM events"
    sql = f"SELECT {', '.join(columns)} FROM ({first}) AS reads ORDER BY i"
    return sqlglot.transpile(sql, read="duckdb", write=dialect)[0]


def expected(attributes: list[Attribute], rows: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    found = []
    for row in rows:
        values: list[Any] = []
        for attribute in attributes:
            raw = selection.read(row, source_of(attribute.property, "a"))
            value = None if raw is None else selection.coerce(raw, attribute)
            values += [int(selection.matches(row, attribute) and value is not None), value]
        found.append(tuple(values))
    return found


def close(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return [
        tuple(pytest.approx(v, rel=1e-9) if isinstance(v, float) else v for v in row)
        for row in rows
    ]


def on_duckdb(attributes: list[Attribute], rows: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    kinds = {"VARCHAR": pa.string(), "JSON": pa.string(), "DOUBLE": pa.float64()}
    kinds |= {"BIGINT": pa.int64(), "BOOLEAN": pa.bool_(), "TIMESTAMP": pa.timestamp("us")}
    plain = [
        {**row, "i": i, "derived_tstamp": _naive(row["derived_tstamp"])}
        for i, row in enumerate(rows)
    ]
    schema = pa.schema([("i", pa.int64()), *((c, kinds[k]) for c, k in COLUMNS.items())])
    with connect() as connection:
        connection.register("events", pa.Table.from_pylist(plain, schema=schema))
        return connection.execute(query(attributes, "duckdb")).fetchall()


def _naive(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.replace(tzinfo=None)


quick = settings(max_examples=120)


@quick
@given(attribute=read_attribute(), rows=st.lists(events(), min_size=1, max_size=25))
def test_duckdb_reads_what_the_reference_reads(
    attribute: Attribute, rows: list[dict[str, Any]]
) -> None:
    assert on_duckdb([attribute], rows) == close(expected([attribute], rows))


@pytest.fixture(scope="module")
def cursor() -> Iterator[Any]:
    with fakesnow.patch():
        connection = snowflake.connector.connect(database="db", schema="public")
        cursor = connection.cursor()
        # Below the stand-in, DuckDB 2.0 does not bind SUBSTRING(x, 1) > 'a' where it knows from
        # its statistics that x holds nulls alone.
        cursor._duck_conn.execute("SET disabled_optimizers = 'statistics_propagation'")
        yield cursor
        connection.close()


def on_snowflake(
    cursor: Any, attributes: list[Attribute], rows: list[dict[str, Any]]
) -> list[tuple[Any, ...]]:
    kinds = {"JSON": "VARIANT", "TIMESTAMP": "TIMESTAMP_NTZ"}
    columns = ", ".join(f"{name} {kinds.get(kind, kind)}" for name, kind in COLUMNS.items())
    cursor.execute(f"CREATE OR REPLACE TABLE events (i BIGINT, {columns})")
    for i, row in enumerate(rows):
        values = [
            f"PARSE_JSON({_text(row[name])})" if kind == "JSON" else _literal(row[name])
            for name, kind in COLUMNS.items()
        ]
        cursor.execute(f"INSERT INTO events SELECT {i}, {', '.join(values)}")
    return list(map(tuple, cursor.execute(query(attributes, "snowflake")).fetchall()))


def _literal(value: Any) -> str:
    if isinstance(value, datetime):
        return f"'{_naive(value)}'::TIMESTAMP_NTZ"
    return _text(value) if value is None or isinstance(value, str) else str(value)


def _text(value: str | None) -> str:
    return sqlglot.exp.convert(value).sql("snowflake")


@settings(quick, max_examples=15, phases=(Phase.explicit, Phase.generate))
@given(
    attributes=st.lists(read_attribute(), min_size=4, max_size=4),
    rows=st.lists(events(), min_size=1, max_size=12),
)
def test_the_snowflake_dialect_reads_what_the_reference_reads(
    cursor: Any, attributes: list[Attribute], rows: list[dict[str, Any]]
) -> None:
    assert on_snowflake(cursor, attributes, rows) == close(expected(attributes, rows))
