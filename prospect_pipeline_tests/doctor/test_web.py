"""Which proxy the environment puts before an address, as it may be shown."""

import pytest

from prospect_pipeline.doctor.web import proxy_of

PROXY = "http://proxy.example.com:3128"


@pytest.mark.parametrize(
    ("named", "url", "proxy"),
    [
        ({}, "https://signals.example.com", None),
        ({"HTTPS_PROXY": PROXY}, "https://signals.example.com", PROXY),
        ({"HTTPS_PROXY": PROXY}, "http://signals.example.com", None),
        ({"ALL_PROXY": PROXY}, "http://signals.example.com", PROXY),
        ({"HTTP_PROXY": "ann:pass@proxy.example.com:3128"}, "http://signals.example.com", PROXY),
        ({"HTTP_PROXY": PROXY, "NO_PROXY": ".example.com"}, "http://signals.example.com", None),
        ({"HTTP_PROXY": PROXY, "NO_PROXY": "x.io:81"}, "http://ann:pass@x.io:81/a", None),
        ({"HTTP_PROXY": PROXY, "NO_PROXY": "x.io:81"}, "http://x.io:82", PROXY),
        ({"HTTP_PROXY": PROXY}, "http://127.0.0.1:8787", None),
        ({"HTTP_PROXY": PROXY}, "http://[::1]:8787", None),
        ({"HTTP_PROXY": PROXY}, "http://localhost:8787", None),
    ],
)
def test_the_proxy_of_an_address(
    monkeypatch: pytest.MonkeyPatch, named: dict[str, str], url: str, proxy: str | None
) -> None:
    for name, value in named.items():
        monkeypatch.setenv(name, value)

    assert proxy_of(url) == proxy
