"""Snowflake: connected, with the events, their columns, and a schema for the training set."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from prospect_pipeline.attributes import expressions, prospect
from prospect_pipeline.attributes.expressions import literal, name
from prospect_pipeline.attributes.plan import attribute_columns
from prospect_pipeline.attributes.properties import key_source
from prospect_pipeline.doctor.report import Answer, Check, ok, warning, wrong
from prospect_pipeline.doctor.system import System
from prospect_pipeline.doctor.warehouse import AREA, last_event
from prospect_pipeline.errors import EventsError
from prospect_pipeline.settings import DefinitionSettings, SnowflakeSettings
from prospect_pipeline.warehouse.files import REQUIRED

if TYPE_CHECKING:
    from prospect_pipeline.warehouse.snowflake import SnowflakeWarehouse

CONNECTION, TABLE = f"{AREA} connection", f"{AREA} table"
SECONDS = 60
STATEMENT_SECONDS = 30
"""How long Snowflake may work at one question: none reads more than what is known of the table."""

CONNECT = "check SNOWFLAKE_ACCOUNT, SNOWFLAKE_USER and its password or key, and the network"
READ = "GRANT SELECT ON TABLE {} TO ROLE {}, and USAGE on its database and schema"
CREATE = "GRANT USAGE, CREATE TABLE ON SCHEMA {} TO ROLE {}"
PRIMARY = "USE SECONDARY ROLES NONE"
"""Secondary roles create nothing, and IS_ROLE_IN_SESSION counts them; for this session alone."""

SEE = "ask who grants, or let a training show it: {}"


def checks(system: System) -> list[Check]:
    """Return the checks of Snowflake."""
    seen = _Snowflake(system)
    return [
        Check(AREA, "connection", seen.connect, CONNECT, seconds=SECONDS),
        Check(AREA, "compute", seen.compute, "check SNOWFLAKE_WAREHOUSE", (CONNECTION,), SECONDS),
        Check(AREA, "table", seen.table, seen.read, (CONNECTION,), SECONDS),
        Check(AREA, "columns", seen.columns, "check ATOMIC_TABLE", (TABLE,)),
        Check(AREA, "events", seen.events, "check ATOMIC_TABLE", (TABLE,), SECONDS),
        Check(AREA, "results", seen.results, seen.create, (CONNECTION,), SECONDS),
    ]


class _Snowflake:
    """Snowflake, as the role of these settings finds it: nothing is written, nothing read."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.settings = system[SnowflakeSettings]
        self.role = self.settings.role or "the user's own"
        self.there: set[str] = set()
        schema = f"{self.settings.database}.{self.settings.schema_}"
        self.read = READ.format(self.settings.atomic_table, self.role)
        self.create = CREATE.format(schema, self.role)

    @property
    def warehouse(self) -> SnowflakeWarehouse:
        """The warehouse, over the one connection that is open."""
        from prospect_pipeline.warehouse.snowflake import SnowflakeWarehouse

        connection = self.system.snowflake
        table, result = str(self.settings.atomic_table), self.settings.training_table
        return SnowflakeWarehouse(lambda: nullcontext(connection), table, result)

    def connect(self) -> Answer:
        from snowflake.connector.errors import Error

        from prospect_pipeline.orchestration.resources import snowflake

        bounded = self.settings.model_copy(update={"statement_timeout": STATEMENT_SECONDS})
        try:
            opened = snowflake(bounded, None).connect()
            self.system.snowflake = self.system.closing.enter_context(opened)
            [(role,)] = self._rows("SELECT CURRENT_ROLE()")
        except Error as error:
            return wrong(f"no connection: {error.msg or type(error).__name__}", CONNECT)
        who = f"{self.settings.user} at {self.settings.account}"
        return ok(f"connected as {who}, with the role {role}")

    def compute(self) -> Answer:
        """A warehouse that is not there, or not to be used, is no error of connecting."""
        wanted, remedy = self.settings.warehouse, f"GRANT USAGE ON WAREHOUSE to {self.role}"
        try:
            [(found,)] = self._rows("SELECT CURRENT_WAREHOUSE()")
        except _errors():
            words = f"whether {wanted} may be used cannot be known here"
            return warning(words, SEE.format("the job retrain"))
        if found is None:
            words = f"there is no warehouse {wanted}, or the role may not use it"
            return wrong(words, f"check SNOWFLAKE_WAREHOUSE, or {remedy}")
        return ok(f"{found} may be used")

    def table(self) -> Answer:
        try:
            self.there = self.warehouse.columns()
        except EventsError as error:
            return wrong(error.found, self.read)
        return ok(f"{self.settings.atomic_table} may be read")

    def columns(self) -> Sequence[Answer]:
        group = prospect.attribute_group(self.system[DefinitionSettings])
        required = {*REQUIRED, key_source(group.attribute_key).column}
        if lacking := sorted(required - self.there):
            words = f"{self.settings.atomic_table} lacks the required {', '.join(lacking)}"
            return [wrong(words, "let ATOMIC_TABLE name a table of Snowplow's atomic events")]
        found = []
        for column in sorted(attribute_columns(group) - self.there):
            readers = [
                str(attribute.name)
                for attribute in group.attributes or []
                if column in {source.column for source in expressions.sources(attribute)}
            ]
            if readers:
                words = f"there is no {column}: {', '.join(readers)} will be null in training"
                found.append(warning(words, "switch on the tracking or enrichment that fills it"))
        return found or [ok("every column that an attribute reads is there")]

    def events(self) -> Answer:
        return last_event(self.warehouse, self.system)

    def results(self) -> Answer:
        """The role may make the training set's table, or replace it where it is."""
        [(database, schema)] = self._rows("SELECT CURRENT_DATABASE(), CURRENT_SCHEMA()")
        nowhere = f"there is no schema {self.settings.schema_}, or the role may not use it"
        if not database or not schema:
            return wrong(nowhere, self.create)
        [(count,)] = self._rows(
            f"SELECT COUNT(*) FROM {name(database)}.information_schema.schemata"
            f" WHERE schema_name = {literal(schema)}"
        )
        if not count:
            return wrong(nowhere, self.create)
        where, table = f"{name(database)}.{name(schema)}", self.settings.training_table.upper()
        try:
            creators = self._creators(where)
            owners = self._rows(
                f"SELECT table_owner FROM {name(database)}.information_schema.tables"
                f" WHERE table_schema = {literal(schema)} AND table_name = {literal(table)}"
            )
            self._rows(PRIMARY)
            if not any(self._acts_as(role) for role in creators):
                return wrong(f"{self.role} may not create tables in {where}", self.create)
            for (owner,) in owners:
                if not self._acts_as(owner):
                    words = f"{table} belongs to the role {owner}, so it cannot be replaced"
                    remedy = f"GRANT OWNERSHIP ON TABLE {table}, or set SNOWFLAKE_TRAINING_TABLE"
                    return wrong(words, remedy)
        except _errors():
            words = f"{where} is there; whether tables may be created in it cannot be known here"
            return warning(words, SEE.format("materialize training_dataframe in Dagster"))
        return ok(f"{table} may be created in {where}")

    def _creators(self, schema: str) -> list[str]:
        """Return the roles that may create tables in a schema."""
        cursor = self.system.snowflake.cursor().execute(f"SHOW GRANTS ON SCHEMA {schema}")
        titles = [column[0].lower() for column in cursor.description]
        grants = [dict(zip(titles, row, strict=True)) for row in cursor.fetchall()]
        allowed = ("CREATE TABLE", "OWNERSHIP")
        return sorted({g["grantee_name"] for g in grants if g["privilege"] in allowed})

    def _acts_as(self, role: str) -> bool:
        """Return whether the session's primary role is a role, or inherits from it."""
        [(does,)] = self._rows(f"SELECT IS_ROLE_IN_SESSION({literal(role)})")
        return bool(does)

    def _rows(self, query: str) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = self.system.snowflake.cursor().execute(query).fetchall()
        return rows


def _errors() -> type[Exception]:
    from snowflake.connector.errors import Error  # slow, and seldom needed

    return Error
