"""The registry: every kind of trouble has its line, and MLflow makes nothing."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from prospect_pipeline.attributes import prospect
from prospect_pipeline.attributes.version import GroupVersion
from prospect_pipeline.doctor import registry, rounds, signals
from prospect_pipeline.doctor.report import Report
from prospect_pipeline.settings import DataSettings, DefinitionSettings, SignalsSettings
from prospect_pipeline.signals.connection import connection
from prospect_pipeline.signals.deployment import deploy
from prospect_pipeline_tests.doctor.looking import (
    lines,
    local_signals,
    look,
    one,
    standing_in,
    tree,
)
from prospect_pipeline_tests.registry.models import (
    register,
    register_champion,
    registry_in,
    tiny_model,
)

SECRET = "s3cret-of-ours"
GROUP = GroupVersion.of(prospect.attribute_group(DefinitionSettings.load()))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A registry with a champion, version 1, and a version 2 whose file is damaged."""
    made = tmp_path_factory.mktemp("registered")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        kept = registry_in(made)
        register_champion(kept, tiny_model(), GROUP)
        before = set(made.rglob("model.json"))
        register(kept, tiny_model(1))
        [damaged] = set(made.rglob("model.json")) - before
        damaged.write_text("{")
    yield made


def seen(folder: Path) -> Report:
    return look(folder, registry.checks)


def test_a_champion_that_loads_is_well(folder: Path) -> None:
    before = tree(folder)

    report = seen(folder)

    assert [(one.check, one.status) for one in report.findings] == [
        ("address", "ok"), ("version", "ok"), ("model", "ok")
    ]  # fmt: skip
    assert one(report, "registry version").found == "champion is version 1 of prospect_scoring"
    assert one(report, "registry model").found.startswith("version 1 loads, and scores a visitor")
    assert report.unchecked == ["registry attributes"]  # Signals was not asked
    assert tree(folder) == before
    assert tree(Path.cwd()) == {}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SIGNALS_TIMEOUT_MS", "abc"),
        ("SP_SANDBOX_URL", "http://127.0.0.1:9"),
        ("SIGNALS_GROUP_VERSION", "first"),
    ],
)
def test_a_setting_of_signals_that_cannot_be_read_leaves_out_what_asks_signals_alone(
    folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)

    report = look(folder, rounds.checks)

    assert [one.check for one in report.findings if one.area == "registry"] == [
        "address", "version", "model"
    ]  # fmt: skip
    assert one(report, "clock now").status == "ok"
    assert {"Signals as a whole", "registry attributes", "clock Signals"} <= set(report.unchecked)
    assert not {"registry as a whole", "clock as a whole"} & set(report.unchecked)


def test_without_a_database_there_is_no_model_and_none_is_made(tmp_path: Path) -> None:
    report = seen(tmp_path / "data")

    database = tmp_path / "data" / "mlflow" / "mlflow.db"
    assert lines(report, "registry address") == [
        ("wrong", f"no model is registered yet: there is no {database}")
    ]
    assert "prospect run" in report.findings[0].remedy
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("statements", "says", "remedy"),
    [
        ([], "holds no tables of MLflow", "prospect run"),
        (
            [
                "CREATE TABLE alembic_version (version_num)",
                "INSERT INTO alembic_version SELECT 'x'",
            ],
            "holds the tables of another release of MLflow",
            "mlflow db upgrade",
        ),
    ],
)
def test_a_database_that_mlflow_would_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, statements: list[str], says: str, remedy: str
) -> None:
    path = tmp_path / "own.db"
    with sqlite3.connect(path) as database:
        for statement in statements:
            database.execute(statement)
    database.close()
    before = path.read_bytes()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{path}")

    [found] = seen(tmp_path / "data").findings

    assert (found.status, path.read_bytes()) == ("wrong", before)
    assert says in found.found
    assert remedy in found.remedy


def test_a_file_that_is_no_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own.db").write_text("not a database " * 100)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/own.db")

    [found] = seen(tmp_path / "data").findings

    assert found.status == "wrong"
    assert "cannot be used" in found.found


@pytest.mark.parametrize(
    "uri",
    [
        f"http://ann:{SECRET}@127.0.0.1:9",
        f"postgresql://ann:{SECRET}@127.0.0.1:9/db?connect_timeout=1",
        f"mysql+nothing://ann:{SECRET}@127.0.0.1:9/db",
    ],
)
def test_a_registry_that_is_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uri: str) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)

    report = seen(tmp_path / "data")

    [found] = report.findings
    assert found.status == "wrong"
    assert "MLFLOW_TRACKING_URI" in found.remedy
    assert SECRET not in str(report.to_dict())


def test_what_to_do_about_a_server_that_is_away_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")

    [found] = seen(tmp_path / "data").findings

    assert (found.found, found.remedy) == (
        "MLflow at http://127.0.0.1:9 does not answer (ConnectionError).",
        "check MLFLOW_TRACKING_URI and the server; unset it to use SQLite under the data dir",
    )


def test_a_folder_is_not_looked_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"file://{tmp_path}/mlruns")

    [found] = seen(tmp_path / "data").findings

    assert found.status == "wrong"
    assert not (tmp_path / "mlruns").exists()


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (503, "MLflow at {} answers 503."),
        (401, "MLflow at {} answers 401."),
        (404, "{} answers 404, so it is no MLflow."),
    ],
)
def test_a_server_that_answers_with_errors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, says: str
) -> None:
    with standing_in(lambda *_: (status, {}, {})) as url:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
        [found] = seen(tmp_path / "data").findings

    assert (found.status, found.found) == ("wrong", says.format(url))
    assert found.remedy.startswith("check MLFLOW_TRACKING_URI and the server")


def test_a_name_of_which_nothing_is_registered(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODEL_NAME", "other")

    assert lines(seen(folder), "registry version") == [
        ("wrong", "no version of 'other' is registered yet")
    ]


def test_an_alias_that_points_nowhere(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL_ALIAS", "best")

    found = one(seen(folder), "registry version")

    assert (found.status, found.found) == (
        "wrong",
        "alias 'best' of prospect_scoring points at no version",
    )
    assert found.remedy == "choose one: prospect promote VERSION (the newest is 2)"


def test_an_alias_that_points_nowhere_is_a_warning_where_a_version_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODEL_ALIAS", "best")
    monkeypatch.setenv("MODEL_VERSION", "1")

    report = seen(folder)

    assert [status for status, _ in lines(report, "registry version")] == ["warning", "ok"]
    assert one(report, "registry model").status == "ok"


def test_a_version_that_is_not_there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL_VERSION", "7")

    assert lines(seen(folder), "registry version")[1] == (
        "wrong",
        "MODEL_VERSION is 7, and prospect_scoring has no such version",
    )


def test_a_version_that_does_not_load(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL_VERSION", "latest")

    found = one(seen(folder), "registry model")

    assert found.status == "wrong"
    assert "version 2 is damaged and cannot be loaded" in found.found
    assert "prospect promote" in found.remedy


@pytest.mark.parametrize(
    ("published", "status", "says"),
    [
        ([1], "ok", "version 1, which Signals has published"),
        ([2], "wrong", "version 1, which Signals has not published"),
        ([1, 2], "warning", "version 1; defined here is 2"),
    ],
)
def test_the_attributes_of_the_version_are_published(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    published: list[int],
    status: str,
    says: str,
) -> None:
    data = DataSettings.load(data_dir=tmp_path / "signals")
    with local_signals(data.root):
        at = connection(SignalsSettings.load(), data)
        for number in published:
            monkeypatch.setenv("SIGNALS_GROUP_VERSION", str(number))
            settings = DefinitionSettings.load()
            deploy(at.sdk(), prospect.attribute_group(settings), prospect.service(settings))
        assert at.token is not None
        monkeypatch.setenv("SP_SANDBOX_URL", at.url)
        monkeypatch.setenv("SP_SANDBOX_TOKEN", at.token.get_secret_value())
        report = look(folder, signals.checks, registry.checks)

    found = one(report, "registry attributes")
    assert found.status == status
    assert says in found.found
