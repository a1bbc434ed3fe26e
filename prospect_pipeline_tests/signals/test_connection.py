"""Which Signals is meant, and that its secrets never show."""

import json
import os
from pathlib import Path

import pytest
from pydantic import SecretStr
from snowplow_signals import Signals, SignalsSandbox

from prospect_pipeline.errors import SettingsError, SignalsUnavailable
from prospect_pipeline.settings import DataSettings, SignalsSettings
from prospect_pipeline.signals.connection import ADDRESS_FILE, Connection, Credentials, connection

SECRET = "s3cret-of-ours"
REAL = {
    "api_url": "https://signals.example.com/",
    "api_key": SECRET,
    "api_key_id": f"{SECRET}-id",
    "org_id": "our-org",
}
SANDBOX = {"sandbox_url": "https://sandbox.example.com/", "sandbox_token": SECRET}


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.startswith(("SP_", "SIGNALS_")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def data(tmp_path: Path) -> DataSettings:
    return DataSettings.load(data_dir=tmp_path)


def to(data: DataSettings, settings: dict[str, str]) -> Connection:
    return connection(SignalsSettings.load(**settings), data)


def test_the_real_signals_is_reached_by_its_credentials(data: DataSettings) -> None:
    made = to(data, REAL)

    assert made == Connection(
        "signals",
        "https://signals.example.com",
        credentials=Credentials(SecretStr(SECRET), SecretStr(f"{SECRET}-id"), "our-org"),
    )


def test_a_sandbox_is_reached_by_its_token(data: DataSettings) -> None:
    made = to(data, SANDBOX)

    assert made == Connection("sandbox", "https://sandbox.example.com", SecretStr(SECRET))


def test_the_local_signals_is_found_by_the_file_it_wrote(data: DataSettings) -> None:
    address = {"url": "http://127.0.0.1:8087", "token": SECRET, "pid": 1}
    (data.root / ADDRESS_FILE).write_text(json.dumps(address))

    assert to(data, {}) == Connection("local", "http://127.0.0.1:8087", SecretStr(SECRET))


def test_a_configured_signals_wins_over_a_local_one(data: DataSettings) -> None:
    address = {"url": "http://127.0.0.1:8087", "token": "local"}
    (data.root / ADDRESS_FILE).write_text(json.dumps(address))

    assert to(data, SANDBOX).kind == "sandbox"
    assert to(data, REAL).kind == "signals"


@pytest.mark.parametrize(
    "written", [None, "", '{"url": "http://127', '{"url": "http://127.0.0.1:1"}', "\x00\x01"]
)
def test_without_a_local_signals_it_is_said_how_to_start_one(
    data: DataSettings, written: str | None
) -> None:
    if written is not None:
        (data.root / ADDRESS_FILE).write_text(written)

    with pytest.raises(SignalsUnavailable) as raised:
        to(data, {})

    assert str(raised.value) == (
        f"No local Signals runs for {data.root}. Start one with `prospect sandbox` (or the whole "
        "system with `prospect run`), or set SP_API_URL or SP_SANDBOX_URL."
    )


@pytest.mark.parametrize("written", ["[]", "null", '"text"'])
def test_an_address_file_of_another_shape_counts_as_none(data: DataSettings, written: str) -> None:
    (data.root / ADDRESS_FILE).write_text(written)

    with pytest.raises(SignalsUnavailable, match="prospect sandbox"):
        to(data, {})


@pytest.mark.parametrize("absent", [*REAL, *SANDBOX])
def test_half_a_configuration_is_refused_before_anything_is_reached(absent: str) -> None:
    whole = REAL if absent in REAL else SANDBOX

    with pytest.raises(SettingsError, match=f"SP_{absent.upper()} missing") as raised:
        SignalsSettings.load(**{name: value for name, value in whole.items() if name != absent})

    assert SECRET not in str(raised.value)


@pytest.mark.parametrize("settings", [REAL, SANDBOX])
def test_a_connection_never_shows_its_secrets(data: DataSettings, settings: dict[str, str]) -> None:
    made = to(data, settings)

    for shown in (repr(made), str(made), f"{made}", repr(made.credentials)):
        assert SECRET not in shown


def test_the_sdks_client_is_the_one_for_the_connection(data: DataSettings) -> None:
    real, sandbox = to(data, REAL).sdk(), to(data, SANDBOX).sdk()

    assert (type(real), type(sandbox)) == (Signals, SignalsSandbox)
    assert real.api_client.api_url == "https://signals.example.com"
    assert (real.api_client.api_key, real.api_client.org_id) == (SECRET, "our-org")
    assert sandbox.api_client.api_url == "https://sandbox.example.com"
    assert sandbox.api_client.sandbox_token == SECRET
