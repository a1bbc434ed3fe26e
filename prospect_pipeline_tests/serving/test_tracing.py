"""One span for each request, or none."""

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from prospect_pipeline.serving.tracing import Spans

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def exported() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def spans(exported: InMemorySpanExporter) -> Spans:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exported))
    return Spans(provider.get_tracer("test"))


def test_a_request_is_one_span_below_the_callers(
    spans: Spans, exported: InMemorySpanExporter
) -> None:
    with spans.span("/predict", [(b"traceparent", PARENT.encode()), (b"x", b"\xff")]) as span:
        assert span is not None
        span.set_attribute("prospect.outcome", "scored")

    [found] = exported.get_finished_spans()
    assert (found.name, found.kind) == ("POST /predict", SpanKind.SERVER)
    assert f"{found.context.trace_id:032x}" == PARENT[3:35]
    assert found.parent is not None
    assert f"{found.parent.span_id:016x}" == PARENT[36:52]
    assert found.attributes == {
        "http.request.method": "POST",
        "http.route": "/predict",
        "prospect.outcome": "scored",
    }


def test_without_a_caller_of_its_own_a_request_begins_a_trace(
    spans: Spans, exported: InMemorySpanExporter
) -> None:
    with spans.span("/predict", []):
        pass

    assert [span.parent for span in exported.get_finished_spans()] == [None]


def test_switched_off_there_is_no_span() -> None:
    with Spans.load(False).span("/predict", [(b"traceparent", PARENT.encode())]) as span:
        assert span is None


def test_switched_on_spans_go_where_bentoml_sends_its_own() -> None:
    assert Spans.load(True).tracer is not None
