"""What every class of settings shares: how it is read, and what is said of a bad value."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Self

from pydantic import ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from pydantic_settings import SettingsError as UnparsableSetting

from prospect_pipeline.errors import SettingsError

Names = Annotated[tuple[str, ...], NoDecode]


def parse_moment(text: str) -> datetime:
    """Read an ISO date or date-time as UTC; one without a zone is UTC."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"'{text}' is not an ISO date-time such as 2026-05-01T12:00:00") from None
    try:
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"'{text}' is outside of what a date can be in UTC") from None


def read_moment(value: Any) -> Any:
    """Read a moment that is text; pydantic reads the rest."""
    return parse_moment(value) if isinstance(value, str) else value


class _Settings(BaseSettings):
    model_config = SettingsConfigDict(
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        populate_by_name=True,
        frozen=True,
        hide_input_in_errors=True,  # they may be secrets
    )

    @model_validator(mode="before")
    @classmethod
    def _split_lists(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Let a tuple of names be written ``a,b,c``."""
        for name, field in cls.model_fields.items():
            for key in (name, str(field.validation_alias)):
                if field.annotation == tuple[str, ...] and isinstance(values.get(key), str):
                    values[key] = tuple(x.strip() for x in values[key].split(",") if x.strip())
        return values

    @classmethod
    def load(cls, **overrides: Any) -> Self:
        """Read the environment; keyword arguments win over it."""
        try:
            return cls(**{k: v for k, v in overrides.items() if v is not None})
        except ValidationError as error:
            raise SettingsError(_explain(error, cls)) from None
        except UnparsableSetting as error:
            raise SettingsError(f"Settings cannot be read: {error}") from None


def _explain(error: ValidationError, settings: type[_Settings]) -> str:
    """Say what is wrong, by variable; a field that was given as an argument has one too."""
    lines = []
    for problem in error.errors(include_url=False, include_input=False):
        name = ".".join(str(part) for part in problem["loc"])
        if name in settings.model_fields:
            name = str(settings.model_fields[name].validation_alias)
        message = problem["msg"].removeprefix("Value error, ")
        lines.append(f"{name}: {message}" if name else message)
    return "; ".join(lines)


def whole_group(settings: _Settings, *variables: str) -> bool:
    """Whether a group of variables is set; a half-set one is an error that names the rest."""
    by_alias = {str(f.validation_alias): n for n, f in type(settings).model_fields.items()}
    missing = [v for v in variables if getattr(settings, by_alias[v]) is None]
    present = [v for v in variables if v not in missing]
    if present and missing:
        raise ValueError(
            f"{', '.join(present)} set, but {', '.join(missing)} missing; "
            f"set all of {', '.join(variables)} or none"
        )
    return bool(present)
