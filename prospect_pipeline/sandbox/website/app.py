"""The website as an application: pages, static files, and the settings that its scripts read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from prospect_pipeline.errors import SettingsError
from prospect_pipeline.sandbox.website.pages import PAGES, POSTS, Page

HERE = Path(__file__).parent
NOT_FOUND = Page("", "404.html", "Nothing is docked here", "There is no such page.")


@dataclass(frozen=True)
class WebsiteSettings:
    """The services that the pages talk to, each by its address without a path."""

    collector_url: str
    signals_url: str
    predict_url: str
    app_id: str = "website"
    score_seconds: float = 10

    @property
    def origins(self) -> list[str]:
        """The origins that the pages may connect to; refuses what would end the header's rule."""
        return [_origin(url) for url in (self.collector_url, self.signals_url, self.predict_url)]


def build_website(settings: WebsiteSettings) -> Starlette:
    """Return the website; it expects to be served from the root of its own port."""
    render = _renderer(settings)
    return Starlette(
        routes=[
            Route("/health", _health),
            *(Route(page.path, _shows(page, render)) for page in PAGES),
            Mount("/assets", StaticFiles(directory=HERE / "assets")),
        ],
        middleware=[Middleware(Headers, policy=_policy(settings))],
        exception_handlers={404: _missing(render)},
    )


class Headers:
    """ASGI middleware: every answer carries the content security policy and its companions."""

    def __init__(self, app: ASGIApp, policy: str) -> None:
        self.app = app
        self.headers = {
            "Content-Security-Policy": policy,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "strict-origin-when-cross-origin",
            "Cache-Control": "no-cache",  # files are checked again, so that an update is seen
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(self.headers)
            await send(message)

        await self.app(scope, receive, with_headers)


def _origin(url: str) -> str:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise SettingsError(f"{url!r} is no address of a service: {error}.") from None
    if parts.scheme not in ("http", "https") or not host or not set(host) <= _HOST:
        raise SettingsError(f"{url!r} is no address of a service; expected http://host:port.")
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}" + (f":{port}" if port else "")


_HOST = frozenset("abcdefghijklmnopqrstuvwxyz0123456789.-_:")


def _policy(settings: WebsiteSettings) -> str:
    rules = {
        "default-src": ["'self'"],
        "connect-src": ["'self'", *dict.fromkeys(settings.origins)],
        "object-src": ["'none'"],
        "base-uri": ["'none'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'none'"],
    }
    return "; ".join(f"{rule} {' '.join(sources)}" for rule, sources in rules.items())


def _renderer(settings: WebsiteSettings) -> Callable[[Page], str]:
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    shared: dict[str, Any] = {
        "settings": asdict(settings),
        "navigation": [page for page in PAGES if page.nav],
        "posts": POSTS,
    }

    def render(page: Page) -> str:
        return environment.get_template(page.template).render(page=page, **shared)

    return render


Handler = Callable[[Request], Awaitable[Response]]


def _shows(page: Page, render: Callable[[Page], str]) -> Handler:
    """Return the page's handler; pages are the same for everyone, so each is rendered once."""
    content = render(page)

    async def show(_request: Request) -> Response:
        return HTMLResponse(content)

    return show


def _missing(render: Callable[[Page], str]) -> Callable[[Request, Exception], Awaitable[Response]]:
    content = render(NOT_FOUND)

    async def missing(_request: Request, _error: Exception) -> Response:
        return HTMLResponse(content, 404)

    return missing


async def _health(_request: Request) -> Response:
    return JSONResponse({"status": "ok"})
