"""Which events count for an attribute, and what is read from them: the same as `selection`, in SQL.

`read` takes what an event holds at a place out of the atomic table: once for each event, and once
for each dialect. Everything else is over the columns that it makes (``names`` says which), in
DuckDB's SQL, and a whole query is turned into another dialect at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from snowplow_signals.models.model import (
    Attribute,
    Criteria,
    EventOutput,
    SignalsApiModelsViewCriterionCriterion,
)
from sqlglot import exp
from sqlglot.dialects.duckdb import DuckDB

from prospect_pipeline.attributes.definition import WITHOUT_PROPERTY
from prospect_pipeline.attributes.properties import (
    Calculated,
    ColumnType,
    Place,
    Source,
    column_type,
    leaves,
    source_of,
)
from prospect_pipeline.attributes.selection import DATE_TIME, INTEGER, NUMBER

Dialect = Literal["duckdb", "snowflake"]
Names = Callable[[Source], str]
"""The column that holds what was read from a place in an event, before any date part."""

_COMPARISONS = {"=": "=", "!=": "<>", "<": "<", ">": ">", "<=": "<=", ">=": ">="}
MINUTE = 60 * 10**6
DAY = 24 * 60 * MINUTE
_LARGEST = "1.7976931348623157e308"


@dataclass(frozen=True)
class Value:
    """An expression, and what it gives."""

    sql: str
    type: ColumnType

    @property
    def text(self) -> str:
        """The same as text, as `selection.as_text` has it.

        Snowflake's documentation does not promise the same text for a float.
        """
        if self.type == "timestamp":
            return _written(self.sql)
        return self.sql if self.type == "text" else f"CAST({self.sql} AS VARCHAR)"

    @property
    def number(self) -> str:
        """The same as a number, null where it is none."""
        if self.type in ("timestamp", "boolean"):
            return "CAST(NULL AS DOUBLE)"
        if self.type != "text":
            return f"CAST({self.sql} AS DOUBLE)"
        number = f"TRY_CAST(CAST({self.sql} AS VARCHAR) AS DOUBLE)"
        return (
            f"CASE WHEN {_is_like(self.sql, NUMBER)} AND ABS({number}) <= {_LARGEST}"
            f" THEN {number} END"
        )

    @property
    def integer(self) -> str:
        """The same as a whole number, cut towards zero, null where it is none."""
        if self.type == "integer":
            return f"CAST({self.sql} AS BIGINT)"
        cut = f"CAST(CASE WHEN ABS({self.number}) < 9.2e18 THEN TRUNC({self.number}) END AS BIGINT)"
        if self.type != "text":
            return cut
        exact = f"TRY_CAST(CAST({self.sql} AS VARCHAR) AS BIGINT)"
        return f"CASE WHEN {_is_like(self.sql, INTEGER)} THEN {exact} ELSE {cut} END"

    @property
    def boolean(self) -> str:
        """The same as true or false, null where it is neither."""
        if self.type == "boolean":
            return self.sql
        return f"CASE {self.text} WHEN 'true' THEN TRUE WHEN 'false' THEN FALSE END"


def literal(value: str | float | bool) -> str:
    """Return a value as an SQL literal, safely quoted."""
    return exp.convert(value).sql(DuckDB)


def name(identifier: str) -> str:
    """Return an identifier, quoted."""
    return exp.to_identifier(identifier, quoted=True).sql(DuckDB)


def moment(value: datetime) -> str:
    """Return a moment as a timestamp literal in UTC, without a zone."""
    return f"TIMESTAMP '{value.astimezone(UTC).replace(tzinfo=None).isoformat(sep=' ')}'"


def since_epoch(at: str) -> str:
    """Return the microseconds since 1970 of an expression that is a timestamp."""
    return f"DATE_DIFF('microsecond', TIMESTAMP '1970-01-01 00:00:00', {at})"


def _at(microseconds: str) -> str:
    return f"MAKE_TIMESTAMP({microseconds})"


def read(source: Source, dialect: Dialect) -> str:
    """Return the expression of one place in an event, over the atomic table's own columns.

    A column has its own type; what is inside JSON is text, null where it is no single value.
    """
    if not source.path:
        return source.column
    if dialect == "snowflake":
        steps = "".join(f"[{s}]" if isinstance(s, int) else f'["{s}"]' for s in source.path)
        found = f"GET_PATH({source.column}, {literal(steps)})"
        single = f"SUBSTR(TO_JSON({found}), 1, 1) NOT IN ('{{', '[')"
        return f"CASE WHEN {single} THEN CAST({found} AS VARCHAR) END"
    steps = "".join(f"[{s}]" if isinstance(s, int) else f'."{s}"' for s in source.path)
    path = literal(f"${steps}")
    return (
        f"CASE WHEN JSON_TYPE({source.column}, {path}) NOT IN ('OBJECT', 'ARRAY') "
        f"THEN JSON_EXTRACT_STRING({source.column}, {path}) END"
    )


def identifier(key: Source, dialect: Dialect) -> str:
    """Return the expression of an attribute key's identifier, as text."""
    return Value(read(key, dialect), _type(key)).text


def sources(attribute: Attribute) -> list[Source]:
    """Return every place in an event that an attribute reads."""
    places = criteria_sources(attribute.criteria, attribute.name) if attribute.criteria else []
    if attribute.aggregation not in WITHOUT_PROPERTY:
        places += leaves(source_of(attribute.property, attribute.name))
    return places


def criteria_sources(wanted: Criteria, owner: str) -> list[Source]:
    """Return every place in an event that criteria read."""
    return [
        leaf
        for criterion in [*(wanted.all or []), *(wanted.any or [])]
        for leaf in leaves(source_of(criterion.property, owner))
    ]


def selected(attribute: Attribute, names: Names) -> str:
    """Return the condition under which an event counts for an attribute (never null)."""
    conditions = []
    if attribute.events:
        conditions.append(_any([_pattern(pattern) for pattern in attribute.events]))
    if attribute.criteria is not None:
        conditions.append(criteria(attribute.criteria, attribute.name, names))
    if attribute.aggregation not in WITHOUT_PROPERTY:
        conditions.append(f"{value(attribute, names)} IS NOT NULL")
    return " AND ".join(conditions) or "TRUE"


def value(attribute: Attribute, names: Names) -> str:
    """Return the expression of an attribute's property, in the attribute's type."""
    found = evaluate(source_of(attribute.property, attribute.name), names)
    type_ = attribute.type.removesuffix("_list")
    if attribute.aggregation in ("category_count", "approx_count_distinct") or type_ == "string":
        return found.text
    if type_ == "bool":
        return found.boolean
    return found.integer if type_.startswith("int") else found.number


def criteria(wanted: Criteria, owner: str, names: Names) -> str:
    """Return the condition that an event meets all of ``all`` and one of ``any`` (never null)."""
    conditions = [_criterion(one, owner, names) for one in wanted.all or []]
    if wanted.any:
        conditions.append(_any([_criterion(one, owner, names) for one in wanted.any]))
    return " AND ".join(conditions) or "TRUE"


def evaluate(place: Place, names: Names) -> Value:
    """Return the value at a place of an event."""
    if isinstance(place, Calculated):
        return _calculated(place, [evaluate(part, names) for part in place.parts])
    [leaf] = leaves(place)
    found = Value(names(leaf), _type(leaf))
    return found if place.date_part is None else _date_part(found, place.date_part)


def _type(leaf: Source) -> ColumnType:
    return "text" if leaf.path else column_type(leaf.column)


def _calculated(place: Calculated, parts: Sequence[Value]) -> Value:
    if place.operation == "coalesce":
        same = {part.type for part in parts}
        if len(same) == 1:
            return Value(f"COALESCE({', '.join(part.sql for part in parts)})", same.pop())
        return Value(f"COALESCE({', '.join(part.text for part in parts)})", "text")
    if place.operation == "concat":
        separator = literal(place.separator)
        joined = " || ".join(f"COALESCE({separator} || {part.text}, '')" for part in parts)
        known = " OR ".join(f"{part.sql} IS NOT NULL" for part in parts)
        start = len(place.separator) + 1
        return Value(f"CASE WHEN {known} THEN SUBSTR({joined}, {start}) END", "text")
    numbers = [part.number for part in parts]
    combined = {
        "sum": " + ".join(f"({number})" for number in numbers),
        "product": " * ".join(f"({number})" for number in numbers),
        "min": f"LEAST({', '.join(numbers)})",
        "max": f"GREATEST({', '.join(numbers)})",
    }[place.operation]
    known = " AND ".join(f"({number}) IS NOT NULL" for number in numbers)
    return Value(f"CASE WHEN {known} THEN {combined} END", "float")


def _date_part(found: Value, part: str) -> Value:
    moment = found.sql if found.type == "timestamp" else _parsed(found.text)
    monday = _at(f"{since_epoch(moment)} - (ISODOW({moment}) - 1) * {DAY}")
    parts: dict[str, tuple[str, ColumnType]] = {
        "hour_of_day": (f"EXTRACT(HOUR FROM {moment})", "integer"),
        "day_of_week": (f"ISODOW({moment})", "integer"),
        "month_of_year": (f"EXTRACT(MONTH FROM {moment})", "integer"),
        "active_day": (f"CAST(CAST({moment} AS DATE) AS VARCHAR)", "text"),
        "active_week": (f"CAST(CAST({monday} AS DATE) AS VARCHAR)", "text"),
        "active_month": (f"CAST(CAST(DATE_TRUNC('month', {moment}) AS DATE) AS VARCHAR)", "text"),
    }
    return Value(*parts[part])


def _parsed(text: str) -> str:
    """Return a date-time in text (see `selection.DATE_TIME`) as a moment in UTC."""
    written = f"TRY_CAST(CAST(REPLACE(SUBSTR({text}, 1, 19), 'T', ' ') AS VARCHAR) AS TIMESTAMP)"
    minutes = f"CAST(SUBSTR({text}, -5, 2) AS BIGINT) * 60 + CAST(SUBSTR({text}, -2, 2) AS BIGINT)"
    offset = (
        f"CASE WHEN {_is_like(text, '.*[+-][0-9]{2}:[0-9]{2}')} THEN ({minutes})"
        f" * CASE SUBSTR({text}, -6, 1) WHEN '-' THEN -1 ELSE 1 END ELSE 0 END"
    )
    return (
        f"CASE WHEN {_is_like(text, DATE_TIME)}"
        f" THEN {_at(f'{since_epoch(written)} - {MINUTE} * ({offset})')} END"
    )


def _written(moment: str) -> str:
    """Return a moment as text, with six digits: no format of a session has a say in it."""
    digits = [f"EXTRACT({part} FROM {moment})" for part in ("HOUR", "MINUTE", "SECOND")]
    digits.append(f"DATE_DIFF('microsecond', DATE_TRUNC('second', {moment}), {moment})")
    hour, minute, second, fraction = (
        f"LPAD(CAST(CAST({number} AS BIGINT) AS VARCHAR), {width}, '0')"
        for number, width in zip(digits, (2, 2, 2, 6), strict=True)
    )
    day = f"CAST(CAST({moment} AS DATE) AS VARCHAR)"
    return f"({day} || ' ' || {hour} || ':' || {minute} || ':' || {second} || '.' || {fraction})"


def _is_like(text: str, pattern: str) -> str:
    """Whether the whole of a text is like a regular expression, in either dialect."""
    return f"REGEXP_MATCHES({text}, {literal(f'^({pattern})$')})"


def _any(conditions: list[str]) -> str:
    return f"({' OR '.join(conditions)})"


def _pattern(pattern: EventOutput) -> str:
    wanted = {
        "event_vendor": pattern.vendor,
        "event_name": pattern.name,
        "event_version": pattern.version,
    }
    conditions = [
        f"COALESCE({column} = {literal(x)}, FALSE)" for column, x in wanted.items() if x is not None
    ]
    return f"({' AND '.join(conditions) or 'TRUE'})"


def _criterion(criterion: SignalsApiModelsViewCriterionCriterion, owner: str, names: Names) -> str:
    found = evaluate(source_of(criterion.property, owner), names)
    wanted: Any = criterion.value
    if criterion.operator in ("is null", "is not null"):
        return f"({found.sql}) {criterion.operator.upper()}"
    if criterion.operator == "like":
        return f"COALESCE({found.text} LIKE {literal(str(wanted))}, FALSE)"
    if criterion.operator == "in":
        return _any([_comparison(found, "=", one) for one in wanted] or ["FALSE"])
    return _comparison(found, _COMPARISONS[criterion.operator], wanted)


def _comparison(found: Value, operator: str, wanted: str | float | bool) -> str:
    """Compare in the criterion's own type; a property that does not fit does not meet it."""
    if isinstance(wanted, bool):
        test = f"({found.boolean}) {operator} {literal(wanted)}"
    elif isinstance(wanted, int | float):
        test = f"({found.number}) {operator} {literal(wanted)}"
    else:
        test = f"{found.text} {operator} {literal(wanted)}"
    return f"COALESCE({test}, FALSE)"
