"""Who may ask, and how often."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from prospect_pipeline.serving import guard
from prospect_pipeline.serving.guard import ApiKeys, RateLimit

KEY, NEXT = "a-key-that-nobody-guesses", "the-key-of-the-next-month"


class Time:
    """Seconds that pass when a test says so."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("authorization", "own"),
    [
        (f"Bearer {KEY}", None),
        (f"bearer {KEY}", None),
        (f"Bearer   {NEXT} ", None),
        (None, KEY),
        (None, NEXT),
        ("Basic YTpi", KEY),
        ("Bearer of-the-proxy", KEY),
    ],
)
def test_each_of_the_keys_is_accepted(authorization: str | None, own: str | None) -> None:
    assert accepted(authorization, own)


@pytest.mark.parametrize(
    ("authorization", "own"),
    [
        (None, None),
        ("", ""),
        (KEY, None),
        ("Bearer ", None),
        (f"Bearer {KEY}x", None),
        (f"Bearer {KEY[:-1]}", None),
        (f"Basic {KEY}", None),
        (None, f"{KEY},{NEXT}"),
        (f"Bearer {KEY},{NEXT}", None),
        ("Bearer", KEY.upper()),
    ],
)
def test_anything_else_is_refused(authorization: str | None, own: str | None) -> None:
    assert not accepted(authorization, own)


def test_without_keys_everybody_is_accepted() -> None:
    assert ApiKeys(None).accept(None, None)


def accepted(authorization: str | None, own: str | None) -> bool:
    keys = ApiKeys(SecretStr(f"{KEY}, {NEXT}"))
    return keys.accept(*(each if each is None else each.encode() for each in (authorization, own)))


def test_so_many_requests_are_let_through_at_once_and_then_at_an_even_pace() -> None:
    time = Time()
    limit = RateLimit(6, time)

    assert [limit.wait("ann") for _ in range(6)] == [0] * 6
    assert limit.wait("ann") == pytest.approx(10)
    time.now += 9
    assert limit.wait("ann") == pytest.approx(1)
    time.now += 1
    assert limit.wait("ann") == 0
    assert limit.wait("ann") == pytest.approx(10)


def test_clients_do_not_count_against_each_other() -> None:
    limit = RateLimit(1, Time())

    assert [limit.wait(client) for client in ("1.2.3.4", "1.2.3.5", "::1")] == [0, 0, 0]


def test_what_a_household_has_of_ipv6_is_one_client() -> None:
    limit = RateLimit(1, Time())

    assert limit.wait("2001:db8:1:2:aaaa::1") == 0
    assert limit.wait("2001:db8:1:2:bbbb::2") > 0
    assert limit.wait("2001:db8:1:3::1") == 0


def test_an_older_address_is_itself_whatever_kind_of_socket_it_comes_through() -> None:
    limit = RateLimit(1, Time())

    assert [limit.wait(f"::ffff:1.2.3.{last}") for last in (4, 5)] == [0, 0]
    assert limit.wait("1.2.3.4") > 0


def test_what_is_no_address_is_known_by_its_beginning() -> None:
    limit = RateLimit(1, Time())
    long = "x:" * 30_000

    assert limit.wait(long) == 0
    assert limit.wait(f"{long}y") > 0


def test_no_limit_lets_everything_through() -> None:
    limit = RateLimit(0, Time())

    assert {limit.wait("ann") for _ in range(1000)} == {0}


def test_many_at_once_count_as_many() -> None:
    time = Time()
    limit = RateLimit(60, time)

    assert limit.wait("ann", 40) == 0
    assert limit.wait("ann", 40) == pytest.approx(20)
    time.now += 20
    assert limit.wait("ann", 40) == 0
    assert limit.wait("bob", 61) > 0


def test_only_the_clients_of_late_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "MOST_CLIENTS", 2)
    limit = RateLimit(1, Time())
    for client in ("a", "b", "c"):
        limit.wait(client)

    assert limit.wait("a") == 0
    assert limit.wait("c") > 0


@given(st.integers(1, 50), st.lists(st.floats(0, 30), max_size=60))
def test_no_minute_has_more_than_twice_the_limit(a_minute: int, pauses: list[float]) -> None:
    time = Time()
    limit = RateLimit(a_minute, time)
    let_through = []
    for pause in pauses:
        time.now += pause
        if not limit.wait("ann"):
            let_through.append(time.now)

    for begin in let_through:
        assert sum(begin <= moment < begin + 60 for moment in let_through) <= 2 * a_minute
