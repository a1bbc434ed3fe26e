"""A visitor whose score is high enough is told of once, to the page that waits."""

import asyncio
from collections.abc import Iterator

import pytest
from pydantic import SecretStr
from snowplow_signals import SignalsSandbox

from prospect_pipeline.serving.crossing import Crossings
from prospect_pipeline.settings import DataSettings, ServingSettings
from prospect_pipeline.signals.client import OnlineAttributes
from prospect_pipeline.signals.connection import Connection
from prospect_pipeline_tests.sandbox.conftest import TOKEN, signals_over
from prospect_pipeline_tests.sandbox.test_interventions import Line

SETTINGS = ServingSettings.load(intervention="likely_to_convert", intervention_threshold=0.3)
MODELS = 0.6
"""The threshold of the model."""


@pytest.fixture
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SignalsSandbox]:
    data = DataSettings.load(data_dir=tmp_path_factory.mktemp("data"))
    with signals_over(data, "wall") as signals:
        yield signals


def notice(url: str, *scores: tuple[str, float], settings: ServingSettings = SETTINGS) -> None:
    async def all_of_them() -> None:
        there = Connection("local", url, SecretStr(TOKEN))
        client = OnlineAttributes(lambda: there, "service", "domain_userid", 5000)
        crossings = Crossings(settings, client)
        for visitor, score in scores:
            crossings.notice(visitor, score, MODELS)
            await crossings.close()
        await client.close()

    asyncio.run(all_of_them())


def test_the_first_high_score_is_told_and_no_other(live: SignalsSandbox) -> None:
    url = str(live.api_client.api_url)
    with Line(live, domain_userid="ann") as ann, Line(live, domain_userid="bob") as bob:
        notice(url, ("ann", 0.29), ("ann", 0.3), ("ann", 0.9), ("bob", 0.1))
        told = ann.next()
        assert (told.name, told.attributes) == ("likely_to_convert", {"score": "0.3000"})
        assert ann.silent()
        assert bob.silent()


def test_without_a_threshold_of_its_own_it_is_the_models(live: SignalsSandbox) -> None:
    unset = ServingSettings.load(intervention="likely_to_convert")
    with Line(live, domain_userid="ann") as ann:
        notice(str(live.api_client.api_url), ("ann", 0.59), ("ann", 0.61), settings=unset)
        assert ann.next().attributes == {"score": "0.6100"}
        assert ann.silent()


def test_whom_nobody_waits_for_is_tried_again(live: SignalsSandbox) -> None:
    url = str(live.api_client.api_url)
    notice(url, ("ann", 0.5), ("ann", 0.6))  # nobody has subscribed yet
    with Line(live, domain_userid="ann") as ann:
        notice(url, ("ann", 0.7))
        assert ann.next().attributes == {"score": "0.7000"}


def test_a_signals_that_is_away_does_not_matter() -> None:
    notice("http://127.0.0.1:9", ("ann", 0.9))
