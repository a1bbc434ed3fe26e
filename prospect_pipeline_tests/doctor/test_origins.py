"""Origins, as browsers write them."""

import pytest

from prospect_pipeline.doctor.origins import as_sent, problem


@pytest.mark.parametrize(
    "origin",
    ["https://www.example.com", "http://localhost:8088", "https://x.io:8443", "http://[::1]:3000"],
)
def test_an_origin_as_it_is_sent(origin: str) -> None:
    assert problem(origin) == ""
    assert as_sent(origin) == origin


@pytest.mark.parametrize(
    ("origin", "why", "instead"),
    [
        ("https://X.io", "it is not in lower case", "https://x.io"),
        ("HTTPS://x.io", "it is not in lower case", "https://x.io"),
        ("https://x.io:443", "browsers leave out port 443", "https://x.io"),
        ("http://x.io:80", "browsers leave out port 80", "http://x.io"),
        ("https://x.io:many", "its port is none", "https://x.io:many"),
    ],
)
def test_what_no_browser_sends(origin: str, why: str, instead: str) -> None:
    assert problem(origin) == why
    assert as_sent(origin) == instead
