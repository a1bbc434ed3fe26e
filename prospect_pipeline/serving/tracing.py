"""One span for each request, over BentoML's own tracing, or none at all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opentelemetry.trace import Span, Tracer

Headers = Iterable[tuple[bytes, bytes]]


class Spans:
    """Spans of a tracer; without one there are none, and they cost nothing."""

    def __init__(self, tracer: Tracer | None) -> None:
        self.tracer = tracer

    @classmethod
    def load(cls, wanted: bool) -> Spans:
        """Return spans that go where BentoML is configured to send them (``tracing``)."""
        if not wanted:
            return cls(None)
        from bentoml._internal.container import BentoMLContainer

        return cls(BentoMLContainer.tracer_provider.get().get_tracer("prospect_scoring"))

    @contextmanager
    def span(self, route: str, headers: Headers) -> Iterator[Span | None]:
        """Open the span of a request, below the one that its ``traceparent`` names."""
        if self.tracer is None:
            yield None
            return
        from opentelemetry import propagate, trace

        carrier = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}
        with self.tracer.start_as_current_span(
            f"POST {route}",
            context=propagate.extract(carrier),
            kind=trace.SpanKind.SERVER,
            attributes={"http.request.method": "POST", "http.route": route},
            record_exception=False,
        ) as span:
            yield span
