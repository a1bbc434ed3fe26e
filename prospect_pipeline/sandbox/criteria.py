"""When a rule-based intervention's criteria are met.

Source: "Define interventions" in Snowplow's documentation. What is not said there is chosen here:
a value that is null meets ``is null`` alone; a list meets a comparison where one of its elements
does, and its negation where none does; ``rlike`` looks for its pattern anywhere.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from prospect_pipeline.attributes.selection import like
from prospect_pipeline.errors import DefinitionError

Values = Mapping[str, Any]
"""Attribute values by their name in criteria, ``group:attribute``."""

Tree = Mapping[str, Any]
"""Criteria as JSON: one criterion, or ``all``, ``any`` or ``none`` of several."""

COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda found, wanted: found == wanted,
    "<": lambda found, wanted: found < wanted,
    ">": lambda found, wanted: found > wanted,
    "<=": lambda found, wanted: found <= wanted,
    ">=": lambda found, wanted: found >= wanted,
    "in": lambda found, wanted: found in wanted,
    "like": lambda found, wanted: like(found, str(wanted)),
    "rlike": lambda found, wanted: bool(re.search(str(wanted), str(found))),
}
NEGATIONS = {"!=": "=", "not in": "in", "not like": "like", "not rlike": "rlike"}


def attributes(tree: Tree) -> Iterator[str]:
    """Yield the names of the attributes that criteria are about."""
    for one in leaves(tree):
        yield one["attribute"]


def leaves(tree: Tree) -> Iterator[Tree]:
    """Yield the single criteria."""
    parts = [part for kind in ("all", "any", "none") for part in tree.get(kind) or []]
    if "attribute" in tree:
        yield tree
    for part in parts:
        yield from leaves(part)


def check(tree: Tree, owner: str) -> None:
    """Raise DefinitionError for criteria that make no sense."""
    if not list(leaves(tree)):
        raise DefinitionError(f"Intervention '{owner}' has no criterion; give it one.")
    for one in leaves(tree):
        operator, wanted = one["operator"], one.get("value")
        lonely = operator in ("is null", "is not null", "changed")
        if lonely != (wanted is None):
            expected = "takes no value" if lonely else "needs a value"
            raise DefinitionError(f"Intervention '{owner}': '{operator}' {expected}.")
        if (operator in ("in", "not in")) != isinstance(wanted, list) and not lonely:
            raise DefinitionError(
                f"Intervention '{owner}': '{operator}' got {wanted!r}; only 'in' and 'not in' take "
                "a list, and they take nothing else."
            )
        if operator in ("rlike", "not rlike"):
            try:
                re.compile(str(wanted))
            except re.error as error:
                raise DefinitionError(
                    f"Intervention '{owner}': '{wanted}' is no regular expression: {error}."
                ) from None
    if _changed_in_any_or_none(tree):
        raise DefinitionError(
            f"Intervention '{owner}': 'changed' may stand alone or within 'all', not within 'any' "
            "or 'none'."
        )


def has_changed(tree: Tree) -> bool:
    """Whether criteria ask for a change, and so may be met again and again."""
    return any(one["operator"] == "changed" for one in leaves(tree))


def met(tree: Tree, values: Values, before: Values) -> bool:
    """Whether criteria are met by values, given those before the event."""
    if tree.get("all") is not None:
        return all(met(part, values, before) for part in tree["all"])
    if tree.get("any") is not None:
        return any(met(part, values, before) for part in tree["any"])
    if tree.get("none") is not None:
        return not any(met(part, values, before) for part in tree["none"])
    name, operator = tree["attribute"], tree["operator"]
    found = values.get(name)
    if operator == "changed":
        return bool(found != before.get(name))
    if operator in ("is null", "is not null"):
        return (found is None) is (operator == "is null")
    if found is None:
        return False
    if operator in NEGATIONS:
        return not _compare(NEGATIONS[operator], found, tree["value"])
    return _compare(operator, found, tree["value"])


def _compare(operator: str, found: Any, wanted: Any) -> bool:
    if isinstance(found, list):
        return any(_compare(operator, one, wanted) for one in found)
    try:
        return COMPARISONS[operator](found, wanted)
    except TypeError:  # a text and a number have no order
        return False


def _changed_in_any_or_none(tree: Tree) -> bool:
    inside = [part for kind in ("any", "none") for part in tree.get(kind) or []]
    return any(map(has_changed, inside)) or any(
        map(_changed_in_any_or_none, [*(tree.get("all") or []), *inside])
    )
