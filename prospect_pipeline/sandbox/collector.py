"""The collector: payloads of trackers in, durable events out.

Tracker protocol v2 by POST and by the GET pixel, as Snowplow's public documentation has it. What
cannot be decoded is kept on the bad side with its reason; a tracker is told "ok" all the same,
since sending it again would not help. Where nothing can be stored it is told 503, and tries again.
"""

from __future__ import annotations

import json
import logging
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from prospect_pipeline.attributes.selection import AtomicEvent
from prospect_pipeline.sandbox.atomic import Context, atomic_event, check_lengths
from prospect_pipeline.sandbox.collected import CollectedEvents
from prospect_pipeline.sandbox.enrichment import enrich
from prospect_pipeline.sandbox.journal import Journal
from prospect_pipeline.sandbox.payloads import Payload, Undecodable, of_body, of_query

_log = logging.getLogger(__name__)

COOKIE = "sp"
COOKIE_SECONDS = 365 * 24 * 3600
LARGEST_BODY = 5_000_000
SHOWN = 10_000
MOST_TOLD = 100
PIXEL = bytes.fromhex(
    "47494638396101000100800000000000ffffff21f90401000000002c00000000010001000002024401003b"
)


@dataclass(frozen=True)
class Good:
    """An event that was stored, with the payload that brought it."""

    payload: Payload
    event: AtomicEvent


@dataclass(frozen=True)
class Bad:
    """Something that is no event: why, and what it was."""

    errors: list[str]
    payload: Payload | None
    body: str | None
    context: dict[str, Any]


@dataclass
class Seen:
    """What was collected since the start, or since it was asked to forget; the latest are kept."""

    good: deque[Good] = field(default_factory=lambda: deque(maxlen=SHOWN))
    bad: deque[Bad] = field(default_factory=lambda: deque(maxlen=SHOWN))
    counts: dict[str, int] = field(default_factory=lambda: {"good": 0, "bad": 0, "duplicate": 0})

    def reset(self) -> None:
        """Forget it all; what is stored stays."""
        self.good.clear()
        self.bad.clear()
        self.counts = dict.fromkeys(self.counts, 0)


class Collector:
    """Decodes, enriches and stores; ``on_events`` is told of new events as they are stored."""

    def __init__(
        self,
        store: CollectedEvents,
        on_events: Callable[[Sequence[AtomicEvent]], object] = lambda _: None,
    ) -> None:
        self.store = store
        self.on_events = on_events
        self.seen = Seen()
        self.bad = Journal(store.folder / "bad")
        self._told: set[str] = set()

    def close(self) -> None:
        """Write what waits, and end."""
        self.store.close()
        self.bad.close()

    async def receive(self, payloads: Iterable[Payload | Undecodable], context: Context) -> None:
        """Store what the payloads hold; raises OSError where nothing can be stored."""
        good: list[Good] = []
        bad: list[Bad] = []
        for payload in payloads:
            try:
                if isinstance(payload, Undecodable):
                    raise payload
                event = enrich(atomic_event(payload, context))
                check_lengths(event)
                good.append(Good(payload, event))
            except Undecodable as reason:
                known = None if isinstance(payload, Undecodable) else payload
                bad.append(Bad([str(reason)], known, None, _shown(context)))
        await self.refuse(bad)
        if good:
            await self._keep(good)

    async def _keep(self, good: Sequence[Good]) -> None:
        kept = await self.store.append([one.event for one in good], self.on_events)
        new = {event["event_id"] for event in kept}
        self.seen.counts["duplicate"] += len(good) - len(kept)
        self.seen.counts["good"] += len(kept)
        self.seen.good.extend(one for one in good if one.event["event_id"] in new)

    async def refuse(self, bad: Sequence[Bad]) -> None:
        """Store what is no event; raises OSError where it cannot be stored."""
        if bad:
            await self.store.written(
                self.bad.append([json.dumps(asdict(one), ensure_ascii=False) for one in bad])
            )
            self.seen.counts["bad"] += len(bad)
            self.seen.bad.extend(bad)
            for reason in {one.errors[0] for one in bad} - self._told:
                self._tell(reason)

    def _tell(self, reason: str) -> None:
        """Log each reason once, and not endlessly many."""
        if len(self._told) < MOST_TOLD:
            self._told.add(reason)
            _log.warning("A bad event: %s; GET /micro/bad shows it", repr(reason)[1:-1])

    def routes(self) -> list[Route]:
        """Return the collector's paths."""
        tp2 = "/com.snowplowanalytics.snowplow/tp2"
        return [
            Route("/i", self._pixel, methods=["GET"]),
            Route(tp2, self._pixel, methods=["GET"]),
            Route(tp2, self._post, methods=["POST"]),
            Route(tp2, _preflight, methods=["OPTIONS"]),
            Route("/i", _preflight, methods=["OPTIONS"]),
        ]

    async def _post(self, request: Request) -> Response:
        context, answer = _context(request)
        try:
            body = await _body(request)
            try:
                await self.receive(list(of_body(body)), context)
            except Undecodable as reason:
                text = body[:100_000].decode("utf-8", "replace")
                await self.refuse([Bad([str(reason)], None, text, _shown(context))])
        except Undecodable as reason:  # too large: only that is kept
            await self.refuse([Bad([str(reason)], None, None, _shown(context))])
        except ClientDisconnect:
            return answer(PlainTextResponse("gone", 400))
        except OSError as error:
            return answer(_unavailable(error))
        return answer(PlainTextResponse("ok"))

    async def _pixel(self, request: Request) -> Response:
        context, answer = _context(request)
        query = request.url.query
        try:
            try:
                await self.receive([of_query(query)], context)
            except Undecodable as reason:
                await self.refuse([Bad([str(reason)], None, query[:100_000], _shown(context))])
        except OSError as error:
            return answer(_unavailable(error))
        return answer(Response(PIXEL, media_type="image/gif"))


def _context(request: Request) -> tuple[Context, Callable[[Response], Response]]:
    """Return what a request says of its sender, and what finishes the answer to it.

    With the header ``SP-Anonymous: *`` neither address nor cookie are kept, as documented.
    """
    headers = request.headers
    anonymous = "sp-anonymous" in headers
    user = None if anonymous else _network_user(request.cookies.get(COOKIE, ""))
    context = Context(
        collector_tstamp=datetime.now(UTC),
        user_ipaddress=None if anonymous or request.client is None else request.client.host,
        useragent=headers.get("user-agent"),
        referer=headers.get("referer"),
        network_userid=user,
    )

    def answer(response: Response) -> Response:
        if user is not None:
            response.set_cookie(COOKIE, user, max_age=COOKIE_SECONDS, samesite="lax")
        response.headers["Cache-Control"] = "no-cache, no-store, must-revalidate"
        return _allowed(request, response)

    return context, answer


def _network_user(cookie: str) -> str:
    """Return whom the cookie names, somebody new where it is none of ours."""
    try:
        return str(uuid.UUID(cookie))
    except ValueError:
        return str(uuid.uuid4())


async def _preflight(request: Request) -> Response:
    response = Response(status_code=200)
    response.headers["Access-Control-Allow-Headers"] = "Content-Type, SP-Anonymous"
    response.headers["Access-Control-Allow-Methods"] = "GET, POST, OPTIONS"
    response.headers["Access-Control-Max-Age"] = "3600"
    return _allowed(request, response)


def _allowed(request: Request, response: Response) -> Response:
    """Let the page that asks read the answer, and send its cookie."""
    response.headers["Access-Control-Allow-Origin"] = request.headers.get("origin", "*")
    response.headers["Access-Control-Allow-Credentials"] = "true"
    response.headers["Vary"] = "Origin"
    return response


async def _body(request: Request) -> bytes:
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size <= LARGEST_BODY:
            parts.append(part)
    if size > LARGEST_BODY:
        raise Undecodable(f"the body has {size} bytes, at most {LARGEST_BODY} are taken")
    return b"".join(parts)


def _unavailable(error: OSError) -> Response:
    words = f"events cannot be stored ({error.strerror or error}); send them again later"
    return JSONResponse({"detail": words}, 503)


def _shown(context: Context) -> dict[str, Any]:
    return {**asdict(context), "collector_tstamp": context.collector_tstamp.isoformat()}
