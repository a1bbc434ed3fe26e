"""Where a property lives in Snowplow's atomic events: which column, and which path inside it.

Source: Snowplow's canonical event and the column naming of its loaders
(``contexts_<vendor>_<name>_<major>``, ``unstruct_event_<vendor>_<name>_<major>``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal, get_args

from snowplow_signals import (
    AtomicProperty,
    AttributeKey,
    EntityProperty,
    EventProperty,
    LinkAttributeKey,
)
from snowplow_signals.models.model import CalculatedProperty

from prospect_pipeline.errors import DefinitionError, UnsupportedAttribute

ColumnType = Literal["text", "integer", "float", "boolean", "timestamp", "json"]
Step = str | int

ATOMIC_COLUMNS: frozenset[str] = frozenset(get_args(AtomicProperty.model_fields["name"].annotation))

_INTEGERS = frozenset(
    "txn_id domain_sessionidx page_urlport refr_urlport ti_quantity pp_xoffset_min pp_xoffset_max"
    " pp_yoffset_min pp_yoffset_max br_viewwidth br_viewheight dvce_screenwidth dvce_screenheight"
    " doc_width doc_height".split()
)
_FLOATS = frozenset(
    "geo_latitude geo_longitude se_value tr_total tr_tax tr_shipping ti_price tr_total_base"
    " tr_tax_base tr_shipping_base ti_price_base".split()
)
_BOOLEANS = frozenset(
    "br_features_pdf br_features_flash br_features_java br_features_director"
    " br_features_quicktime br_features_realplayer br_features_windowsmedia br_features_gears"
    " br_features_silverlight br_cookies dvce_ismobile".split()
)
_JSON = frozenset({"contexts", "unstruct_event", "derived_contexts"})


def is_event_column(name: str) -> bool:
    """Whether a lower-case column name belongs to Snowplow's atomic events."""
    return name in ATOMIC_COLUMNS or name.startswith(("contexts_", "unstruct_event_"))


@lru_cache(maxsize=10_000)
def column_type(name: str) -> ColumnType:
    """Return the type that a column of the atomic events has."""
    if name in _JSON or name.startswith(("contexts_", "unstruct_event_")):
        return "json"
    if name.endswith("_tstamp"):
        return "timestamp"
    if name in _INTEGERS:
        return "integer"
    if name in _FLOATS:
        return "float"
    return "boolean" if name in _BOOLEANS else "text"


@dataclass(frozen=True)
class Source:
    """One place in an event: a column, and for a JSON column the steps inside it."""

    column: str
    path: tuple[Step, ...] = ()
    date_part: str | None = None


@dataclass(frozen=True)
class Calculated:
    """A value made of several places of the same event.

    ``concat`` joins texts with a separator and skips nulls; ``sum``, ``product``, ``min`` and
    ``max`` are numbers, null where any part is; ``coalesce`` is the first part that is not null.
    """

    operation: str
    parts: tuple[Source, ...]
    separator: str = ""


Place = Source | Calculated


def source_of(property_: Any, owner: str) -> Place:
    """Return where an SDK property lives; ``owner`` is named in errors.

    Raises DefinitionError for a property that this package does not know.
    """
    if isinstance(property_, CalculatedProperty):
        if property_.separator is not None and property_.operation != "concat":
            raise DefinitionError(
                f"'{owner}' has a separator for '{property_.operation}', which joins no texts. "
                "Remove it."
            )
        parts = (_leaf(getattr(part, "root", part), owner) for part in property_.properties)
        return Calculated(property_.operation, tuple(parts), property_.separator or "")
    return _leaf(property_, owner)


def leaves(place: Place) -> tuple[Source, ...]:
    """Return what is read from an event for a place, before any date part."""
    parts = place.parts if isinstance(place, Calculated) else (place,)
    return tuple(replace(part, date_part=None) for part in parts)


def _leaf(property_: Any, owner: str) -> Source:
    if isinstance(property_, AtomicProperty):
        if property_.name in _JSON:
            raise UnsupportedAttribute(
                owner, f"column '{property_.name}' is no single value; name a property inside it"
            )
        source = Source(property_.name, (), property_.date_part)
    elif isinstance(property_, EventProperty):
        column = event_column(property_.vendor, property_.name, property_.major_version)
        source = Source(column, _steps(property_.path, owner), property_.date_part)
    elif isinstance(property_, EntityProperty):
        column = entity_column(property_.vendor, property_.name, property_.major_version)
        path = (property_.index or 0, *_steps(property_.path, owner))
        source = Source(column, path, property_.date_part)
    else:
        raise DefinitionError(
            f"'{owner}' uses a {type(property_).__name__}, which is not supported; use an "
            "AtomicProperty, EventProperty, EntityProperty or CalculatedProperty."
        )
    if source.date_part and not source.path and column_type(source.column) != "timestamp":
        raise DefinitionError(
            f"'{owner}' takes the {source.date_part} of '{source.column}', which holds no "
            "date-time. Use one of the *_tstamp columns, or remove the date_part."
        )
    return source


def key_source(key: AttributeKey | LinkAttributeKey) -> Source:
    """Return where the identifier of an attribute key lives."""
    if isinstance(key, AttributeKey) and key.property is not None:
        if getattr(key.property, "date_part", None):
            raise DefinitionError(
                f"Attribute key '{key.name}' has a date_part, which a key may not. Remove it."
            )
        return _leaf(key.property, f"attribute key {key.name}")
    given = dict(key)  # reading `.key` itself warns
    column = given.get("key") or given.get("external_column") or key.name
    if column is None or not is_event_column(column) or column_type(column) == "json":
        raise DefinitionError(
            f"Attribute key '{key.name}' stands for column '{column}', which atomic events do not "
            "have; name one of theirs, or give the key a property."
        )
    return Source(column)


def event_column(vendor: str, name: str, major: int) -> str:
    """Return the column that holds a self-describing event of a schema."""
    return f"unstruct_event_{_snake(vendor, name)}_{major}"


def entity_column(vendor: str, name: str, major: int) -> str:
    """Return the column that holds the entities of a schema."""
    return f"contexts_{_snake(vendor, name)}_{major}"


def _snake(vendor: str, name: str) -> str:
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", f"{vendor}_{name}")
    return re.sub(r"[^A-Za-z0-9]", "_", spaced).lower()


def _steps(path: str, owner: str) -> tuple[Step, ...]:
    """Split ``$.a.b[0].c`` (the ``$.`` is optional) into its steps."""
    rest = path.removeprefix("$").removeprefix(".")
    if not re.fullmatch(r"[^.\[\]\"]+(\[\d+\])*(\.[^.\[\]\"]+(\[\d+\])*)*", rest):
        raise DefinitionError(
            f"'{owner}' has the path '{path}', which is not like 'a.b[0].c'; write it so."
        )
    tokens = re.findall(r"[^.\[\]]+", rest)
    indices = {m.start() + 1 for m in re.finditer(r"\[\d+\]", rest)}
    places = [m.start() for m in re.finditer(r"[^.\[\]]+", rest)]
    return tuple(
        int(token) if place in indices else token
        for token, place in zip(tokens, places, strict=True)
    )
