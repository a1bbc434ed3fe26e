"""One version of an attribute group, as a model carries it."""

import pytest
from snowplow_signals import Attribute, Event, StreamAttributeGroup, domain_userid

from prospect_pipeline.attributes.version import GroupVersion

VIEWS = Attribute(
    name="views", type="int32", aggregation="counter", events=[Event(name="page_view")]
)
GROUP = StreamAttributeGroup(
    name="mine", version=3, owner="me@example.com", attribute_key=domain_userid, attributes=[VIEWS]
)


def test_it_names_the_groups_attributes_as_signals_takes_them() -> None:
    made = GroupVersion.of(GROUP)

    assert made == GroupVersion("mine", 3, ("views",))
    assert made.qualified == ["mine_v3:views"]
    assert str(made) == "attribute group 'mine' version 3"


def test_it_is_read_back_as_it_was_written() -> None:
    made = GroupVersion("mine", 3, ("views", "pages"))

    assert GroupVersion.from_json(made.to_json()) == made


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", '{"name": "mine", "version": 3}'])
def test_what_is_no_version_is_an_error_of_values(text: str) -> None:
    with pytest.raises(ValueError):
        GroupVersion.from_json(text)
