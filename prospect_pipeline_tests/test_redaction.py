"""A password, wherever it is planted, never shows in messages, addresses or what is told."""

import json
import logging
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from prospect_pipeline.errors import RegistryError, StackError
from prospect_pipeline.orchestration import alerts
from prospect_pipeline.orchestration.alerts import Alert
from prospect_pipeline.redaction import shown_address, without_secrets
from prospect_pipeline.registry.store import Registry
from prospect_pipeline.settings import AutomationSettings, DataSettings, RegistrySettings
from prospect_pipeline.stack.scores import fetch_score

BEGIN, END = "Zq9", "9qZ"
ANY = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=12)
PASSWORDS = ANY.map(lambda inside: f"{BEGIN}{inside}{END}")

ADDRESSES = [
    lambda p: f"postgresql://me:{p}@db.local/mlflow",
    lambda p: f"postgresql://me:{quote_plus(p)}@db.local:5432/mlflow?sslmode=require",
    lambda p: f"postgresql:///mlflow?host=db.local&user=me&password={quote_plus(p)}",
    lambda p: f"mssql+pyodbc:///?odbc_connect={quote_plus(f'SERVER=db;UID=me;PWD={p}')}",
    lambda p: f"sqlite+pysqlcipher://:{p}@/folder/mlflow.db?cipher=aes",
    lambda p: f"https://{p}@mlflow.local",
    lambda p: f"https://mlflow.local/?token={quote(p)}",
    lambda p: f"https://mlflow.local/#{p}",
]
WORDS = [
    *(lambda p, address=address: f"({address(p)}) is away." for address in ADDRESSES[:-1]),
    lambda p: f"GET https://a.local/x?a=1&access_token={quote(p)}&b=2 failed",
    lambda p: f"connect(user=me, password={quote(p)}) refused",
    lambda p: f"SNOWFLAKE_PASSWORD={quote(p)} is wrong",
    lambda p: f"Driver=ODBC;UID=me;Pwd={quote(p)};Encrypt=yes",
    lambda p: "given " + json.dumps({"user": "me", "api_key": p}),
    lambda p: f"given { ({'client_secret': p})!r}",
    lambda p: f"Authorization: Bearer {p} was refused",
    lambda p: f"sent Bearer {p}-0123456789 and was refused",
]


def hidden(text: str) -> bool:
    return BEGIN not in text and END not in text


@pytest.mark.parametrize("address", ADDRESSES)
@settings(max_examples=30)
@given(password=PASSWORDS)
def test_an_address_is_shown_without_its_password(address: Any, password: str) -> None:
    assert hidden(shown_address(address(password)))


@pytest.mark.parametrize("words", WORDS)
@settings(max_examples=30)
@given(password=PASSWORDS)
def test_a_message_is_told_without_its_password(words: Any, password: str) -> None:
    assert hidden(without_secrets(words(password)))


@pytest.mark.parametrize(
    "shown",
    [
        "sqlite:////tmp/data/mlflow/mlflow.db",
        "https://mlflow.local:5000/path",
        "mlruns",
        "file:///tmp/mlruns",
        "postgresql://db.local:5432/mlflow",
    ],
)
def test_an_address_without_a_secret_is_shown_as_it_is(shown: str) -> None:
    assert shown_address(shown) == shown


def test_words_without_a_secret_stay_as_they_are() -> None:
    words = (
        "12 of 40 rows have label 1; at most 0.02 expected. Check SP_API_KEY, SP_ORG_ID and "
        "SNOWFLAKE_PASSWORD: https://a.local/b#c (see tokens: 3) mail me@a.local"
    )

    assert without_secrets(words) == words


SPACED = f"{BEGIN} with spaces {END}"


@pytest.mark.parametrize(
    ("secret", "others"),
    [
        ({"SP_SANDBOX_TOKEN": SPACED}, {"SP_SANDBOX_URL": "http://127.0.0.1:1"}),
        (
            {"SP_API_KEY": SPACED},
            {"SP_API_URL": "http://a", "SP_API_KEY_ID": "some", "SP_ORG_ID": "o"},
        ),
        ({"PROSPECT_ALERT_WEBHOOK": f"https://hooks.local/{SPACED}"}, {}),
        ({"MLFLOW_TRACKING_URI": f"postgresql://me:{SPACED}@db.local/x"}, {}),
    ],
)
def test_what_the_settings_keep_secret_is_hidden_wherever_it_stands(
    monkeypatch: pytest.MonkeyPatch, secret: dict[str, str], others: dict[str, str]
) -> None:
    for name, value in (secret | others).items():
        monkeypatch.setenv(name, value)
    [planted] = secret.values()

    told = without_secrets(f"It said: {planted}!")

    assert hidden(told)
    assert told.startswith("It said: ")
    assert told.endswith("!")


def test_a_path_stays_a_path_behind_an_address_of_the_settings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow.local/")

    assert without_secrets("http://mlflow.local/health is away") == (
        "http://mlflow.local/health is away"
    )


@pytest.mark.parametrize("address", ADDRESSES[:7])
def test_a_registry_that_cannot_be_used_is_named_without_its_password(
    tmp_path: Path, address: Any
) -> None:
    uri = address(f"{BEGIN}@/x{END}")
    registry = Registry(
        RegistrySettings.load(tracking_uri=uri), DataSettings.load(data_dir=tmp_path)
    )

    with pytest.raises(RegistryError) as raised:
        registry.check()
        registry.resolve()

    assert hidden(f"{raised.value!r} {raised.value.__cause__} {registry.address}")


def test_an_alert_hides_secrets_in_words_and_page(monkeypatch: pytest.MonkeyPatch) -> None:
    posted: list[Any] = []

    def post(_address: str, **given: Any) -> requests.Response:
        posted.append(given["json"])
        made = requests.Response()
        made.status_code = 200
        return made

    monkeypatch.setenv("PROSPECT_ALERT_WEBHOOK", "https://hooks.local/T0")
    monkeypatch.setattr(alerts.requests, "post", post)
    password = f"{BEGIN}p@ss/w{END}"
    for words in WORDS:
        url = f"https://me:{password}@dagster.local/runs/1"
        told = Alert("the run failed", "retrain", "1", "champion", words(password), url)
        assert alerts.send(AutomationSettings.load(), told, logging.getLogger("told"))

    assert hidden(json.dumps(posted))
    assert {each["url"] for each in posted} == {"https://dagster.local/runs/1"}


def test_a_service_that_is_away_is_named_without_its_password() -> None:
    with pytest.raises(StackError) as raised:
        fetch_score(f"http://me:{BEGIN}{END}@127.0.0.1:1", "ann")

    assert hidden(str(raised.value))
    assert "http://127.0.0.1:1 does not answer" in str(raised.value)
