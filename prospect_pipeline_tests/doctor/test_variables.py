"""Settings: what cannot be read, what is misspelt, and which files are not there."""

from pathlib import Path

import pytest

from prospect_pipeline.doctor import rounds, variables
from prospect_pipeline.doctor.report import Report
from prospect_pipeline.doctor.system import KINDS
from prospect_pipeline.settings import __all__ as names
from prospect_pipeline_tests.doctor.looking import lines, look, one

SECRET = "s3cret-of-ours"


def seen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, **given: str) -> Report:
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    return look(tmp_path, variables.checks)


def test_every_class_of_settings_is_read() -> None:
    assert {kind.__name__ for kind in KINDS} == {
        name for name in names if name.endswith("Settings") or name == "Clock"
    }


def test_without_any_setting_all_is_well(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    report = seen(monkeypatch, tmp_path)

    assert [finding.status for finding in report.findings] == ["ok", "ok", "not used"]


def test_a_value_that_cannot_be_read_is_named_by_its_variable(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    given = {"SIGNALS_TIMEOUT_MS": "soon", "MODEL_VERSION": "best"}

    found = lines(seen(monkeypatch, tmp_path, **given), "settings values")

    assert [status for status, _ in found] == ["wrong", "wrong"]
    assert found[0][1].startswith("SIGNALS_TIMEOUT_MS: ")
    assert found[1][1].startswith("MODEL_VERSION: ")


def test_half_a_group_is_wrong_and_its_secret_stays_hidden(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    report = seen(monkeypatch, tmp_path, SP_API_URL="https://x.io", SP_API_KEY=SECRET)

    assert lines(report, "settings values") == [
        (
            "wrong",
            "SP_API_URL, SP_API_KEY set, but SP_API_KEY_ID, SP_ORG_ID missing; "
            "set all of SP_API_URL, SP_API_KEY, SP_API_KEY_ID, SP_ORG_ID or none",
        )
    ]
    assert SECRET not in str(report.to_dict())


def test_an_address_without_http_is_one_wrong_setting_and_its_password_stays_hidden(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    report = seen(monkeypatch, tmp_path, PREDICT_URL=f"ann:{SECRET}@localhost:8080")

    found = one(report, "settings values")
    assert (found.status, found.found) == (
        "wrong",
        "PREDICT_URL: 'localhost:8080' has neither http:// nor https:// before it. "
        "Write http://localhost:8080, or the same with https://",
    )
    assert found.remedy == "set it so, or unset it; docs/settings.md lists them all"
    assert SECRET not in str(report.to_dict())


@pytest.mark.parametrize("origin", ["https://x.io/", "https://x.io/shop", "x.io", "https://*.x.io"])
def test_an_origin_that_is_none_is_named_even_where_no_service_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, origin: str
) -> None:
    report = seen(monkeypatch, tmp_path, PREDICT_CORS_ORIGINS=f"https://www.example.com,{origin}")

    [(status, found)] = lines(report, "settings values")
    assert status == "wrong"
    assert found.startswith(f"PREDICT_CORS_ORIGINS: '{origin}' is no origin.")


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [("PROSPECT_THRESHOLD", "best", "'best'"), ("PROSPECT_ANCHORS", "mine.csv", "nothing says")],
)
def test_what_only_a_training_would_stumble_over_is_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str, value: str, says: str
) -> None:
    [(status, found)] = lines(seen(monkeypatch, tmp_path, **{variable: value}), "settings values")

    assert status == "wrong"
    assert variable in found
    assert says in found


@pytest.mark.parametrize(
    ("misspelt", "meant"),
    [
        ("PROSPECT_COHROT", "PROSPECT_COHORT"),
        ("SNOWFLAKE_PASWORD", "SNOWFLAKE_PASSWORD"),
        ("SIGNALS_TIMEOUT", "SIGNALS_TIMEOUT_MS"),
        ("ATOMIC_TABLES", "ATOMIC_TABLE"),
        ("MIN_CONVERTER", "MIN_CONVERTERS"),
        ("predict_cors_origin", "PREDICT_CORS_ORIGINS"),
    ],
)
def test_a_misspelt_name_is_a_warning_with_the_one_that_is_meant(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, misspelt: str, meant: str
) -> None:
    found = one(seen(monkeypatch, tmp_path, **{misspelt: SECRET}), "settings names")

    assert (found.status, found.remedy) == ("warning", f"set {meant}?")
    assert found.found == f"{misspelt.upper()} is no setting, so it does nothing"


def test_a_misspelt_name_in_the_file_is_found_too(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    Path(".env").write_text("PROSPECT_SEEDS=3\nPROSPECT_SEED=3\n")
    report = seen(monkeypatch, tmp_path)

    assert one(report, "settings names").remedy == "set PROSPECT_SEED?"
    assert one(report, "settings values").found.endswith("(.env is read too)")


@pytest.mark.parametrize("foreign", ["PATH_OF_OURS", "MLFLOW_TRACKING_TOKEN", "DAGSTER_HOME"])
def test_variables_of_others_are_left_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, foreign: str
) -> None:
    report = seen(monkeypatch, tmp_path, **{foreign: "x"})

    assert lines(report, "settings names") == [("ok", "none is misspelt")]


def test_files_that_settings_name_have_to_be_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "goal.py").write_text("")
    given = {
        "PROSPECT_ANCHORS": f"{tmp_path}/mine.csv",
        "PROSPECT_ANCHORS_HORIZON_MINUTES": "60",
        "PROSPECT_GOAL": f"{tmp_path}/goal.py:GOAL",
    }

    assert lines(seen(monkeypatch, tmp_path, **given), "settings files") == [
        ("wrong", f"PROSPECT_ANCHORS names {tmp_path}/mine.csv, which cannot be read")
    ]


def test_an_area_whose_settings_cannot_be_read_is_named_and_the_others_are_looked_at(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PROSPECT_COHORT", "yesterday")

    report = look(tmp_path, rounds.checks)

    assert "warehouse as a whole" in report.unchecked
    assert {finding.area for finding in report.findings} == {
        "settings", "data dir", "Signals", "registry", "service", "clock", "Dagster",
    }  # fmt: skip
