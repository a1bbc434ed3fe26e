"""Settings: what is wrong is named by its variable, and a secret is never shown."""

import os
import re
import traceback
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from prospect_pipeline.errors import SettingsError
from prospect_pipeline.settings import (
    AutomationSettings,
    Clock,
    DataSettings,
    DefinitionSettings,
    RegistrySettings,
    ServingSettings,
    SignalsSettings,
    SnowflakeSettings,
    TrainingSettings,
    parse_moment,
    web_address,
)

OURS = ("SP_", "SNOWFLAKE_", "PROSPECT_", "SIGNALS_", "MLFLOW_", "MODEL_", "PREDICT_", "DAGSTER_")
SECRET = "s3cret-of-ours"
REAL = {
    "SP_API_URL": "https://signals.example.com",
    "SP_API_KEY": SECRET,
    "SP_API_KEY_ID": f"{SECRET}-id",
    "SP_ORG_ID": "our-org",
}
SANDBOX = {"SP_SANDBOX_URL": "https://sandbox.example.com", "SP_SANDBOX_TOKEN": SECRET}
SNOWFLAKE = {
    "SNOWFLAKE_ACCOUNT": "xy12345",
    "SNOWFLAKE_USER": "loader",
    "SNOWFLAKE_WAREHOUSE": "wh",
    "SNOWFLAKE_DATABASE": "db",
    "SNOWFLAKE_SCHEMA": "derived",
    "ATOMIC_TABLE": "db.atomic.events",
}
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.upper().startswith(OURS) or name.upper() in ("ATOMIC_TABLE", "MIN_CONVERTERS"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def put(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


def refusal(kind: Any, **overrides: Any) -> str:
    with pytest.raises(SettingsError) as raised:
        kind.load(**overrides)
    return str(raised.value)


def test_with_nothing_set_everything_is_local() -> None:
    assert SignalsSettings.load().target == "local"
    assert not SnowflakeSettings.load().configured
    assert RegistrySettings.load().tracking_uri is None
    assert Clock.load().setting == "wall"
    assert DataSettings.load().root == Path.cwd() / "data"
    assert TrainingSettings.load().as_of_moment is None
    assert ServingSettings.load().detail == "full"


@pytest.mark.parametrize(
    ("kind", "variable"),
    [
        (AutomationSettings, "PREDICT_URL"),
        (AutomationSettings, "DAGSTER_UI_URL"),
        (RegistrySettings, "MLFLOW_UI_URL"),
        (SignalsSettings, "SP_API_URL"),
        (SignalsSettings, "SP_SANDBOX_URL"),
    ],
)
def test_an_address_without_http_before_it_is_refused_with_what_to_write(
    monkeypatch: pytest.MonkeyPatch, kind: Any, variable: str
) -> None:
    monkeypatch.setenv(variable, "localhost:8080")

    assert refusal(kind) == (
        f"{variable}: 'localhost:8080' has neither http:// nor https:// before it. "
        "Write http://localhost:8080, or the same with https://"
    )


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("x.io/signals", "x.io/signals"),
        ("//x.io", "x.io"),
        ("ftp://x.io", "x.io"),
        ("http:/x.io", "x.io"),
        ("https//x.io", "x.io"),
        ("http:///x.io", "x.io"),
        ("http://", "HOST"),
        (f"ann:{SECRET}@x.io:1", "x.io:1"),
        (f"ftp://ann:{SECRET}?{SECRET}@x.io", "x.io"),
        (f"ann:{SECRET}://{SECRET}#{SECRET}@x.io", "x.io"),
        (f"x.io/?token={SECRET}", "x.io/"),
        (f"{SECRET}@", "HOST"),
    ],
)
def test_what_is_written_of_an_address_never_shows_who_may_log_in(address: str, place: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"'{place}' has neither")) as raised:
        web_address(address)

    assert SECRET not in str(raised.value)


@pytest.mark.parametrize("address", ["http://localhost:8080", f"https://ann:{SECRET}@x.io/a?b=c"])
def test_an_address_is_kept_as_it_was_written(address: str) -> None:
    assert web_address(address) == address


def test_the_real_signals_is_the_target_of_its_four_variables(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    put(monkeypatch, REAL)

    made = SignalsSettings.load()

    assert made.target == "signals"
    assert made.api_key is not None
    assert made.api_key.get_secret_value() == SECRET


def test_the_sandbox_is_the_target_of_its_two_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    put(monkeypatch, SANDBOX)

    assert SignalsSettings.load().target == "sandbox"


@pytest.mark.parametrize("missing", REAL)
def test_three_of_the_four_signals_variables_name_the_fourth(
    monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    present = [name for name in REAL if name != missing]
    put(monkeypatch, {name: REAL[name] for name in present})

    message = refusal(SignalsSettings)

    assert message == (
        f"{', '.join(present)} set, but {missing} missing; "
        "set all of SP_API_URL, SP_API_KEY, SP_API_KEY_ID, SP_ORG_ID or none"
    )


@pytest.mark.parametrize("present", SANDBOX)
def test_half_of_the_sandbox_variables_name_the_other(
    monkeypatch: pytest.MonkeyPatch, present: str
) -> None:
    monkeypatch.setenv(present, SANDBOX[present])
    [missing] = set(SANDBOX) - {present}

    assert refusal(SignalsSettings) == (
        f"{present} set, but {missing} missing; set all of SP_SANDBOX_URL, SP_SANDBOX_TOKEN or none"
    )


def test_the_real_signals_and_a_sandbox_together_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    put(monkeypatch, REAL | SANDBOX)

    assert refusal(SignalsSettings) == (
        "both SP_API_URL and SP_SANDBOX_URL are set; keep the one that is meant"
    )


@pytest.mark.parametrize("variable", ["SNOWFLAKE_PASSWORD", "SNOWFLAKE_PRIVATE_KEY_PATH"])
def test_snowflake_takes_a_password_or_a_key(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    put(monkeypatch, SNOWFLAKE | {variable: SECRET})

    made = SnowflakeSettings.load()

    assert made.configured
    assert made.schema_ == "derived"


@pytest.mark.parametrize("missing", SNOWFLAKE)
def test_a_missing_snowflake_variable_is_named(
    monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    put(monkeypatch, SNOWFLAKE | {"SNOWFLAKE_PASSWORD": SECRET})
    monkeypatch.delenv(missing)

    message = refusal(SnowflakeSettings)

    assert f"set, but {missing} missing; set all of {', '.join(SNOWFLAKE)} or none" in message
    assert SECRET not in message


def test_snowflake_without_password_or_key_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    put(monkeypatch, SNOWFLAKE)

    assert refusal(SnowflakeSettings) == (
        "SNOWFLAKE_ACCOUNT is set but neither SNOWFLAKE_PASSWORD nor "
        "SNOWFLAKE_PRIVATE_KEY_PATH; set one of them"
    )


@pytest.mark.parametrize(
    "variable", ["SNOWFLAKE_PASSWORD", "SNOWFLAKE_PRIVATE_KEY_PATH", "SNOWFLAKE_ROLE"]
)
def test_a_snowflake_login_without_the_account_names_the_account(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, SECRET)

    assert "SNOWFLAKE_ACCOUNT" in refusal(SnowflakeSettings)


@pytest.mark.parametrize(
    ("kind", "variables"),
    [
        (SignalsSettings, REAL),
        (SignalsSettings, SANDBOX),
        (SnowflakeSettings, SNOWFLAKE | {"SNOWFLAKE_PASSWORD": SECRET}),
    ],
)
def test_secrets_are_not_shown(
    monkeypatch: pytest.MonkeyPatch, kind: Any, variables: dict[str, str]
) -> None:
    put(monkeypatch, variables)

    made = kind.load()

    for shown in (repr(made), str(made), repr(made.model_dump()), made.model_dump_json()):
        assert SECRET not in shown
        assert "**" in shown


@pytest.mark.parametrize(
    ("kind", "variables"),
    [
        (SignalsSettings, REAL | SANDBOX),
        (SignalsSettings, {"SP_API_KEY": SECRET}),
        (SignalsSettings, REAL | {"SIGNALS_TIMEOUT_MS": "soon"}),
        (SnowflakeSettings, {"SNOWFLAKE_USER": "loader", "SNOWFLAKE_PASSWORD": SECRET}),
    ],
)
def test_secrets_are_not_in_an_error_nor_in_its_traceback(
    monkeypatch: pytest.MonkeyPatch, kind: Any, variables: dict[str, str]
) -> None:
    put(monkeypatch, variables)

    with pytest.raises(SettingsError) as raised:
        kind.load()

    assert SECRET not in "".join(traceback.format_exception(raised.value))
    assert SECRET not in repr(raised.value)


@pytest.mark.parametrize("cohort", ["30:60", "30:30", "60", "60-30", "60:", "-60:30", "everyone"])
def test_a_bad_cohort_is_refused_with_an_example(
    monkeypatch: pytest.MonkeyPatch, cohort: str
) -> None:
    monkeypatch.setenv("PROSPECT_COHORT", cohort)

    assert refusal(TrainingSettings) == (
        f"PROSPECT_COHORT: '{cohort}' is not OLDEST:NEWEST in days before as-of, such as 60:30, "
        "nor 'all'"
    )


@pytest.mark.parametrize("cohort", ["60:30", "1:0", "all"])
def test_a_good_cohort_is_kept_as_it_is(monkeypatch: pytest.MonkeyPatch, cohort: str) -> None:
    monkeypatch.setenv("PROSPECT_COHORT", cohort)

    assert TrainingSettings.load().cohort == cohort


@pytest.mark.parametrize(
    ("kind", "variable"), [(Clock, "PROSPECT_CLOCK"), (TrainingSettings, "PROSPECT_AS_OF")]
)
@pytest.mark.parametrize("moment", ["yesterday", "2026-13-01", "01.05.2026"])
def test_a_bad_moment_is_refused_with_an_example(
    monkeypatch: pytest.MonkeyPatch, kind: Any, variable: str, moment: str
) -> None:
    monkeypatch.setenv(variable, moment)

    assert refusal(kind) == (
        f"{variable}: '{moment}' is not an ISO date-time such as 2026-05-01T12:00:00"
    )


@pytest.mark.parametrize(
    "written",
    [
        "2026-05-01T12:00:00",
        "2026-05-01 12:00",
        "2026-05-01T12:00:00Z",
        "2026-05-01T14:00:00+02:00",
        "2026-05-01T05:00:00-07:00",
    ],
)
def test_a_moment_is_utc_whatever_its_zone(monkeypatch: pytest.MonkeyPatch, written: str) -> None:
    monkeypatch.setenv("PROSPECT_AS_OF", written)

    made = TrainingSettings.load()

    assert parse_moment(written) == made.as_of_moment == NOON
    assert parse_moment(written).tzinfo is UTC
    assert made.as_of == "2026-05-01T12:00:00+00:00"


def test_a_moment_before_the_first_day_in_utc_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROSPECT_AS_OF", "0001-01-01T00:00:00+05:00")

    assert refusal(TrainingSettings).startswith("PROSPECT_AS_OF: ")


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"negative_rate": 0.1}, "PROSPECT_NEGATIVE_RATE is below 1"),
        ({"anchors_per_visitor": 4}, "PROSPECT_ANCHORS_PER_VISITOR is set"),
        ({"anchors": "sessions.py:anchors"}, "PROSPECT_ANCHORS names sessions"),
    ],
)
def test_calls_a_day_are_not_counted_among_sampled_rows(given: dict[str, Any], named: str) -> None:
    words = refusal(TrainingSettings, threshold="capacity=50", **given)

    assert words.startswith(f"PROSPECT_THRESHOLD is 'capacity=50', but {named}: ")
    assert TrainingSettings.load(threshold="f1", **given).threshold == "f1"
    assert TrainingSettings.load(threshold="capacity=50", anchors="own.csv").negative_rate == 1


def test_each_kind_of_row_has_a_horizon_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    sessions = TrainingSettings.load(anchors="sessions.py:anchors")
    table = TrainingSettings.load(anchors="own.csv")

    assert TrainingSettings.load(horizon_minutes=30).label_horizon == timedelta(minutes=30)
    assert sessions.label_horizon == timedelta(days=1)
    with pytest.raises(SettingsError, match="PROSPECT_ANCHORS_HORIZON_MINUTES: 43200 where"):
        _ = table.label_horizon
    monkeypatch.setenv("PROSPECT_ANCHORS_HORIZON_MINUTES", "0")
    assert TrainingSettings.load(anchors="own.csv").label_horizon == timedelta(0)
    assert TrainingSettings.load(anchors="sessions.py:anchors").label_horizon == timedelta(0)
    assert TrainingSettings.load().label_horizon == timedelta(hours=1)


def test_a_date_is_its_midnight() -> None:
    assert parse_moment("2026-05-01") == datetime(2026, 5, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("kind", "variable", "value"),
    [
        (DefinitionSettings, "SIGNALS_GROUP_VERSION", "0"),
        (DefinitionSettings, "SIGNALS_OWNER", "nobody"),
        (DefinitionSettings, "SIGNALS_BACKFILL_SINCE", "long ago"),
        (SignalsSettings, "SIGNALS_TIMEOUT_MS", "0"),
        (SignalsSettings, "SIGNALS_TIMEOUT_MS", "1501"),  # the service ends a request after 2 s
        (RegistrySettings, "MODEL_VERSION", "newest"),
        (TrainingSettings, "PROSPECT_ANCHORS_HORIZON_MINUTES", "-1"),
        (TrainingSettings, "PROSPECT_PROMOTION_CALIBRATION", "0"),
        (TrainingSettings, "PROSPECT_PROMOTION_CONVERTERS", "0"),
        (TrainingSettings, "PROSPECT_NEGATIVE_RATE", "0"),
        (TrainingSettings, "PROSPECT_NEGATIVE_RATE", "1.1"),
        (TrainingSettings, "PROSPECT_NEGATIVE_RATE", "nan"),
        (TrainingSettings, "PROSPECT_HORIZON_MINUTES", "an hour"),
        (TrainingSettings, "PROSPECT_EXCLUDE_BOTS", "perhaps"),
        (TrainingSettings, "MIN_CONVERTERS", "-1"),
        (TrainingSettings, "PROSPECT_SEARCH_TRIALS", "-1"),
        (TrainingSettings, "PROSPECT_SEARCH_TRIALS", "1001"),
        (TrainingSettings, "PROSPECT_SEARCH_SECONDS", "0"),
        (TrainingSettings, "PROSPECT_SEARCH_SECONDS", "inf"),
        (ServingSettings, "PREDICT_DETAIL", "some"),
        (ServingSettings, "MODEL_POLL_SECONDS", "0"),
    ],
)
def test_a_bad_value_is_refused_by_its_variables_name(
    monkeypatch: pytest.MonkeyPatch, kind: Any, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)

    assert refusal(kind).startswith(f"{variable}: ")


def test_every_bad_value_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    put(monkeypatch, {"PROSPECT_COHORT": "x", "MIN_CONVERTERS": "y"})

    message = refusal(TrainingSettings)

    assert "PROSPECT_COHORT: " in message
    assert "; MIN_CONVERTERS: " in message


@pytest.mark.parametrize(
    ("written", "names"),
    [("a", ("a",)), ("a,b", ("a", "b")), (" a , b ,", ("a", "b")), (",", ())],
)
def test_a_list_is_written_with_commas(
    monkeypatch: pytest.MonkeyPatch, written: str, names: tuple[str, ...]
) -> None:
    put(monkeypatch, {"PROSPECT_APP_IDS": written, "PROSPECT_EXCLUDED_EVENTS": written})

    assert TrainingSettings.load().app_ids == names
    assert TrainingSettings.load().excluded_events == names


def test_a_list_keeps_its_default_next_to_one_that_is_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PROSPECT_GOAL_EVENTS", "sign_up,submit_form")

    made = TrainingSettings.load()

    assert made.goal_events == ("sign_up", "submit_form")
    assert made.app_ids == ("website", "hs-landing")


def test_empty_variables_count_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [*REAL, *SANDBOX, *SNOWFLAKE, "PROSPECT_COHORT", "PROSPECT_APP_IDS"]:
        monkeypatch.setenv(name, "")

    assert SignalsSettings.load().target == "local"
    assert not SnowflakeSettings.load().configured
    assert TrainingSettings.load() == TrainingSettings()
    assert TrainingSettings.load().app_ids == ("website", "hs-landing")


def test_an_env_file_of_the_working_directory_is_read(tmp_path: Path) -> None:
    text = "PROSPECT_COHORT=90:60\nPROSPECT_APP_IDS=a, b\nSP_SANDBOX_URL=\nUNRELATED=1\n"
    (tmp_path / ".env").write_text(text)

    made = TrainingSettings.load()

    assert (made.cohort, made.app_ids) == ("90:60", ("a", "b"))
    assert SignalsSettings.load().target == "local"


def test_a_half_set_group_of_an_env_file_names_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"SP_SANDBOX_TOKEN={SECRET}\n")

    message = refusal(SignalsSettings)

    assert message.startswith("SP_SANDBOX_TOKEN set, but SP_SANDBOX_URL missing")
    assert SECRET not in message


def test_the_environment_wins_over_the_env_file_and_an_argument_over_both(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("PROSPECT_COHORT=90:60\nPROSPECT_SEED=5\nMIN_CONVERTERS=7\n")
    put(monkeypatch, {"PROSPECT_COHORT": "80:50", "PROSPECT_SEED": "6"})

    made = TrainingSettings.load(cohort="70:40")

    assert (made.cohort, made.seed, made.min_converters) == ("70:40", 6, 7)


def test_an_argument_of_none_is_as_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROSPECT_COHORT", "90:60")

    assert TrainingSettings.load(cohort=None).cohort == "90:60"


def test_a_bad_argument_is_refused_like_a_bad_variable() -> None:
    assert "'1:2' is not OLDEST:NEWEST" in refusal(TrainingSettings, cohort="1:2")


def test_settings_do_not_change() -> None:
    made = TrainingSettings.load()

    with pytest.raises(ValidationError, match="frozen"):
        made.seed = 3


def test_the_horizon_is_a_span_of_time() -> None:
    assert TrainingSettings.load(horizon_minutes=90).horizon == timedelta(minutes=90)


def test_a_backfill_without_a_zone_is_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGNALS_BACKFILL_SINCE", "2026-05-01T12:00:00")

    assert DefinitionSettings.load().backfill_since == NOON


def test_the_data_directory_is_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PROSPECT_DATA_DIR", "some/where")

    assert DataSettings.load().root == tmp_path.resolve() / "some" / "where"


@pytest.mark.parametrize("setting", ["wall", "last-event"])
def test_the_wall_clock_is_now_also_before_the_first_event(setting: str) -> None:
    before = datetime.now(UTC)

    now = Clock.load(setting=setting).now()

    assert before <= now <= datetime.now(UTC)
    assert now.tzinfo is UTC


def test_the_wall_clock_does_not_look_at_events() -> None:
    assert Clock.load(setting="wall").now(NOON) > NOON - timedelta(days=365)
    assert Clock.load(setting="wall").now(NOON) != NOON


def test_the_last_event_is_now_where_that_is_the_setting() -> None:
    clock = Clock.load(setting="last-event")

    assert clock.needs_events
    assert clock.now(NOON) == NOON


def test_a_fixed_moment_is_always_now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROSPECT_CLOCK", "2026-05-01T14:00:00+02:00")

    clock = Clock.load()

    assert clock.now() == clock.now(NOON + timedelta(days=1)) == NOON
    assert clock.now().tzinfo is UTC
    assert not clock.needs_events
    assert not Clock.load(setting="wall").needs_events


def test_a_moment_of_another_zone_becomes_utc() -> None:
    zone = timezone(timedelta(hours=2))

    assert parse_moment(NOON.astimezone(zone).isoformat()).isoformat() == (
        "2026-05-01T12:00:00+00:00"
    )


@pytest.mark.parametrize(
    "origins",
    ["https://www.example.com", "http://localhost:8088, https://a.example.com", "*", ""],
)
def test_origins_are_written_as_browsers_send_them(origins: str) -> None:
    assert ServingSettings.load(cors_origins=origins).cors_origins == tuple(
        each.strip() for each in origins.split(",") if each
    )


@pytest.mark.parametrize(
    "origin",
    ["www.example.com", "https://www.example.com/", "https://a.io/x", "https://*.a.io", "ftp://a"],
)
def test_what_no_browser_sends_is_no_origin(origin: str) -> None:
    assert refusal(ServingSettings, cors_origins=f"https://ok.io,{origin}") == (
        f"PREDICT_CORS_ORIGINS: '{origin}' is no origin. Write it as a browser sends it: scheme, "
        "host, and a port where there is one, such as https://www.example.com"
    )


def test_a_key_that_can_be_guessed_is_refused_and_not_shown() -> None:
    said = refusal(ServingSettings, api_key=f"{SECRET}-of-many-letters,short")

    assert said.startswith("PREDICT_API_KEY: a key has 5 characters, 16 at least are expected.")
    assert SECRET not in said
    assert "short" not in said


def test_of_several_keys_the_first_is_sent() -> None:
    assert ServingSettings.load().first_key is None
    settings = ServingSettings.load(api_key=f"{SECRET}-of-this-month, {SECRET}-of-the-next")

    assert settings.first_key == f"{SECRET}-of-this-month"
    assert SECRET not in repr(settings)
