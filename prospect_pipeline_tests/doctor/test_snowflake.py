"""Snowflake: through the real connector against fakesnow, and grants as Snowflake words them."""

import re
from collections.abc import Collection
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import snowflake.connector

from prospect_pipeline.doctor import clocks, rounds
from prospect_pipeline.doctor.report import Report
from prospect_pipeline.doctor.snowflake import _Snowflake
from prospect_pipeline.doctor.system import System
from prospect_pipeline_tests.doctor.looking import lines, look, one
from prospect_pipeline_tests.events import NOW
from prospect_pipeline_tests.warehouse.test_snowflake import snowflake_tables

__all__ = ["snowflake_tables"]
SECRET = "s3cret-of-ours"
SETTINGS = {
    "SNOWFLAKE_ACCOUNT": "acme",
    "SNOWFLAKE_USER": "ann",
    "SNOWFLAKE_PASSWORD": SECRET,
    "SNOWFLAKE_WAREHOUSE": "compute",
    "SNOWFLAKE_DATABASE": "tracker",
    "SNOWFLAKE_SCHEMA": "atomic",
    "SNOWFLAKE_ROLE": "SCORER",
    "ATOMIC_TABLE": "tracker.atomic.events",
    "PROSPECT_CLOCK": NOW.isoformat(),
}


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch, nothing_set: None) -> None:
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)


def seen(tmp_path: Path) -> Report:
    return look(tmp_path, rounds._warehouse)


def test_what_can_be_known_of_fakesnow_is_well(snowflake_tables: Any, tmp_path: Path) -> None:
    before = snowflake_tables.execute("SHOW TABLES IN DATABASE tracker").fetchall()

    report = seen(tmp_path)

    assert one(report, "warehouse connection").found.startswith(
        "connected as ann at acme, with the role "
    )
    assert lines(report, "warehouse table") == [("ok", "tracker.atomic.events may be read")]
    assert lines(report, "warehouse events") == [
        (
            "ok",
            "6 events in tracker.atomic.events, the last 2026-05-01 12:00 UTC "
            "(less than a minute ago)",
        )
    ]
    assert lines(report, "warehouse results") == [
        (
            "warning",
            '"TRACKER"."ATOMIC" is there; whether tables may be created in it cannot be known here',
        )
    ]
    assert lines(report, "warehouse compute") == [
        ("warning", "whether compute may be used cannot be known here")
    ]
    assert report.well
    assert snowflake_tables.execute("SHOW TABLES IN DATABASE tracker").fetchall() == before


def test_a_table_that_may_not_be_read(
    snowflake_tables: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATOMIC_TABLE", "tracker.atomic.nowhere")

    report = seen(tmp_path)

    found = one(report, "warehouse table")
    assert found.status == "wrong"
    assert "Snowflake refused" in found.found
    assert found.remedy.startswith("GRANT SELECT ON TABLE tracker.atomic.nowhere TO ROLE SCORER")
    assert report.unchecked == ["warehouse columns", "warehouse events"]


def test_a_required_column_that_is_missing(snowflake_tables: Any, tmp_path: Path) -> None:
    snowflake_tables.execute("ALTER TABLE tracker.atomic.events DROP COLUMN event_vendor")

    assert lines(seen(tmp_path), "warehouse columns") == [
        ("wrong", "tracker.atomic.events lacks the required event_vendor")
    ]


def test_an_optional_column_that_is_missing_is_a_warning_that_names_its_attributes(
    snowflake_tables: Any, tmp_path: Path
) -> None:
    assert lines(seen(tmp_path), "warehouse columns") == [
        ("ok", "every column that an attribute reads is there")
    ]

    snowflake_tables.execute("ALTER TABLE tracker.atomic.events DROP COLUMN page_url")

    assert lines(seen(tmp_path), "warehouse columns") == [
        (
            "warning",
            "there is no page_url: num_pricing_views_l7d, num_pricing_views_l30d will be null in "
            "training",
        )
    ]


def test_a_table_without_events(snowflake_tables: Any, tmp_path: Path) -> None:
    snowflake_tables.execute("DELETE FROM tracker.atomic.events")

    found = one(seen(tmp_path), "warehouse events")

    assert found.status == "wrong"
    assert "holds no events" in found.found


def test_snowflakes_clock(snowflake_tables: Any, tmp_path: Path) -> None:
    def clock(system: System) -> Any:
        return [each for each in clocks.checks(system) if each.name == "Snowflake"]

    assert lines(look(tmp_path, rounds._warehouse, clock), "clock Snowflake") == [
        ("ok", "within 2 s of this machine's")
    ]


def test_a_snowflake_that_is_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = snowflake.connector.connect

    def connect(**given: Any) -> Any:
        nowhere = {"host": "127.0.0.1", "port": 1, "protocol": "http", "login_timeout": 1}
        return real(**(given | nowhere))

    monkeypatch.setattr(snowflake.connector, "connect", connect)

    report = seen(tmp_path)

    [found] = report.findings
    assert (found.check, found.status) == ("connection", "wrong")
    assert found.found.startswith("no connection: ")
    assert "SNOWFLAKE_ACCOUNT" in found.remedy
    assert SECRET not in str(report.to_dict())


class Cursor:
    """Answers as Snowflake words it, by how a query begins; it refuses to change anything.

    Secondary roles are in the session until they are switched off.
    """

    def __init__(
        self,
        answers: dict[str, tuple[list[str], list[tuple[Any, ...]]]],
        primary: Collection[str],
        secondary: Collection[str],
    ) -> None:
        self.answers = answers
        self.primary, self.roles = primary, {*primary, *secondary}
        self.description: list[tuple[str]] = []
        self.rows: list[tuple[Any, ...]] = []

    def cursor(self) -> "Cursor":
        return self

    def execute(self, query: str) -> "Cursor":
        if query == "USE SECONDARY ROLES NONE":
            self.roles = {*self.primary}
            return self
        assert query.startswith(("SELECT", "SHOW")), query
        if asked := re.fullmatch(r"SELECT IS_ROLE_IN_SESSION\('(\w+)'\)", query):
            self.rows = [(asked[1] in self.roles,)]
            return self
        titles, self.rows = next(
            answer for begin, answer in self.answers.items() if query.startswith(begin)
        )
        self.description = [(title,) for title in titles]
        return self

    def fetchall(self) -> list[tuple[Any, ...]]:
        return self.rows


GRANTED = ["created_on", "privilege", "granted_on", "name", "granted_to", "grantee_name"]


def grants(*held: tuple[str, str]) -> tuple[list[str], list[tuple[Any, ...]]]:
    return GRANTED, [(None, what, "SCHEMA", "DB.S", "ROLE", who) for what, who in held]


def standing(
    tmp_path: Path,
    held: Any,
    owners: Collection[str] = (),
    roles: Collection[str] = ("SCORER",),
    secondary: Collection[str] = (),
) -> _Snowflake:
    answers = {
        "SELECT CURRENT_DATABASE()": (["d", "s"], [("DB", "S")]),
        "SELECT COUNT(*)": (["n"], [(1,)]),
        "SHOW GRANTS ON SCHEMA": held,
        "SELECT table_owner": (["o"], [(owner,) for owner in owners]),
    }
    with ExitStack() as closing:
        system = System(tmp_path, closing)
    system.snowflake = Cursor(answers, roles, secondary)
    return _Snowflake(system)


@pytest.fixture
def may() -> Any:
    return grants(("USAGE", "SCORER"), ("CREATE TABLE", "SCORER"), ("OWNERSHIP", "ADMIN"))


def test_a_role_that_may_create_the_table(tmp_path: Path, may: Any) -> None:
    answer = standing(tmp_path, may).results()

    assert (answer.status, answer.found) == (
        "ok",
        'PROSPECT_TRAINING_SET may be created in "DB"."S"',
    )


def test_a_role_that_may_not_create_the_table(tmp_path: Path) -> None:
    held = grants(("USAGE", "SCORER"), ("CREATE TABLE", "LOADER"), ("OWNERSHIP", "ADMIN"))

    answer = standing(tmp_path, held).results()

    assert (answer.status, answer.found) == ("wrong", 'SCORER may not create tables in "DB"."S"')
    assert "GRANT USAGE, CREATE TABLE" in answer.remedy


def test_a_role_inherits_what_may_create_the_table(tmp_path: Path) -> None:
    held = grants(("CREATE TABLE", "LOADER"))

    assert standing(tmp_path, held, roles=["SCORER", "LOADER"]).results().status == "ok"


def test_what_secondary_roles_may_do_does_not_count(tmp_path: Path, may: Any) -> None:
    held = grants(("CREATE TABLE", "LOADER"))

    creating = standing(tmp_path, held, secondary=["LOADER"]).results()
    replacing = standing(tmp_path, may, ["LOADER"], secondary=["LOADER"]).results()

    assert (creating.status, creating.found) == (
        "wrong",
        'SCORER may not create tables in "DB"."S"',
    )
    assert (replacing.status, "belongs to the role LOADER" in replacing.found) == ("wrong", True)


def test_a_table_of_another_role_cannot_be_replaced(tmp_path: Path, may: Any) -> None:
    answer = standing(tmp_path, may, ["LOADER"]).results()

    assert answer.status == "wrong"
    assert "belongs to the role LOADER" in answer.found
    assert "SNOWFLAKE_TRAINING_TABLE" in answer.remedy


def test_ones_own_table_can_be_replaced(tmp_path: Path, may: Any) -> None:
    assert standing(tmp_path, may, ["SCORER"]).results().status == "ok"


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ("SELECT CURRENT_DATABASE()", [("DB", None)]),  # what Snowflake says of one it cannot use
        ("SELECT COUNT(*)", [(0,)]),
    ],
)
def test_a_schema_that_is_not_there(
    tmp_path: Path, may: Any, query: str, rows: list[tuple[Any, ...]]
) -> None:
    seen = standing(tmp_path, may)
    seen.system.snowflake.answers[query] = ([], rows)

    answer = seen.results()

    assert (answer.status, answer.found) == (
        "wrong",
        "there is no schema atomic, or the role may not use it",
    )
    assert "GRANT USAGE, CREATE TABLE ON SCHEMA tracker.atomic TO ROLE SCORER" in answer.remedy


@pytest.mark.parametrize(("found", "status"), [("COMPUTE", "ok"), (None, "wrong")])
def test_the_compute_of_the_role(tmp_path: Path, found: str | None, status: str) -> None:
    seen = standing(tmp_path, grants())
    seen.system.snowflake.answers["SELECT CURRENT_WAREHOUSE()"] = (["w"], [(found,)])

    assert seen.compute().status == status
