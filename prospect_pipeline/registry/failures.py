"""MLflow's errors: which of them last, which may pass, and which say that a version is damaged."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from alembic.util.exc import CommandError
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from yaml import YAMLError

from prospect_pipeline.errors import RegistryError, RegistryRefused

FAILURES = (MlflowException, SQLAlchemyError, CommandError, ImportError, OSError)
"""What MLflow raises where it cannot be reached, or refuses."""

REFUSALS = frozenset(
    {
        "BAD_REQUEST",
        "CUSTOMER_UNAUTHORIZED",
        "ENDPOINT_NOT_FOUND",
        "INVALID_PARAMETER_VALUE",
        "NOT_FOUND",
        "NOT_IMPLEMENTED",
        "PERMISSION_DENIED",
        "RESOURCE_DOES_NOT_EXIST",
        "UNAUTHENTICATED",
    }
)
"""Codes of answers that stay. RESOURCE_ALREADY_EXISTS is none: asked again, it is found."""

NOT_THERE = "404 Client Error"
"""How requests begins what it says of a file that a server has not got."""


def kind(error: Exception) -> type[RegistryError]:
    """Return RegistryRefused for one of `FAILURES` that lasts, RegistryError where it may pass."""
    if isinstance(error, MlflowException):
        return RegistryRefused if error.error_code in REFUSALS else RegistryError
    lasts = isinstance(error, (ArgumentError, CommandError, ImportError)) or _is_lost(error)
    return RegistryRefused if lasts else RegistryError


def first_line(error: Exception) -> str:
    """Return what an error says, in one line: its first, and of a list that begins the reason."""
    said = (str(error).strip() or type(error).__name__).splitlines()
    listed = [line for line in said[1:] if not line.startswith("#####")]  # MLflow's titles
    return " ".join([said[0], *listed[:1]]) if said[0].endswith(":") else said[0]


@contextmanager
def files_that_are_there() -> Iterator[None]:
    """Turn a lost or unreadable file into a ValueError; a server that is away stays away."""
    try:
        yield
    except MlflowException as error:
        # A server that has not got a file answers 404, which MLflow tells as an internal error.
        if error.error_code != "RESOURCE_DOES_NOT_EXIST" and NOT_THERE not in error.message:
            raise
        raise ValueError(error.message) from None
    except OSError as error:
        if not _is_lost(error):
            raise
        raise ValueError(str(error)) from None
    except YAMLError as error:
        raise ValueError(f"MLmodel is no YAML: {first_line(error)}") from None


def _is_lost(error: Exception) -> bool:
    """Return whether a file on a disk is lost, for which MLflow also raises a bare OSError.

    Errors of networks are subclasses of OSError, and those of a disk have a number.
    """
    bare = type(error) is OSError and error.errno is None
    return bare or isinstance(error, FileNotFoundError)
