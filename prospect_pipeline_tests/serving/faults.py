"""What can go wrong between the service and Signals, each as what a proxy does with a request."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from prospect_pipeline_tests.serving.proxy import Exchange, Fault, refused
from prospect_pipeline_tests.serving.standin import KEY
from prospect_pipeline_tests.signals.versions import PINNED_FIRST

Columns = dict[str, list[Any]]
PART, PARTS = 2**16, 20
MANY = ["s" * 36] * 700
TOO_MANY = ["s" * 36] * 30_000

UNAVAILABLE, UNUSABLE, SCORED = "signals_unavailable", "attributes_unusable", "scored"
GROUP = f"Signals refused {PINNED_FIRST} "
NO_GROUP = f"Signals (refused|has no published) {PINNED_FIRST}"
LENGTHS = "Signals answered with columns of different lengths."
OTHERS = "Signals answered of other identifiers than it was asked for."
VIEWS = "Attribute num_page_views_l7d is of type "
SESSIONS = "Attribute num_sessions_l7d is of type "


def answers(status: str, body: str | bytes = b'{"detail": "no"}', kind: str = "text/html") -> Fault:
    """The same answer to everything."""
    content = body.encode() if isinstance(body, str) else body

    async def fault(exchange: Exchange) -> None:
        await exchange.say(status, content, kind)

    return fault


def altered(change: Callable[[Columns], Columns]) -> Fault:
    """The stand-in's columns, changed; whether a group is published is told as it is."""

    async def fault(exchange: Exchange) -> None:
        _, body = await exchange.answered()
        columns = json.loads(body)
        told = change(columns) if exchange.reads else columns
        await exchange.say("200 OK", json.dumps(told).encode())

    return fault


def with_values(**values: Any) -> Fault:
    """Some attributes with the same value for every visitor; other names are extra ones."""

    def change(columns: Columns) -> Columns:
        return columns | {name: [value] * len(columns[KEY]) for name, value in values.items()}

    return altered(change)


def without(*names: str) -> Fault:
    """Without some columns."""
    return altered(lambda columns: {name: columns[name] for name in columns.keys() - set(names)})


async def hangs_up(exchange: Exchange) -> None:
    """The connection is closed in place of an answer."""
    exchange.hang_up()


async def hangs_up_midway(exchange: Exchange) -> None:
    """Half of an answer, then the end."""
    await _half(exchange)
    exchange.hang_up()


async def breaks_off(exchange: Exchange) -> None:
    """The connection is reset in place of an answer."""
    exchange.reset()


async def breaks_off_midway(exchange: Exchange) -> None:
    """Half of an answer, then a reset."""
    await _half(exchange)
    exchange.reset()


async def hangs(exchange: Exchange) -> None:
    """No answer, ever."""
    await exchange.hung_up()


async def hangs_midway(exchange: Exchange) -> None:
    """Half of an answer, and never the rest."""
    await _half(exchange)
    await exchange.hung_up()


def first_byte_after(seconds: float) -> Fault:
    """An answer that is whole, and begins late."""

    async def fault(exchange: Exchange) -> None:
        head, body = await exchange.answered()
        await asyncio.sleep(seconds)
        await exchange.send(head + body)

    return fault


def body_over(seconds: float) -> Fault:
    """An answer that begins at once, and whose body comes in small parts."""

    async def fault(exchange: Exchange) -> None:
        head, body = await exchange.answered()
        await exchange.send(head)
        size = -(-len(body) // PARTS)
        parts = [body[start : start + size] for start in range(0, len(body), size)]
        for part in parts:
            await asyncio.sleep(seconds / len(parts))
            await exchange.send(part)

    return fault


async def endless(exchange: Exchange) -> None:
    """A body that says nothing of its length, and does not end."""
    await exchange.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n[")
    while not exchange.writer.is_closing():
        await exchange.send(b" " * PART)


async def no_http(exchange: Exchange) -> None:
    """What another kind of server says."""
    await exchange.send(b"SSH-2.0-OpenSSH_9.6\r\n")


async def endless_head(exchange: Exchange) -> None:
    """Headers without end."""
    await exchange.send(b"HTTP/1.1 200 OK\r\nX-More: ")
    while not exchange.writer.is_closing():
        await exchange.send(b"m" * PART)


async def _half(exchange: Exchange) -> None:
    head, body = await exchange.answered()
    await exchange.send(head + body[: len(body) // 2])


def shuffled(columns: Columns) -> Columns:
    return {name: values[::-1] for name, values in columns.items()}


def of_others(columns: Columns) -> Columns:
    return columns | {KEY: [f"not {visitor}" for visitor in columns[KEY]]}


def of_one_alone(columns: Columns) -> Columns:
    return columns | {KEY: columns[KEY][:1] * len(columns[KEY])}


def one_short(columns: Columns) -> Columns:
    return columns | {"num_sessions_l7d": columns["num_sessions_l7d"][1:]}


def one_long(columns: Columns) -> Columns:
    return columns | {"num_sessions_l7d": [*columns["num_sessions_l7d"], ["s9"]]}


@dataclass(frozen=True)
class Case:
    """A fault and its outcome: what is answered, and how the message begins, as a pattern.

    ``alone`` says whether the outcome is that of a request for one visitor alone, too.
    """

    name: str
    fault: Fault
    outcome: str
    words: str = ""
    alone: bool = True


def cases(budget: float) -> list[Case]:
    """Return every fault, for a service that gives Signals so many seconds."""
    no_answer = rf"Signals gave no answer within {budget} s\."
    broken, unread = r"Signals cannot be reached, or broke off \(", "Signals gave an answer that"
    return [
        Case("refused", refused, UNAVAILABLE, broken),
        Case("reset", breaks_off, UNAVAILABLE, broken),
        Case("reset midway", breaks_off_midway, UNAVAILABLE, broken),
        Case("closed", hangs_up, UNAVAILABLE, broken),
        Case("closed midway", hangs_up_midway, UNAVAILABLE, broken),
        Case("slow to begin", first_byte_after(1.2 * budget), UNAVAILABLE, no_answer),
        Case("slow body", body_over(2 * budget), UNAVAILABLE, no_answer),
        Case("slow to begin, in time", first_byte_after(budget / 10), SCORED),
        Case("slow body, in time", body_over(budget / 10), SCORED),
        Case("hanging", hangs, UNAVAILABLE, no_answer),
        Case("hanging midway", hangs_midway, UNAVAILABLE, no_answer),
        Case("endless", endless, UNAVAILABLE, "Signals answered with more than "),
        Case("endless head", endless_head, UNAVAILABLE, broken),
        Case("no HTTP", no_http, UNAVAILABLE, broken),
        Case("302", answers("302 Found"), UNAVAILABLE, rf"{GROUP}\(302\)"),
        Case("400", answers("400 Bad Request"), UNAVAILABLE, rf"{GROUP}\(400\)"),
        Case("401", answers("401 Unauthorized"), UNAVAILABLE, rf"{GROUP}\(401\)"),
        Case("403", answers("403 Forbidden"), UNAVAILABLE, rf"{GROUP}\(403\)"),
        Case("404", answers("404 Not Found"), UNAVAILABLE, NO_GROUP),
        Case("429", answers("429 Too Many Requests"), UNAVAILABLE, rf"{GROUP}\(429\)"),
        Case("500", answers("500 Oops", "Traceback"), UNAVAILABLE, "Signals answered 500."),
        Case("503", answers("503 Busy", "Traceback"), UNAVAILABLE, "Signals answered 503."),
        Case("HTML", answers("200 OK", "<html>Traceback</html>"), UNAVAILABLE, unread),
        Case("nothing", answers("200 OK", ""), UNAVAILABLE, unread),
        Case("half a JSON", answers("200 OK", '{"views": [1'), UNAVAILABLE, unread),
        Case("no UTF-8", answers("200 OK", b'{"a": ["\xff"]}'), UNAVAILABLE, unread),
        Case("a list", answers("200 OK", "[1]"), UNAVAILABLE, "Signals answered with something"),
        Case("null", answers("200 OK", "null"), UNAVAILABLE, "Signals answered with something"),
        Case("text for a number", with_values(num_page_views_l7d="3"), UNUSABLE, VIEWS),
        Case("list for a number", with_values(num_page_views_l7d=[3]), UNUSABLE, VIEWS),
        Case("number for a list", with_values(num_sessions_l7d=2), UNUSABLE, SESSIONS),
        Case("text for a list", with_values(num_sessions_l7d="s"), UNUSABLE, SESSIONS),
        Case("number for a text", with_values(latest_app_id=3), SCORED),
        Case("a truth for a number", with_values(num_page_views_l7d=True), SCORED),
        Case("more attributes", with_values(new=1, domain_userids=[{}]), SCORED),
        Case("fewer attributes", without("num_sessions_l7d", "latest_app_id"), SCORED),
        Case("long lists", with_values(num_sessions_l7d=MANY, num_apps_l7d=MANY), SCORED),
        Case("too long lists", with_values(a=TOO_MANY), UNAVAILABLE, "Signals answered with more"),
        Case("another order", altered(shuffled), SCORED),
        Case("a column too short", altered(one_short), UNAVAILABLE, LENGTHS, alone=False),
        Case("a column too long", altered(one_long), UNAVAILABLE, LENGTHS, alone=False),
        Case("other visitors", altered(of_others), UNAVAILABLE, OTHERS),
        Case("one visitor for all", altered(of_one_alone), UNAVAILABLE, OTHERS, alone=False),
        Case("without the key", without(KEY), UNAVAILABLE, OTHERS, alone=False),
    ]  # fmt: skip
