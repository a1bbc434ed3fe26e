"""Which events count for an attribute, and what is read from them: the same as `selection`, in SQL.

Expressions are DuckDB's; a whole query is turned into another dialect at once.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from snowplow_signals.models.model import (
    Attribute,
    Criteria,
    EventOutput,
    SignalsApiModelsViewCriterionCriterion,
)
from sqlglot import exp

from prospect_pipeline.attributes.properties import Source, column_type, source_of
from prospect_pipeline.attributes.selection import check_sensible
from prospect_pipeline.errors import UnsupportedAttribute

Dialect = Literal["duckdb", "snowflake"]
Names = Callable[[Source], str]
SUPPORTED = ("counter", "first", "last", "unique_list")
_COMPARISONS = {"=": "=", "!=": "<>", "<": "<", ">": ">", "<=": "<=", ">=": ">="}


def literal(value: str | float | bool) -> str:
    """Return a value as an SQL literal, safely quoted."""
    return exp.convert(value).sql("duckdb")


def name(identifier: str) -> str:
    """Return an identifier, quoted."""
    return exp.to_identifier(identifier, quoted=True).sql("duckdb")


def moment(value: datetime) -> str:
    """Return a moment as a timestamp literal in UTC, without a zone."""
    return f"TIMESTAMP '{value.astimezone(UTC).replace(tzinfo=None).isoformat(sep=' ')}'"


def interval(value: timedelta) -> str:
    """Return a span as an interval literal; microseconds where it is no whole second."""
    if value.microseconds:
        return f"INTERVAL '{value // timedelta(microseconds=1)}' MICROSECOND"
    return f"INTERVAL '{value // timedelta(seconds=1)}' SECOND"


def sources(attribute: Attribute) -> list[Source]:
    """Return every place in an event that an attribute reads."""
    criteria = attribute.criteria
    listed = [*(criteria.all or []), *(criteria.any or [])] if criteria else []
    places = [source_of(criterion.property, attribute.name) for criterion in listed]
    if attribute.property is not None:
        places.append(source_of(attribute.property, attribute.name))
    return places


def check_supported(attribute: Attribute) -> None:
    """Raise UnsupportedAttribute, or DefinitionError for nonsense that the SDK lets through."""
    check_sensible(attribute)
    if attribute.aggregation not in SUPPORTED:
        raise UnsupportedAttribute(
            attribute.name,
            f"aggregation '{attribute.aggregation}' is not compiled to SQL; "
            f"use one of {', '.join(SUPPORTED)}",
        )
    if any(source.date_part for source in sources(attribute)):
        raise UnsupportedAttribute(attribute.name, "date parts are not compiled to SQL")


def selected(attribute: Attribute, names: Names) -> str:
    """Return the condition under which an event counts for an attribute (never null)."""
    conditions = []
    if attribute.events:
        conditions.append(_any([_pattern(pattern) for pattern in attribute.events]))
    if attribute.criteria is not None:
        conditions.append(criteria(attribute.criteria, attribute.name, names))
    from prospect_pipeline.attributes.selection import WITHOUT_PROPERTY

    if attribute.aggregation not in WITHOUT_PROPERTY:
        conditions.append(f"{value(attribute, names)} IS NOT NULL")
    return " AND ".join(conditions) or "TRUE"


def value(attribute: Attribute, names: Names) -> str:
    """Return the expression of an attribute's property, in the attribute's type."""
    text = names(source_of(attribute.property, attribute.name))
    type_ = attribute.type.removesuffix("_list")
    if type_ == "string" or attribute.aggregation in ("category_count", "approx_count_distinct"):
        return f"CAST({text} AS VARCHAR)"
    if type_ in ("int32", "int64"):
        return f"CAST(TRUNC({_number(text)}) AS BIGINT)"
    if type_ in ("float", "double"):
        return _number(text)
    if type_ == "bool":
        return f"CASE {text} WHEN 'true' THEN TRUE WHEN 'false' THEN FALSE END"
    raise UnsupportedAttribute(attribute.name, f"type '{attribute.type}' is not compiled to SQL")


def read(source: Source, dialect: Dialect) -> str:
    """Return the expression of one place in an event, as text."""
    if not source.path:
        return source.column
    path = literal("$" + "".join(_step(step) for step in source.path))
    return (
        f"CASE WHEN JSON_TYPE({source.column}, {path}) IN ('OBJECT', 'ARRAY') THEN NULL "
        f"ELSE JSON_EXTRACT_STRING({source.column}, {path}) END"
    )


def criteria(wanted: Criteria, owner: str, names: Names) -> str:
    """Return the condition that an event meets all of ``all`` and one of ``any``."""
    conditions = [_criterion(one, owner, names) for one in wanted.all or []]
    if wanted.any:
        conditions.append(_any([_criterion(one, owner, names) for one in wanted.any]))
    return " AND ".join(conditions) or "TRUE"


def _step(step: str | int) -> str:
    return f"[{step}]" if isinstance(step, int) else f'."{step}"'


def _number(text: str) -> str:
    return f"CAST({text} AS DOUBLE)"


def _any(conditions: list[str]) -> str:
    return f"({' OR '.join(conditions)})"


def _pattern(pattern: EventOutput) -> str:
    wanted = {
        "event_vendor": pattern.vendor,
        "event_name": pattern.name,
        "event_version": pattern.version,
    }
    conditions = [f"{column} = {literal(x)}" for column, x in wanted.items() if x is not None]
    return f"({' AND '.join(conditions) or 'TRUE'})"


def _criterion(criterion: SignalsApiModelsViewCriterionCriterion, owner: str, names: Names) -> str:
    text = names(source_of(criterion.property, owner))
    wanted: Any = criterion.value
    if criterion.operator in ("is null", "is not null"):
        return f"{text} {criterion.operator.upper()}"
    if criterion.operator == "like":
        return f"COALESCE({text} LIKE {literal(str(wanted))}, FALSE)"
    if criterion.operator == "in":
        return _any([_comparison(text, "=", one) for one in wanted] or ["FALSE"])
    return _comparison(text, _COMPARISONS[criterion.operator], wanted)


def _comparison(text: str, operator: str, wanted: str | float | bool) -> str:
    """Compare in the criterion's own type; a property that does not fit does not meet it."""
    if isinstance(wanted, bool):
        test = f"{text} IN ('true', 'false') AND ({text} = 'true') {operator} {literal(wanted)}"
    elif isinstance(wanted, int | float):
        test = f"{_number(text)} {operator} {literal(wanted)}"
    else:
        test = f"{text} {operator} {literal(wanted)}"
    return f"COALESCE({test}, FALSE)"


def criteria_sources(wanted: Criteria, owner: str) -> list[Source]:
    return [source_of(c.property, owner) for c in [*(wanted.all or []), *(wanted.any or [])]]


def identifier(key: Source, dialect: Dialect) -> str:
    """Return the expression of an attribute key's identifier, as text."""
    text = key.path or column_type(key.column) == "text"
    return read(key, dialect) if text else f"CAST({read(key, dialect)} AS VARCHAR)"
