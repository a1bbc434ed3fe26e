"""The website's pages, as they are served."""

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser

import pytest
from starlette.testclient import TestClient

from prospect_pipeline.errors import SettingsError
from prospect_pipeline.sandbox.website import WebsiteSettings, build_website
from prospect_pipeline.sandbox.website.pages import PAGES, POSTS, Page

SETTINGS = WebsiteSettings("http://127.0.0.1:8787", "http://127.0.0.1:8787", "http://127.0.0.1:80")
EVERY_PAGE = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.path)


class Elements(HTMLParser):
    """Every element of a page, with its attributes; and the text of the title and the settings."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []
        self.texts: dict[str, str] = {}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        if self.found:
            tag, attributes = self.found[-1]
            self.texts.setdefault(attributes.get("id", tag), data)

    def addresses(self) -> list[str]:
        names = ("href", "src", "action", "poster")
        return [given[name] for _, given in self.found for name in names if name in given]


@pytest.fixture
def client() -> Iterator[TestClient]:
    with TestClient(build_website(SETTINGS)) as connected:
        yield connected


@EVERY_PAGE
def test_every_page_is_there_with_a_title_of_its_own(client: TestClient, page: Page) -> None:
    answer = client.get(page.path)

    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    assert Elements(answer.text).texts["title"].startswith(page.title)
    assert len({other.title for other in PAGES}) == len(PAGES)


@EVERY_PAGE
def test_every_page_has_one_headline_and_a_way_past_the_menu(
    client: TestClient, page: Page
) -> None:
    found = Elements(client.get(page.path).text).found

    assert [tag for tag, _ in found].count("h1") == 1
    assert ("a", {"class": "skip", "href": "#content"}) in found
    assert any(tag == "main" and given["id"] == "content" for tag, given in found)


def test_every_page_is_linked_from_the_header_or_the_blog(client: TestClient) -> None:
    home = client.get("/").text
    header = Elements(home[home.index("<header") : home.index("</header>")]).addresses()
    blog = Elements(client.get("/blog").text).addresses()

    assert {page.path for page in PAGES} - {post.path for post in POSTS} <= set(header)
    assert {post.path for post in POSTS} <= set(blog)


@EVERY_PAGE
def test_everything_that_a_page_refers_to_is_here(client: TestClient, page: Page) -> None:
    addresses = Elements(client.get(page.path).text).addresses()
    outside = [one for one in addresses if not one.startswith(("/", "#")) or one.startswith("//")]
    inside = {one.split("#")[0] for one in addresses if one.startswith("/")}

    assert outside == []
    assert [one for one in inside if client.get(one).status_code != 200] == []


def test_styles_load_nothing(client: TestClient) -> None:
    sheets = [one for one in Elements(client.get("/").text).addresses() if one.endswith(".css")]

    assert sheets
    assert [one for one in sheets if re.search(r"url\(|@import", client.get(one).text)] == []


@EVERY_PAGE
def test_no_page_has_inline_scripts_styles_or_handlers(client: TestClient, page: Page) -> None:
    found = Elements(client.get(page.path).text).found
    scripts = [given for tag, given in found if tag == "script" and "src" not in given]

    assert [given["type"] for given in scripts] == ["application/json"]
    assert not any(tag == "style" or "style" in given for tag, given in found)
    assert not any(name.startswith("on") for _, given in found for name in given)


def test_the_security_policy_names_the_three_services_and_nothing_else() -> None:
    settings = WebsiteSettings(
        "http://127.0.0.1:1/", "https://signals.example.com:2/x", "http://[::1]:3"
    )
    with TestClient(build_website(settings)) as client:
        policies = {client.get(path).headers["content-security-policy"] for path in ("/", "/x")}

    assert policies == {
        "default-src 'self'; connect-src 'self' http://127.0.0.1:1 https://signals.example.com:2 "
        "http://[::1]:3; object-src 'none'; base-uri 'none'; form-action 'self'; "
        "frame-ancestors 'none'"
    }


@pytest.mark.parametrize(
    "url",
    ["", "127.0.0.1:1", "ftp://h", "javascript:alert(1)", "http://a;script-src *", "http://a:b"],
)
def test_an_address_that_would_widen_the_policy_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="no address of a service"):
        build_website(WebsiteSettings(url, url, url))


def test_a_setting_cannot_end_its_script() -> None:
    hostile = "http://127.0.0.1:1/</script><script>alert('&\u2028')</script>"
    settings = WebsiteSettings(hostile, hostile, hostile, app_id="<!--<script>")
    with TestClient(build_website(settings)) as client:
        elements = Elements(client.get("/").text)

    read = json.loads(elements.texts["settings"])
    assert read["collector_url"] == hostile
    assert read["app_id"] == "<!--<script>"
    assert [tag for tag, _ in elements.found].count("script") == 3


def test_an_unknown_path_is_a_page_of_the_site(client: TestClient) -> None:
    answer = client.get("/no/such/page")

    assert answer.status_code == 404
    assert "Nothing is docked here" in answer.text
    assert "/pricing" in Elements(answer.text).addresses()
    assert client.get("/assets/none.js").status_code == 404
    assert client.get("/assets/../app.py").status_code == 404
    assert client.get("/assets/%2e%2e/app.py").status_code == 404


def test_health(client: TestClient) -> None:
    assert client.get("/health").json() == {"status": "ok"}


def test_a_part_of_the_clip_can_be_asked_for(client: TestClient) -> None:
    answer = client.get("/assets/tour.webm", headers={"Range": "bytes=0-99"})

    assert answer.status_code == 206
    assert len(answer.content) == 100
