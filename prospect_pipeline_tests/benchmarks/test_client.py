import asyncio
from collections.abc import Callable

import pytest

from prospect_pipeline_tests.benchmarks import client, standin
from prospect_pipeline_tests.benchmarks.client import (
    LoadFailed,
    Measured,
    Pace,
    Target,
    keeping_pace,
    percentile,
    pressing,
)
from prospect_pipeline_tests.benchmarks.standin import StandIn

BODIES = ('{"attribute_keys": {"domain_userid": ["ann"]}}',)


@pytest.mark.parametrize(
    ("share", "expected"), [(0.5, 50), (0.501, 51), (0.95, 95), (0.99, 99), (1, 100), (0, 1)]
)
def test_a_percentile_is_the_least_value_that_so_many_do_not_exceed(
    share: float, expected: int
) -> None:
    assert percentile(range(1, 101), share) == expected


def test_the_percentiles_of_a_single_latency_are_that_latency() -> None:
    assert Measured.of([0.25], seconds=2) == Measured(1, 0.5, 250, 250, 250)


def test_latencies_are_ordered_before_they_are_summed_up() -> None:
    assert Measured.of([0.004, 0.001, 0.003, 0.002], seconds=1) == Measured(4, 4, 2, 4, 4)


def test_a_pace_is_even_and_ends() -> None:
    pace = Pace(4, seconds=1, begun=10)

    begun = [pace.start() for _ in range(4)]

    assert begun == [10, 10.25, 10.5, 10.75]
    assert not pace.due(100)


def test_a_request_is_not_due_before_its_time() -> None:
    pace = Pace(4, seconds=1, begun=10)
    pace.start()

    assert (pace.due(10.2), pace.due(10.25)) == (False, True)


def test_requests_that_a_stall_kept_back_count_from_when_they_were_due() -> None:
    pace = Pace(10, seconds=1, begun=0)
    now, waited = 0.55, []

    while pace.due(now):
        waited.append(round(now - pace.start(), 2))

    assert waited == [0.55, 0.45, 0.35, 0.25, 0.15, 0.05]
    assert pace.left == 4


class Closing(StandIn):
    """A server that takes one request a connection, and says so."""

    def data_received(self, data: bytes) -> None:
        answer = standin.READY.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
        self._transport.write(answer)
        self._transport.close()


class Refusing(StandIn):
    def data_received(self, data: bytes) -> None:
        self._transport.write(standin.answer("503 Service Unavailable", b"too busy"))


class HangingUp(StandIn):
    def data_received(self, data: bytes) -> None:
        self._transport.close()


class InPieces(StandIn):
    def data_received(self, data: bytes) -> None:
        for byte in standin.READY:
            self._transport.write(bytes([byte]))


def press(server: Callable[[], asyncio.Protocol], seconds: float = 0, pace: float = 0) -> Measured:
    """What is measured of a server of this process."""

    async def scenario() -> Measured:
        loop = asyncio.get_running_loop()
        async with await loop.create_server(server, "127.0.0.1", 0) as listening:
            port = listening.sockets[0].getsockname()[1]
            target = Target(f"http://127.0.0.1:{port}/api/v1/get-online-attributes", BODIES)
            if pace:
                return await keeping_pace(target, pace, seconds)
            return await pressing(target, 3, seconds)

    return asyncio.run(scenario())


@pytest.mark.parametrize("server", [StandIn, Closing, InPieces])
def test_every_connection_is_answered_at_least_once(server: type[StandIn]) -> None:
    assert press(server).requests == 3


def test_a_steady_pace_makes_as_many_requests_as_were_asked_for() -> None:
    assert press(StandIn, seconds=0.05, pace=1000).requests == 50


def test_a_steady_pace_faster_than_its_connections_makes_them_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(client, "MOST_CONNECTIONS", 1)

    assert press(StandIn, seconds=0.001, pace=100_000).requests == 100


def test_another_answer_than_200_ends_a_load() -> None:
    with pytest.raises(LoadFailed, match=r"503 Service Unavailable.*too busy"):
        press(Refusing)


def test_a_connection_that_is_closed_without_an_answer_ends_a_load() -> None:
    with pytest.raises(LoadFailed, match="closed a connection"):
        press(HangingUp, seconds=1, pace=10)
