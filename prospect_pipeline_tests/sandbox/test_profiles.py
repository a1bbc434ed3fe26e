"""The local Signals' profiles: many identifiers are read at once, each as it would be alone."""

import asyncio
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import pytest

from prospect_pipeline.attributes import prospect
from prospect_pipeline.attributes.properties import Source
from prospect_pipeline.sandbox import profiles
from prospect_pipeline.sandbox.collected import CollectedEvents
from prospect_pipeline.sandbox.profiles import Profiles
from prospect_pipeline.settings import Clock, DataSettings, DefinitionSettings
from prospect_pipeline_tests.events import NOW, event, write

GROUP = prospect.attribute_group(DefinitionSettings.load())


class Counted(CollectedEvents):
    """A store that knows whom it was asked for."""

    def __init__(self, data: DataSettings) -> None:
        super().__init__(data)
        self.asked: list[list[str]] = []

    def of_keys(
        self, key: Source, identifiers: Sequence[str], columns: Collection[str]
    ) -> list[dict[str, Any]]:
        self.asked.append(list(identifiers))
        return super().of_keys(key, identifiers, columns)


@pytest.fixture
def store(data: DataSettings, tmp_path: Path) -> Counted:
    found = Counted(data)
    loaded = [event("a", NOW, user="ann"), event("b", NOW, user="bob"), event("c", NOW, user="bob")]
    found.load(write(loaded, tmp_path / "events.parquet"))
    lately = {"domain_userid": "cat", "app_id": "shop"}
    copy_of_anns = event("a", NOW, **lately)
    asyncio.run(found.append([copy_of_anns, event("d", NOW, "submit_form", **lately)]))
    return found


def opened(store: CollectedEvents) -> Profiles:
    return Profiles(store, Clock.load(setting=NOW.isoformat()))


def test_whoever_is_read_with_others_has_the_values_of_one_who_is_read_alone(
    store: Counted,
) -> None:
    visitors = ["cat", "nobody", "ann", "bob"]

    together = opened(store).values(GROUP, visitors, NOW)

    assert together == [opened(store).values(GROUP, [each], NOW)[0] for each in visitors]
    assert [row["num_page_views_l7d"] for row in together] == [1, None, 1, 2]
    assert [row["num_conversions_l7d"] for row in together] == [1, None, None, None]


def test_the_store_is_asked_once_for_all_who_are_not_known_yet(store: Counted) -> None:
    known = opened(store)
    known.values(GROUP, ["ann"], NOW)
    known.values(GROUP, ["ann", "bob", "cat", "bob"], NOW)
    known.values(GROUP, ["ann", "bob", "cat"], NOW)

    assert store.asked == [["ann"], ["bob", "cat"]]


def test_more_identifiers_than_are_kept_are_answered_too(
    store: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(profiles, "MOST_PROFILES", 2)
    known = opened(store)

    found = known.values(GROUP, ["ann", "bob", "cat"], NOW)
    known.values(GROUP, ["bob", "cat"], NOW)

    assert [row["num_page_views_l7d"] for row in found] == [1, 2, 1]
    assert store.asked == [["ann", "bob", "cat"]]
