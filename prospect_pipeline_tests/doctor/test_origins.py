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
        ("https://x.io/", "it ends with a slash", "https://x.io"),
        ("https://x.io/shop", "it has a path", "https://x.io"),
        ("https://x.io?a=b", "it has a path", "https://x.io"),
        ("x.io", "it starts with neither https:// nor http://", "https://x.io"),
        ("localhost:3000", "it starts with neither https:// nor http://", "https://localhost:3000"),
        ("ftp://x.io", "it starts with neither https:// nor http://", "ftp://x.io"),
        ("https://X.io", "it is not in lower case", "https://x.io"),
        ("https://x.io:443", "browsers leave out port 443", "https://x.io"),
        ("http://x.io:80", "browsers leave out port 80", "http://x.io"),
        ("https://x.io:many", "it is no address", "https://x.io:many"),
        ("https://*.x.io", "it names no single host", "https://*.x.io"),
        ("https://", "it names no single host", "https://"),
    ],
)
def test_what_no_browser_sends(origin: str, why: str, instead: str) -> None:
    assert problem(origin) == why
    assert as_sent(origin) == instead


def test_the_origin_of_any_file_is_no_websites() -> None:
    assert "any file" in problem("null")
