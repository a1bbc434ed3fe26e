"""The warehouse."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, PositiveInt, SecretStr, model_validator

from prospect_pipeline.settings.base import _Settings, whole_group


class SnowflakeSettings(_Settings):
    """The warehouse; with none of these set it is DuckDB."""

    account: str | None = Field(None, validation_alias="SNOWFLAKE_ACCOUNT")
    user: str | None = Field(None, validation_alias="SNOWFLAKE_USER")
    password: SecretStr | None = Field(None, validation_alias="SNOWFLAKE_PASSWORD")
    private_key_path: Path | None = Field(None, validation_alias="SNOWFLAKE_PRIVATE_KEY_PATH")
    warehouse: str | None = Field(None, validation_alias="SNOWFLAKE_WAREHOUSE")
    role: str | None = Field(None, validation_alias="SNOWFLAKE_ROLE")
    database: str | None = Field(None, validation_alias="SNOWFLAKE_DATABASE")
    schema_: str | None = Field(None, validation_alias="SNOWFLAKE_SCHEMA")
    atomic_table: str | None = Field(None, validation_alias="ATOMIC_TABLE")
    private_key_password: SecretStr | None = Field(
        None, validation_alias="SNOWFLAKE_PRIVATE_KEY_PASSWORD"
    )
    training_table: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] = Field(
        "PROSPECT_TRAINING_SET", validation_alias="SNOWFLAKE_TRAINING_TABLE"
    )
    statement_timeout: PositiveInt = Field(
        3600, validation_alias="SNOWFLAKE_STATEMENT_TIMEOUT_SECONDS"
    )

    @model_validator(mode="after")
    def _whole_group_only(self) -> Self:
        needed = ("account", "user", "warehouse", "database", "schema_", "atomic_table")
        variables = [str(type(self).model_fields[name].validation_alias) for name in needed]
        secret = self.password is not None or self.private_key_path is not None
        whole = whole_group(self, *variables)
        if whole and not secret:
            raise ValueError(
                "SNOWFLAKE_ACCOUNT is set but neither SNOWFLAKE_PASSWORD nor "
                "SNOWFLAKE_PRIVATE_KEY_PATH; set one of them"
            )
        if not whole and (secret or self.role is not None):
            raise ValueError(
                "SNOWFLAKE_PASSWORD, SNOWFLAKE_PRIVATE_KEY_PATH or SNOWFLAKE_ROLE is set, but "
                f"{', '.join(variables)} missing; set all of them or none"
            )
        return self

    @property
    def configured(self) -> bool:
        """Whether the warehouse is Snowflake."""
        return self.account is not None
