"""Random attribute groups for tests: every aggregation, over every kind of window."""

from datetime import timedelta
from typing import Any

from hypothesis import strategies as st
from snowplow_signals import (
    AtomicProperty,
    Attribute,
    Criteria,
    Criterion,
    EntityProperty,
    Event,
    StreamAttributeGroup,
    domain_sessionid,
    domain_userid,
)
from snowplow_signals.models import AttributeKey

from prospect_pipeline_tests.events import DAY, SNOWPLOW

DEVICE = EntityProperty(
    vendor="nl.basjes", name="yauaa_context", major_version=1, path="deviceClass"
)
SECOND_DEVICE = DEVICE.model_copy(update={"index": 1})
NUMBERS = {"se_value": "double", "domain_sessionidx": "int64"}
AGGREGATIONS = (
    "counter sum min max mean first last unique_list most_frequent least_frequent category_count"
    " approx_count_distinct time_since_last time_since_first"
).split()
# On the grid of the events' moments, so that gaps of exactly a period or a ttl are common.
SPANS = (timedelta(microseconds=1), timedelta(hours=1), DAY, 7 * DAY, 30 * DAY)


def _pattern(name: str | None = None, version: str | None = None) -> Event:
    return Event(vendor=SNOWPLOW, name=name, version=version)


EVENTS = (
    [],
    [_pattern("page_view", "1-0-0")],
    [_pattern("page_view"), _pattern("page_ping")],
    [Event(vendor=f"{SNOWPLOW}.media")],
    [Event(name="submit_form")],
)
CRITERIA = (
    None,
    None,
    Criteria(all=[Criterion.like(AtomicProperty(name="page_url"), "%pricing%")]),
    Criteria(all=[Criterion.is_null(AtomicProperty(name="mkt_campaign"))]),
    Criteria(any=[Criterion.eq(DEVICE, "Phone"), Criterion.gt(AtomicProperty(name="se_value"), 2)]),
)


def _shape(draw: st.DrawFn, aggregation: str) -> dict[str, Any]:
    """Return the property and the type that suit an aggregation."""
    if aggregation == "counter":
        return {"type": "int32"}
    if aggregation.startswith("time_since"):
        return {"type": "double", "time_unit": draw(st.sampled_from(["s", "min", "h", "d"]))}
    if aggregation in ("sum", "min", "max", "mean"):
        column, kind = draw(st.sampled_from(sorted(NUMBERS.items())))
        kind = "double" if aggregation == "mean" else kind
        return {"property": AtomicProperty(name=column), "type": kind}
    text = [
        AtomicProperty(name="app_id"),
        AtomicProperty(name="mkt_campaign"),
        DEVICE,
        SECOND_DEVICE,
    ]
    numbers = [AtomicProperty(name=column) for column in NUMBERS]
    chosen = draw(st.sampled_from([*text, *numbers]))
    kind = NUMBERS.get(getattr(chosen, "name", ""), "string")
    kinds = {
        "unique_list": f"{kind}_list",
        "category_count": "dict",
        "approx_count_distinct": "int32",
    }
    return {"property": chosen, "type": kinds.get(aggregation, kind)}


@st.composite
def attributes(draw: st.DrawFn, name: str) -> Attribute:
    aggregation = draw(st.sampled_from(AGGREGATIONS))
    window = draw(st.sampled_from(["period", "ttl", "ever"]))
    span = {} if window == "ever" else {window: draw(st.sampled_from(SPANS))}
    return Attribute(
        name=name,
        aggregation=aggregation,
        events=draw(st.sampled_from(EVENTS)),
        criteria=draw(st.sampled_from(CRITERIA)),
        **_shape(draw, aggregation),
        **span,
    )


KEYS = (
    domain_userid,
    domain_sessionid,
    AttributeKey(name="device", property=DEVICE),
    AttributeKey(name="visit", property=AtomicProperty(name="domain_sessionidx")),
)


@st.composite
def groups(draw: st.DrawFn) -> StreamAttributeGroup:
    made = [draw(attributes(f"a{n}")) for n in range(draw(st.integers(1, 6)))]
    return StreamAttributeGroup(
        name="g",
        version=1,
        attribute_key=draw(st.sampled_from(KEYS)),
        owner="a@example.com",
        attributes=made,
        ttl=draw(st.sampled_from([None, None, DAY])),
    )
