"""The attribute group in two versions, of the same attributes, that differ in what they count."""

from typing import Any

from snowplow_signals import Service, StreamAttributeGroup

from prospect_pipeline.attributes import prospect
from prospect_pipeline.attributes.version import GroupVersion
from prospect_pipeline.settings import DefinitionSettings
from prospect_pipeline_tests.events import DAY

CHANGED = "num_page_views_l7d"
"""What counts 7 days in the first version, and 15 in the second."""

SETTINGS = {number: DefinitionSettings.load(group_version=number) for number in (1, 2)}


def longer(group: StreamAttributeGroup) -> StreamAttributeGroup:
    """The same group with one attribute that counts more days."""
    attributes: list[Any] = [
        one.model_copy(update={"period": 15 * DAY}) if one.name == CHANGED else one
        for one in group.attributes
    ]
    return group.model_copy(update={"attributes": attributes})


FIRST: StreamAttributeGroup = prospect.attribute_group(SETTINGS[1])
SECOND: StreamAttributeGroup = longer(prospect.attribute_group(SETTINGS[2]))
PINNED_FIRST, PINNED_SECOND = GroupVersion.of(FIRST), GroupVersion.of(SECOND)


def service_of(group: StreamAttributeGroup) -> Service:
    """The one service, as it is published for a version."""
    return prospect.service(SETTINGS[group.version or 1])
