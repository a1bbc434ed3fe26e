"""Reading attributes online: against real servers on loopback, as decoded by the SDK."""

import asyncio
import json
import socketserver
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import jwt
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import SecretStr
from snowplow_signals.attributes_client import _format_get_attributes_response
from snowplow_signals.models import GetAttributesResponse

from prospect_pipeline.attributes import prospect
from prospect_pipeline.attributes.version import GroupVersion
from prospect_pipeline.errors import SignalsError, SignalsRefused, SignalsUnavailable
from prospect_pipeline.sandbox.store import EventStore
from prospect_pipeline.settings import DataSettings, DefinitionSettings
from prospect_pipeline.signals import replies, tokens
from prospect_pipeline.signals.breaker import Breaker
from prospect_pipeline.signals.client import OnlineAttributes, OnlineValues
from prospect_pipeline.signals.connection import CLOCK_HEADER, Connection, Credentials
from prospect_pipeline.signals.tokens import Tokens
from prospect_pipeline_tests.events import NOW, event, write
from prospect_pipeline_tests.sandbox.conftest import TOKEN, serving, signals_over
from prospect_pipeline_tests.signals.versions import FIRST, PINNED_FIRST, PINNED_SECOND, SECOND

SECRET = "s3cret-of-ours"
KEY = "domain_userid"
SERVICE = "the_service"
BUDGET_MS = 10_000  # generous: a busy machine is no failure
SHORT_MS = 250
COLUMNS = {KEY: ["ann"], "views": [3], "pages": [["a", "b"]], "medium": [None], "nothing": []}
Reading = Callable[[OnlineAttributes], Awaitable[Any]]


class Signals:
    """A Signals whose answers a test chooses; it remembers what it was asked."""

    def __init__(self, *answers: Response) -> None:
        self.answers = list(answers)
        self.asked: list[dict[str, Any]] = []
        self.tokens: list[str | None] = []
        self.connections: set[int] = set()
        self.app = FastAPI()
        self.app.post("/api/v1/get-online-attributes")(self._answer)

    async def _answer(self, request: Request) -> Response:
        assert request.client is not None
        self.connections.add(request.client.port)
        self.tokens.append(request.headers.get("authorization"))
        self.asked.append(await request.json())
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def at(url: str, token: str = SECRET) -> Connection:
    return Connection("sandbox", url, SecretStr(token))


def use(reading: Reading, connect: Callable[[], Connection], budget_ms: int = BUDGET_MS) -> Any:
    """What a client gives that is closed afterwards."""

    async def go() -> Any:
        online = OnlineAttributes(connect, SERVICE, KEY, budget_ms)
        try:
            return await reading(online)
        finally:
            await online.close()

    return asyncio.run(go())


async def ann(online: OnlineAttributes) -> OnlineValues:
    return await online.read("ann")


def ann_of(group: GroupVersion) -> Reading:
    return lambda online: online.read("ann", group)


def read(url: str, budget_ms: int = BUDGET_MS) -> OnlineValues:
    found: OnlineValues = use(ann, lambda: at(url), budget_ms)
    return found


def failure(
    kind: type[SignalsError], connect: Callable[[], Connection], budget_ms: int = BUDGET_MS
) -> str:
    """The message of a failed read, without a secret."""
    with pytest.raises(SignalsError) as raised:
        use(ann, connect, budget_ms)
    assert type(raised.value) is kind
    assert SECRET not in f"{raised.value!r} {raised.value.__cause__}"
    return str(raised.value)


@contextmanager
def raw_server(said: bytes, *, hold: bool) -> Iterator[str]:
    """Says the same bytes to everybody, then hangs up, or holds on until the block ends."""
    over = threading.Event()

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(65536)
            self.request.sendall(said)
            if hold:
                over.wait(timeout=30)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            over.set()
            server.shutdown()
            thread.join(timeout=10)


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


def test_values_are_those_that_the_sdk_gives(tmp_path: Path) -> None:
    data = DataSettings.load(data_dir=tmp_path)
    settings = DefinitionSettings.load()
    events = [event("a", NOW - timedelta(days=1)), event("b", NOW, session="s2", mkt_medium="cpc")]
    EventStore(data).load(write(events, tmp_path / "events.parquet"))
    given = {}

    async def both(online: OnlineAttributes) -> list[OnlineValues]:
        online.service = settings.service_name
        return [await online.read(visitor) for visitor in ("ann", "nobody")]

    with signals_over(data) as sdk:
        sdk.publish([prospect.attribute_group(settings), prospect.service(settings)])
        found = use(both, lambda: at(sdk.api_client.api_url, TOKEN), 5000)
        for visitor in ("ann", "nobody"):
            given[visitor] = sdk.get_service_attributes(settings.service_name, KEY, visitor)

    assert [values.attributes for values in found] == [given["ann"], given["nobody"]]
    assert [values.moment for values in found] == [NOW, NOW]
    assert given["ann"]["num_sessions_l7d"] == ["s1", "s2"]


@pytest.mark.parametrize(
    "columns",
    [
        COLUMNS,
        {},
        {KEY: ["ann"], "views": [1, 2]},
        {"zero": [0], "empty": [""], "list": [[]], "no": [False], "real": [1.5]},
    ],
)
def test_a_reply_is_decoded_as_the_sdk_decodes_it(columns: dict[str, list[Any]]) -> None:
    with serving(Signals(JSONResponse(columns)).app) as url:
        found = read(url)

    assert found.attributes == _format_get_attributes_response(GetAttributesResponse(data=columns))


def test_numbers_that_json_does_not_know_are_null() -> None:
    said = '{"a": [NaN], "b": [Infinity], "c": [-1e999], "d": [1e3], "e": [[1.5, NaN]]}'
    with serving(Signals(Response(said, media_type="application/json")).app) as url:
        found = read(url)

    assert found.attributes == {"a": None, "b": None, "c": None, "d": 1000.0, "e": [1.5, None]}


def test_a_number_of_too_many_digits_is_no_answer() -> None:
    said = f'{{"views": [{"9" * 5000}]}}'
    with serving(Signals(Response(said, media_type="application/json")).app) as url:
        told = failure(SignalsUnavailable, lambda: at(url))

    assert told == "Signals gave an answer that cannot be read (ValueError)."


def test_a_column_that_is_no_list_is_left_out_as_by_the_sdk() -> None:
    with serving(Signals(JSONResponse({"views": [3], "metadata": {"a": 1}, "x": None})).app) as url:
        assert read(url).attributes == {"views": 3}


async def three(online: OnlineAttributes) -> list[Any]:
    return list(await online.read_each(["ann", "bob", "cat"]))


def read_three(*answers: Response) -> tuple[list[Any], Signals]:
    signals = Signals(*answers)
    with serving(signals.app) as url:
        return use(three, lambda: at(url)), signals


def test_several_identifiers_are_read_in_one_call_in_whatever_order_they_are_answered() -> None:
    columns = {KEY: ["cat", "ann", "bob"], "views": [3, 1, 2], "nested": [[], [1.0], None]}

    found, signals = read_three(JSONResponse(columns))

    assert [values.attributes for values in found] == [
        {KEY: "ann", "views": 1, "nested": [1.0]},
        {KEY: "bob", "views": 2, "nested": None},
        {KEY: "cat", "views": 3, "nested": []},
    ]
    assert [asked["attribute_keys"] for asked in signals.asked] == [{KEY: ["ann", "bob", "cat"]}]


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({KEY: ["ann", "bob"], "views": [1, 2]}, "of other identifiers"),
        ({KEY: ["ann", "bob", "dan"], "views": [1, 2, 3]}, "of other identifiers"),
        ({KEY: ["ann", "ann", "bob"], "views": [1, 2, 3]}, "of other identifiers"),
        ({KEY: ["ann", "bob", "cat", "cat"], "views": [1, 2, 3, 3]}, "of other identifiers"),
        ({KEY: [["ann"], "bob", "cat"], "views": [1, 2, 3]}, "of other identifiers"),
        ({"views": [1, 2, 3]}, "of other identifiers"),
        ({KEY: ["ann", "bob", "cat"], "views": [1, 2]}, "of different lengths"),
        ({KEY: ["ann", "bob", "cat"], "views": []}, "of different lengths"),
    ],
)
def test_rows_that_cannot_be_told_apart_are_no_answer(columns: dict[str, Any], said: str) -> None:
    with (
        serving(Signals(JSONResponse(columns)).app) as url,
        pytest.raises(SignalsUnavailable, match=said),
    ):
        use(three, lambda: at(url))


def test_whom_signals_refuses_together_it_is_asked_for_one_by_one() -> None:
    bad, good = JSONResponse({}, 422), JSONResponse({"views": [3]})

    found, signals = read_three(bad, good, bad, good)

    assert len(signals.asked) == 4
    assert sorted(type(one).__name__ for one in found) == [
        "OnlineValues",
        "OnlineValues",
        "SignalsRefused",
    ]


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500])
def test_what_does_not_lie_with_the_identifiers_is_not_asked_one_by_one(status: int) -> None:
    signals = Signals(JSONResponse({}, status))

    with serving(signals.app) as url, pytest.raises(SignalsError):
        use(three, lambda: at(url))

    assert len(signals.asked) == (2 if status == 401 else 1)


@pytest.mark.parametrize("chunked", [True, False])
def test_an_answer_beyond_all_bounds_is_no_answer(
    chunked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replies, "MOST_BYTES", 1000)
    body = json.dumps({KEY: ["ann"], "pages": [["x" * 990]]}).encode()
    whole = Response(body, media_type="application/json")
    parts = StreamingResponse(iter([body[:600], body[600:]]), media_type="application/json")

    with serving(Signals(parts if chunked else whole).app) as url:
        told = failure(SignalsUnavailable, lambda: at(url))

    assert told == "Signals answered with more than 1,000 bytes."


def test_a_signals_that_fails_in_a_row_is_left_alone() -> None:
    signals = Signals(Response("", 500))

    async def five_times(online: OnlineAttributes) -> None:
        online.breaker = Breaker(2, 3600)
        for _ in range(5):
            with pytest.raises(SignalsUnavailable, match="answered 500"):
                await online.read("ann")

    with serving(signals.app) as url:
        use(five_times, lambda: at(url))

    assert len(signals.asked) == 2


def test_refused_identifiers_say_nothing_of_how_signals_is() -> None:
    signals = Signals(Response("", 422))

    async def five_times(online: OnlineAttributes) -> None:
        online.breaker = Breaker(2, 3600)
        for _ in range(5):
            with pytest.raises(SignalsRefused):
                await online.read("ann")

    with serving(signals.app) as url:
        use(five_times, lambda: at(url))

    assert len(signals.asked) == 5


def test_an_answer_of_another_identifier_is_no_answer() -> None:
    with serving(Signals(JSONResponse(COLUMNS | {KEY: ["bob"]})).app) as url:
        told = failure(SignalsUnavailable, lambda: at(url))

    assert told == "Signals answered of other identifiers than it was asked for."


def test_what_is_asked_is_what_the_sdk_asks() -> None:
    signals = Signals(JSONResponse(COLUMNS))

    with serving(signals.app) as url:
        read(url)

    assert signals.asked == [{"service": SERVICE, "attribute_keys": {KEY: ["ann"]}}]
    assert signals.tokens == [f"Bearer {SECRET}"]


def test_a_version_of_a_group_is_asked_for_as_the_sdk_asks(tmp_path: Path) -> None:
    with signals_over(DataSettings.load(data_dir=tmp_path)) as sdk:
        sdk.publish([FIRST, SECOND])
        found = use(ann_of(PINNED_SECOND), lambda: at(sdk.api_client.api_url, TOKEN))
        names = list(PINNED_SECOND.attributes)
        given = sdk.get_group_attributes(SECOND.name, 2, names, KEY, "ann")

    assert found.attributes == given
    assert list(given) == [KEY, *names]


def registered(signals: Signals, *answers: Response) -> list[str]:
    """Let a Signals answer look-ups of a group; return the paths that it is asked for."""
    asked, left = list[str](), list(answers)

    async def answer(request: Request) -> Response:
        asked.append(request.url.path)
        return left.pop(0) if len(left) > 1 else left[0]

    signals.app.get("/api/v1/registry/attribute_groups/{name}/versions/{version}")(answer)
    return asked


PUBLISHED, UNPUBLISHED = JSONResponse({"is_published": True}), JSONResponse({"is_published": False})


def test_a_version_is_looked_up_once_while_all_is_well() -> None:
    signals = Signals(JSONResponse(COLUMNS))
    asked = registered(signals, PUBLISHED)

    async def thrice(online: OnlineAttributes) -> None:
        for _ in range(3):
            await online.read("ann", PINNED_SECOND)

    with serving(signals.app) as url:
        use(thrice, lambda: at(url))

    title = "prospect_scoring_tutorial"
    assert asked == [f"/api/v1/registry/attribute_groups/{title}/versions/2"]
    assert len(signals.asked) == 3
    assert signals.asked[0]["attributes"][:1] == [f"{title}_v2:latest_app_id"]


@pytest.mark.parametrize("gone", [UNPUBLISHED, JSONResponse({"detail": SECRET}, 404)])
def test_a_version_that_is_not_published_is_refused_by_name_until_it_is(gone: Response) -> None:
    signals = Signals(JSONResponse(COLUMNS))
    registered(signals, gone, gone, PUBLISHED)

    async def thrice(online: OnlineAttributes) -> OnlineValues:
        for _ in range(2):
            with pytest.raises(SignalsError, match=r"no published attribute group .* version 2"):
                await online.read("ann", PINNED_SECOND)
        return await online.read("ann", PINNED_SECOND)

    with serving(signals.app) as url:
        assert use(thrice, lambda: at(url)).attributes["views"] == 3


@pytest.mark.parametrize("unclear", [Response(status_code=403), Response("?"), JSONResponse([])])
def test_a_registry_that_does_not_say_leaves_it_at_what_was_known(unclear: Response) -> None:
    signals = Signals(JSONResponse(COLUMNS))
    registered(signals, unclear, UNPUBLISHED, unclear)

    async def thrice(online: OnlineAttributes) -> None:
        await online.read("ann", PINNED_SECOND)
        for _ in range(2):
            with pytest.raises(SignalsError, match="no published"):
                await online.confirm(PINNED_SECOND)

    with serving(signals.app) as url:
        use(thrice, lambda: at(url))


def test_a_version_whose_read_is_refused_is_looked_up_again() -> None:
    signals = Signals(JSONResponse(COLUMNS), JSONResponse({"detail": SECRET}, 404))
    asked = registered(signals, PUBLISHED, UNPUBLISHED)

    async def thrice(online: OnlineAttributes) -> list[str]:
        await online.read("ann", PINNED_SECOND)
        said = []
        for _ in range(2):
            with pytest.raises(SignalsError) as refusal:
                await online.read("ann", PINNED_SECOND)
            said.append(str(refusal.value))
        return said

    with serving(signals.app) as url:
        for words in use(thrice, lambda: at(url)):
            assert "attribute group 'prospect_scoring_tutorial' version 2" in words
    assert len(asked) == 2


def test_a_version_that_comes_back_is_looked_up_again() -> None:
    signals = Signals(JSONResponse(COLUMNS))
    asked = registered(signals, PUBLISHED, PUBLISHED, UNPUBLISHED)

    async def there_and_back(online: OnlineAttributes) -> None:
        await online.read("ann", PINNED_FIRST)
        await online.read("ann", PINNED_SECOND)
        with pytest.raises(SignalsError, match=r"no published attribute group .* version 1"):
            await online.read("ann", PINNED_FIRST)

    with serving(signals.app) as url:
        use(there_and_back, lambda: at(url))

    assert [path[-1] for path in asked] == ["1", "2", "1"]


def test_a_look_up_that_hangs_costs_a_read_no_more_than_its_budget() -> None:
    signals = Signals(JSONResponse(COLUMNS))

    async def hangs(request: Request) -> Response:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        return Response()

    signals.app.get("/api/v1/registry/attribute_groups/{name}/versions/{version}")(hangs)
    with serving(signals.app) as url:
        assert use(ann_of(PINNED_SECOND), lambda: at(url), SHORT_MS).attributes["views"] == 3


def test_several_reads_share_one_connection() -> None:
    signals = Signals(JSONResponse(COLUMNS))

    async def five(online: OnlineAttributes) -> None:
        for _ in range(5):
            await online.read("ann")

    with serving(signals.app) as url:
        use(five, lambda: at(url))

    assert len(signals.asked) == 5
    assert len(signals.connections) == 1


def test_the_address_is_looked_up_once_while_all_is_well() -> None:
    looked_up = []

    def connect() -> Connection:
        looked_up.append(url)
        return at(url)

    async def thrice(online: OnlineAttributes) -> None:
        for _ in range(3):
            await online.read("ann")

    with serving(Signals(JSONResponse(COLUMNS)).app) as url:
        use(thrice, connect)

    assert looked_up == [url]


@pytest.mark.parametrize(
    ("header", "moment"),
    [
        (None, None),
        ("2026-05-01T12:00:00+00:00", datetime(2026, 5, 1, 12, tzinfo=UTC)),
        ("2026-05-01T12:00:00Z", datetime(2026, 5, 1, 12, tzinfo=UTC)),
    ],
)
def test_the_moment_of_the_values_is_read_where_signals_says_it(
    header: str | None, moment: datetime | None
) -> None:
    reply = JSONResponse(COLUMNS, headers={CLOCK_HEADER: header} if header else {})

    with serving(Signals(reply).app) as url:
        assert read(url).moment == moment


@pytest.mark.parametrize("header", ["yesterday", ""])
def test_a_clock_that_cannot_be_read_is_an_unusable_answer(header: str) -> None:
    with serving(Signals(JSONResponse(COLUMNS, headers={CLOCK_HEADER: header})).app) as url:
        failure(SignalsUnavailable, lambda: at(url))


def test_a_refused_token_is_tried_once_more_with_the_one_of_now() -> None:
    signals = Signals(JSONResponse({"detail": "no"}, 401), JSONResponse(COLUMNS))
    tokens = iter(["old", "new"])

    with serving(signals.app) as url:
        found = use(ann, lambda: at(url, next(tokens)))

    assert found.attributes["views"] == 3
    assert signals.tokens == ["Bearer old", "Bearer new"]


def test_a_token_refused_twice_is_an_error() -> None:
    signals = Signals(JSONResponse({"detail": SECRET}, 401))

    with serving(signals.app) as url:
        message = failure(SignalsError, lambda: at(url))

    assert "401" in message
    assert "credentials" in message
    assert len(signals.asked) == 2


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, SignalsRefused),
        (403, SignalsError),
        (404, SignalsError),
        (413, SignalsRefused),
        (422, SignalsRefused),
        (429, SignalsError),
    ],
)
def test_a_refusal_names_the_service_and_is_not_repeated(
    status: int, kind: type[SignalsError]
) -> None:
    signals = Signals(JSONResponse({"detail": SECRET}, status))

    with serving(signals.app) as url:
        message = failure(kind, lambda: at(url))

    assert message == (
        f"Signals refused service '{SERVICE}' ({status}). Is it published, and are the "
        "credentials right?"
    )
    assert len(signals.asked) == 1


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_server_error_means_unavailable(status: int) -> None:
    with serving(Signals(Response(SECRET, status)).app) as url:
        assert failure(SignalsUnavailable, lambda: at(url)) == f"Signals answered {status}."


@pytest.mark.parametrize(
    "content",
    ["<html><body>Welcome</body></html>", "", '{"views": [1', b"\xff\xfe{", "[1, 2]", "null", "3"],
)
def test_an_answer_that_is_no_set_of_columns_means_unavailable(content: str | bytes) -> None:
    with serving(Signals(Response(content, media_type="text/html")).app) as url:
        failure(SignalsUnavailable, lambda: at(url))


@pytest.mark.parametrize(
    ("said", "hold"),
    [
        (b"", True),
        (b"", False),
        (HEAD, True),
        (HEAD + b"Content-Length: 100\r\n\r\n" + b'{"views": [1', True),
        (HEAD + b"Content-Length: 100\r\n\r\n" + b'{"views": [1', False),
        (b"SSH-2.0-OpenSSH_9.6\r\n", True),
    ],
    ids=["silent", "hangs up", "half a head", "stalls", "hangs up midway", "not HTTP"],
)
def test_a_broken_answer_means_unavailable_within_the_budget(said: bytes, hold: bool) -> None:
    with raw_server(said, hold=hold) as url:
        message = failure(SignalsUnavailable, lambda: at(url), SHORT_MS)

    assert message.startswith("Signals ")
    assert message.removeprefix("Signals ").startswith(
        ("gave no answer within 0.25 s.", "cannot be reached, or broke off (")
    )


def test_a_kept_connection_that_is_closed_as_it_is_used_costs_no_read() -> None:
    body = json.dumps(COLUMNS).encode()
    head = HEAD + f"Content-Length: {len(body)}\r\n\r\n".encode()
    connections = []

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            connections.append(self.client_address)
            self.request.recv(65536)
            self.request.sendall(head + body)
            self.request.recv(65536)  # what is asked next is never answered

    async def twice(online: OnlineAttributes) -> list[Any]:
        return [(await online.read("ann")).attributes["views"] for _ in range(2)]

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            url = f"http://127.0.0.1:{server.server_address[1]}"
            assert use(twice, lambda: at(url)) == [3, 3]
        finally:
            server.shutdown()
            thread.join(timeout=10)

    assert len(connections) == 2


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "127.0.0.1:9", "http://", "ftp://x"])
def test_an_address_where_nothing_is_means_unavailable(url: str) -> None:
    failure(SignalsUnavailable, lambda: at(url))


def test_after_a_failure_the_address_is_looked_up_anew() -> None:
    addresses = iter(["http://127.0.0.1:9"])

    async def twice(online: OnlineAttributes) -> OnlineValues:
        with pytest.raises(SignalsUnavailable):
            await online.read("ann")
        return await online.read("ann")

    with serving(Signals(JSONResponse(COLUMNS)).app) as url:
        found = use(twice, lambda: at(next(addresses, url)))

    assert found.attributes["views"] == 3


def test_a_signals_that_was_restarted_elsewhere_is_found_again() -> None:
    signals = Signals(JSONResponse(COLUMNS))
    address = []

    async def across(online: OnlineAttributes) -> list[int]:
        views = []
        with serving(signals.app) as first:
            address[:] = [first]
            views.append((await online.read("ann")).attributes["views"])
        with pytest.raises(SignalsUnavailable):
            await online.read("ann")
        with serving(signals.app) as second:
            address[:] = [second]
            views.append((await online.read("ann")).attributes["views"])
        return views

    assert use(across, lambda: at(address[0]), 2000) == [3, 3]


def test_an_address_that_is_not_known_yet_is_asked_for_again() -> None:
    asked = []

    def connect() -> Connection:
        asked.append(len(asked))
        if len(asked) == 1:
            raise SignalsUnavailable("No local Signals runs.")
        return at(url)

    async def twice(online: OnlineAttributes) -> OnlineValues:
        with pytest.raises(SignalsUnavailable, match="No local Signals"):
            await online.read("ann")
        return await online.read("ann")

    with serving(Signals(JSONResponse(COLUMNS)).app) as url:
        assert use(twice, connect).attributes["views"] == 3


def test_a_slow_read_does_not_hold_up_the_others() -> None:
    app = FastAPI()
    done: list[str] = []
    others_done = threading.Event()

    @app.post("/api/v1/get-online-attributes")
    async def answer(request: Request) -> Response:
        [identifier] = (await request.json())["attribute_keys"][KEY]
        if identifier == "slow":
            await asyncio.to_thread(others_done.wait, 2 * BUDGET_MS / 1000)
        return JSONResponse({KEY: [identifier]})

    async def mixed(online: OnlineAttributes) -> None:
        async def one(identifier: str) -> None:
            await online.read(identifier)
            done.append(identifier)
            if len(done) == 3:
                others_done.set()

        await asyncio.gather(*map(one, ["slow", "a", "b", "c"]))

    with serving(app) as url:
        use(mixed, lambda: at(url))

    assert sorted(done[:3]) == ["a", "b", "c"]
    assert done[3:] == ["slow"]


class Console:
    """Gives tokens that hold for so long."""

    def __init__(self, signals: Signals, holds: timedelta, reply: Response | None = None) -> None:
        self.holds, self.reply = holds, reply
        self.asked: list[tuple[str | None, str | None]] = []
        self.open = threading.Event()
        self.open.set()
        signals.app.get("/organizations/our-org/credentials/v3/token")(self._token)

    async def _token(self, request: Request) -> Response:
        given = request.headers
        await asyncio.to_thread(self.open.wait, 20)
        self.asked.append((given.get("x-api-key-id"), given.get("x-api-key")))
        expires = datetime.now(UTC) + self.holds
        claims = {"exp": expires, "n": len(self.asked)}
        made = jwt.encode(claims, "k" * 32, algorithm="HS256")
        return self.reply or JSONResponse({"accessToken": made})


@contextmanager
def real_signals(
    monkeypatch: pytest.MonkeyPatch, signals: Signals
) -> Iterator[Callable[[], Connection]]:
    """A Signals with credentials, whose console is here as well."""
    with serving(signals.app) as url:
        monkeypatch.setattr(tokens, "CONSOLE", url)
        credentials = Credentials(SecretStr(SECRET), SecretStr("our-id"), "our-org")
        yield lambda: Connection("signals", url, credentials=credentials)


async def thrice(online: OnlineAttributes) -> None:
    for _ in range(3):
        await online.read("ann")


def test_a_token_is_fetched_with_the_credentials_and_used_until_it_nears_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    signals = Signals(JSONResponse(COLUMNS))
    console = Console(signals, timedelta(hours=1))

    with real_signals(monkeypatch, signals) as connect:
        use(thrice, connect)

    assert console.asked == [("our-id", SECRET)]
    assert len(set(signals.tokens)) == 1
    [header] = set(signals.tokens)
    assert header is not None
    assert jwt.decode(header.removeprefix("Bearer "), options={"verify_signature": False})["n"] == 1


@pytest.mark.parametrize("holds", [4 * 60, 12, 1, -3600])
def test_a_token_is_used_by_reads_until_it_ends_however_short_its_life_is(
    monkeypatch: pytest.MonkeyPatch, holds: int
) -> None:
    signals = Signals(JSONResponse(COLUMNS))
    console = Console(signals, timedelta(seconds=holds))

    with real_signals(monkeypatch, signals) as connect:
        use(thrice, connect)

    assert len(console.asked) == 1


@pytest.mark.parametrize(("left", "fetched"), [(20, 1), (6, 1), (4, 2), (-20, 2)])
def test_a_token_is_not_used_in_its_last_seconds(
    monkeypatch: pytest.MonkeyPatch, left: int, fetched: int
) -> None:
    signals = Signals(JSONResponse(COLUMNS))
    console = Console(signals, timedelta(hours=1))
    wall = time.time()

    async def later(online: OnlineAttributes) -> None:
        await online.read("ann")
        monkeypatch.setattr(tokens, "now", lambda: wall + 3600 - left)
        await online.read("ann")

    with real_signals(monkeypatch, signals) as connect:
        use(later, connect)

    assert len(console.asked) == fetched


@pytest.mark.parametrize(("holds", "fetched"), [(4 * 60, 4), (6 * 60, 1)])
def test_a_token_is_renewed_ahead_of_its_end_aside_from_reads(
    monkeypatch: pytest.MonkeyPatch, holds: int, fetched: int
) -> None:
    signals = Signals(JSONResponse(COLUMNS))
    console = Console(signals, timedelta(seconds=holds))

    async def renewed(online: OnlineAttributes) -> None:
        await online.read("ann")
        for _ in range(3):
            await online.renew()

    with real_signals(monkeypatch, signals) as connect:
        use(renewed, connect)

    assert len(console.asked) == fetched


def test_a_console_that_is_away_costs_nothing_while_the_token_is_good(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    signals = Signals(JSONResponse(COLUMNS))
    console = Console(signals, timedelta(minutes=4))

    async def away(online: OnlineAttributes) -> None:
        await online.read("ann")
        console.reply = JSONResponse({}, 503)
        with pytest.raises(SignalsUnavailable):
            await online.renew()
        await online.read("ann")

    with real_signals(monkeypatch, signals) as connect:
        use(away, connect)

    assert len(signals.asked) == 2


def test_a_refusal_clears_the_token_that_was_sent_and_no_newer_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    signals = Signals(JSONResponse(COLUMNS))
    console = Console(signals, timedelta(minutes=4))
    credentials = Credentials(SecretStr(SECRET), SecretStr("our-id"), "our-org")

    async def go() -> list[str]:
        async with aiohttp.ClientSession() as session:

            def fetch(method: str, url: str, headers: Any) -> Any:
                return session.request(method, url, headers=headers)

            held = Tokens(fetch)
            sent = await held.current(credentials)
            await held.renew(credentials)
            held.refused(sent)
            newer = await held.current(credentials)
            held.refused(newer)
            return [sent, newer, await held.current(credentials)]

    with real_signals(monkeypatch, signals):
        found = asyncio.run(go())

    assert len(set(found)) == 3
    assert len(console.asked) == 3


def test_a_console_that_hangs_costs_a_read_its_budget_and_is_waited_for_aside(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tokens, "TOKEN_SECONDS", 20)
    signals = Signals(JSONResponse({}, 401), JSONResponse(COLUMNS))
    console = Console(signals, timedelta(hours=1))

    async def hurried(online: OnlineAttributes) -> tuple[float, OnlineValues]:
        await online.renew()
        console.open.clear()
        begun = time.monotonic()
        with pytest.raises(SignalsUnavailable):
            await online.read("ann")
        took = time.monotonic() - begun
        console.open.set()
        while len(console.asked) < 2:
            await asyncio.sleep(0.01)
        online.timeout = aiohttp.ClientTimeout(total=20)
        return took, await online.read("ann")

    with real_signals(monkeypatch, signals) as connect:
        took, found = use(hurried, connect, SHORT_MS)

    assert took < 10
    assert found.attributes["views"] == 3
    assert len(console.asked) == 2


def test_reads_at_once_fetch_one_token(monkeypatch: pytest.MonkeyPatch) -> None:
    signals = Signals(JSONResponse(COLUMNS))
    console = Console(signals, timedelta(hours=1))

    async def at_once(online: OnlineAttributes) -> None:
        await asyncio.gather(*(online.read("ann") for _ in range(5)))

    with real_signals(monkeypatch, signals) as connect:
        use(at_once, connect, 2000)

    assert len(console.asked) == 1
    assert len(signals.asked) == 5


def test_a_withdrawn_token_is_fetched_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    signals = Signals(JSONResponse({}, 401), JSONResponse(COLUMNS))
    console = Console(signals, timedelta(hours=1))

    with real_signals(monkeypatch, signals) as connect:
        found = use(ann, connect)

    assert found.attributes["views"] == 3
    assert len(console.asked) == 2


@pytest.mark.parametrize("end", [{}, {"exp": None}, {"exp": []}, {"exp": "later"}])
def test_a_token_that_says_no_end_is_used(
    monkeypatch: pytest.MonkeyPatch, end: dict[str, Any]
) -> None:
    endless = jwt.encode({"sub": "us", **end}, "k" * 32, algorithm="HS256")
    signals = Signals(JSONResponse(COLUMNS))
    console = Console(signals, timedelta(0), JSONResponse({"accessToken": endless}))

    with real_signals(monkeypatch, signals) as connect:
        use(thrice, connect)

    assert len(console.asked) == 1


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_console_that_gives_no_token_is_named(
    monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    signals = Signals(JSONResponse(COLUMNS))
    Console(signals, timedelta(hours=1), JSONResponse({"message": SECRET}, status))

    with real_signals(monkeypatch, signals) as connect:
        message = failure(SignalsError, connect)

    assert f"console gave no token ({status})" in message
    assert "SP_API_KEY" in message
    assert signals.asked == []


@pytest.mark.parametrize("status", [500, 503])
def test_a_console_that_fails_means_unavailable(
    monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    signals = Signals(JSONResponse(COLUMNS))
    Console(signals, timedelta(hours=1), JSONResponse({}, status))

    with real_signals(monkeypatch, signals) as connect:
        failure(SignalsUnavailable, connect)


@pytest.mark.parametrize(
    "reply",
    [Response("<html>", media_type="text/html"), Response("{", media_type="application/json")],
)
def test_a_console_that_answers_no_json_means_unavailable(
    monkeypatch: pytest.MonkeyPatch, reply: Response
) -> None:
    signals = Signals(JSONResponse(COLUMNS))
    Console(signals, timedelta(hours=1), reply)

    with real_signals(monkeypatch, signals) as connect:
        failure(SignalsUnavailable, connect)


@pytest.mark.parametrize("body", [{}, {"accessToken": None}, [], {"token": SECRET}])
def test_a_console_that_answers_without_a_token_is_an_error(
    monkeypatch: pytest.MonkeyPatch, body: Any
) -> None:
    signals = Signals(JSONResponse(COLUMNS))
    Console(signals, timedelta(hours=1), JSONResponse(body))

    with real_signals(monkeypatch, signals) as connect, pytest.raises(SignalsError):
        use(ann, connect)

    assert signals.asked == []


def test_a_silent_console_means_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    credentials = Credentials(SecretStr(SECRET), SecretStr("our-id"), "our-org")
    monkeypatch.setattr(tokens, "TOKEN_SECONDS", 0.2)

    with raw_server(b"", hold=True) as silent:
        monkeypatch.setattr(tokens, "CONSOLE", silent)
        failure(SignalsUnavailable, lambda: Connection("signals", silent, credentials=credentials))


def test_an_identifier_may_be_any_text() -> None:
    odd = 'ä"\\ \u2028 {x} %00 ../'
    signals = Signals(JSONResponse(COLUMNS | {KEY: [odd]}))

    async def odd_one(online: OnlineAttributes) -> OnlineValues:
        return await online.read(odd)

    with serving(signals.app) as url:
        use(odd_one, lambda: at(url))

    assert signals.asked[0]["attribute_keys"] == {KEY: [odd]}
    assert json.loads(json.dumps(signals.asked[0])) == signals.asked[0]


def test_a_closed_client_opens_again_when_it_is_used() -> None:
    async def around(online: OnlineAttributes) -> OnlineValues:
        await online.close()
        await online.read("ann")
        await online.close()
        await online.close()
        return await online.read("ann")

    with serving(Signals(JSONResponse(COLUMNS)).app) as url:
        assert use(around, lambda: at(url)).attributes["views"] == 3
