import asyncio
import json

import pytest

from prospect_pipeline.attributes import prospect
from prospect_pipeline_tests.benchmarks.standin import ATTRIBUTES, StandIn

READ = "POST /api/v1/get-online-attributes HTTP/1.1"


class Wire(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""

    def write(self, data: bytes) -> None:
        self.written += data


def ask(*parts: bytes) -> list[tuple[str, object]]:
    """The status and body of every answer to what is received in these parts."""
    wire, server = Wire(), StandIn()
    server.connection_made(wire)
    for part in parts:
        server.data_received(part)
    answers = []
    rest = wire.written
    while rest:
        head, _, rest = rest.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split()[0])
        status = head.partition(b"\r\n")[0].decode().removeprefix("HTTP/1.1 ")
        answers.append((status, json.loads(rest[:length])))
        rest = rest[length:]
    return answers


def request(line: str, body: str = "") -> bytes:
    return f"{line}\r\nHost: a\r\ncontent-length: {len(body)}\r\n\r\n{body}".encode()


def read(identifiers: list[str], **how: object) -> bytes:
    body = {"attribute_keys": {"domain_userid": identifiers}, "attributes": ["g_v1:a"]}
    return request(READ, json.dumps(body, **how))


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
@pytest.mark.parametrize("identifiers", [[], ["ann"], ["ann", "bob", "cy"]])
def test_each_column_has_a_value_for_every_identifier(
    identifiers: list[str], separators: tuple[str, str]
) -> None:
    [(status, columns)] = ask(read(identifiers, separators=separators))

    expected = {name: [value] * len(identifiers) for name, value in ATTRIBUTES.items()}
    assert (status, columns) == ("200 OK", {"domain_userid": identifiers, **expected})


def test_the_attributes_are_those_of_the_definition() -> None:
    assert list(ATTRIBUTES) == [attribute.name for attribute in prospect.ATTRIBUTES]


def test_requests_that_come_together_are_answered_one_by_one() -> None:
    answers = ask(read(["ann"]) + read(["bob"]))

    assert [columns["domain_userid"] for _, columns in answers] == [["ann"], ["bob"]]


def test_a_request_that_comes_in_pieces_is_answered_once_it_is_whole() -> None:
    whole = read(["ann"])
    pieces = [whole[at : at + 7] for at in range(0, len(whole), 7)]

    assert ask(*pieces[:-1]) == []
    assert ask(*pieces) == ask(whole)


def test_every_version_is_published() -> None:
    line = "GET /api/v1/registry/attribute_groups/prospect_scoring_tutorial/versions/2 HTTP/1.1"

    assert ask(request(line)) == [("200 OK", {"is_published": True})]


def test_another_path_is_unknown() -> None:
    [(status, _)] = ask(request("GET /api/v1/registry/services/a HTTP/1.1"))

    assert status == "404 Not Found"
