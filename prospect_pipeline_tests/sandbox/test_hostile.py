"""Whatever is sent, the collector answers, keeps every event, and stays readable."""

import base64
import json
import random
import uuid
from typing import Any

import pytest
import requests

from prospect_pipeline.sandbox.atomic import FIELDS, SIZES
from prospect_pipeline.sandbox.store import EventStore
from prospect_pipeline.settings import DataSettings
from prospect_pipeline.warehouse.duckdb import connect
from prospect_pipeline.warehouse.files import EventFile
from prospect_pipeline_tests.sandbox.conftest import signals_over
from prospect_pipeline_tests.sandbox.test_payloads import body, envelope

TP2 = "/com.snowplowanalytics.snowplow/tp2"
PARAMETERS = [*FIELDS, *SIZES, "co", "cx", "ue_pr", "ue_px", "unknown"]
SCRIPT = "<script>alert(1)</script>"
TEXTS = [
    SCRIPT, "\x00", "\ud800", "\u2028\u0085", "'; DROP TABLE events; --", "../../etc/passwd",
    "%00%ff", "=" * 50, "NaN", "-1", "9" * 40, "1e999", "{}", "[]", "null", '"', "\\", "🙂" * 100,
    "a" * 20_000, "http://[", "javascript:alert(1)", "//evil", "\n{}\n",
]  # fmt: skip


def nested(depth: int) -> str:
    return '{"a":' * depth + "1" + "}" * depth


def described(chance: random.Random) -> str:
    """A self-describing event or entities, of anything."""
    schema = chance.choice(["iglu:com.acme/thing/jsonschema/1-0-0", SCRIPT, "iglu:a/b/c/0-0-0", ""])
    data = chance.choice([{"x": chance.choice(TEXTS)}, [], None, {"x": json.loads(nested(500))}])
    kind = chance.choice(["unstruct_event", "contexts", "other"])
    one = {"schema": schema, "data": data}
    text = envelope(kind, [one] if kind == "contexts" else one)
    return chance.choice([text, text[: chance.randrange(len(text))], nested(100_000)])


def payload(chance: random.Random) -> dict[str, Any]:
    made: dict[str, Any] = {"e": chance.choice(["pv", "pp", "se", "ue", "ti", SCRIPT])}
    for name in chance.sample(PARAMETERS, chance.randrange(6)):
        text = described(chance) if name[:2] in ("co", "cx", "ue") else chance.choice(TEXTS)
        if name in ("cx", "ue_px") and chance.random() < 0.9:
            text = base64.b64encode(text.encode("utf-8", "replace")).decode()
        made[name] = chance.choice([text, text, text, 1.5, True, None, [text]])
    return made


def hostile(chance: random.Random) -> tuple[bytes, int]:
    """A request's body, and how many events or reasons it makes."""
    events = [payload(chance) for _ in range(chance.randrange(1, 4))]
    sent = body(*events)
    kind = chance.random()
    if kind < 0.6:
        return sent, len(events)
    return chance.choice([
        sent[: chance.randrange(len(sent))], chance.randbytes(chance.randrange(200)),
        nested(100_000).encode(), b"", b"null", body(), sent.replace(b"payload_data", b"other"),
    ]), 1  # fmt: skip


@pytest.mark.parametrize("requests_", [400, pytest.param(10_000, marks=pytest.mark.long)])
def test_no_request_breaks_the_collector_or_loses_an_event(
    data: DataSettings, requests_: int
) -> None:
    chance = random.Random(5)
    expected = 0
    with signals_over(data, "wall") as signals, requests.Session() as session:
        url = str(signals.api_client.api_url)
        for _ in range(requests_):
            sent, count = hostile(chance)
            assert session.post(f"{url}{TP2}", sent, timeout=30).status_code == 200
            expected += count
        large = json.dumps({"schema": SCRIPT, "data": "x" * 10_000_000}).encode()
        assert session.post(f"{url}{TP2}", large, timeout=30).status_code == 200
        last = str(uuid.uuid4())
        assert session.post(f"{url}{TP2}", body({"e": "pv", "eid": last}), timeout=30).text == "ok"
        counted = session.get(f"{url}/micro/all", timeout=30).json()
        assert session.get(f"{url}/micro/good", timeout=60).json()
        assert session.get(f"{url}/micro/bad", timeout=60).json()
        assert session.get(f"{url}/health", timeout=30).json() == {"status": "ok"}

    assert counted["good"] + counted["bad"] + counted["duplicate"] == expected + 2
    assert counted["good"] > requests_ // 10
    assert counted["bad"] > requests_ // 10
    store = EventStore(data)
    with connect() as connection:
        EventFile(connection, store.folder, "event_id").create_view("events")
        found = connection.sql("SELECT event_id FROM events").fetchall()
    assert len(found) == len(set(found)) == counted["good"]
    assert (last,) in found
    files = (store.folder / "bad").glob("*.jsonl")
    kept = [line for path in files for line in path.read_bytes().split(b"\n")[:-1]]
    assert len(kept) == counted["bad"]
    assert all(json.loads(line)["errors"] for line in kept)


@pytest.mark.parametrize("text", [SCRIPT, "a" * 900, "\xff\xfe", "; ; =", "%00", "{}", "-" * 36])
def test_no_header_breaks_the_collector_or_is_believed(data: DataSettings, text: str) -> None:
    names = ["Cookie", "User-Agent", "Referer", "Origin"]
    with signals_over(data, "wall") as signals, requests.Session() as session:
        url = str(signals.api_client.api_url)
        for name in names:
            header = f"sp={text}" if name == "Cookie" else text
            answer = session.post(
                f"{url}{TP2}", body({"e": "pv"}), headers={name: header.encode("latin-1")},
                timeout=30, cookies={},
            )  # fmt: skip
            assert answer.status_code == 200
            assert answer.text == "ok"
            assert str(uuid.UUID(answer.cookies["sp"])) == answer.cookies["sp"]
        good = session.get(f"{url}/micro/good", timeout=30).json()
        assert session.get(f"{url}/micro/all", timeout=30).json()["good"] == len(good) == len(names)

    for one in good:
        assert str(uuid.UUID(one["event"]["network_userid"])) == one["event"]["network_userid"]
