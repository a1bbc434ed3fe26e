"""What is tried again: what others answer, never what the data or a definition says.

A server that is away for a minute should cost no training. Bad data stays bad, and a fault of our
own stays one, however often it is asked.
"""

# Annotations stay real objects here: Dagster reads those of the functions that are wrapped.

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import dagster as dg

from prospect_pipeline.errors import (
    DamagedModel,
    NoModel,
    ProspectError,
    RegistryError,
    SignalsUnavailable,
    WarehouseUnavailable,
)

P = ParamSpec("P")
T = TypeVar("T")

RETRIES = dg.RetryPolicy(
    max_retries=3, delay=5, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS
)
"""About 5, 15 and 35 seconds later: not all who wait for the same server at the same moment."""

MAY_PASS = (SignalsUnavailable, RegistryError, WarehouseUnavailable)
LASTS = (DamagedModel, NoModel)


def retried_where_it_may_pass(work: Callable[P, T]) -> Callable[P, T]:
    """Let a retry policy apply only to errors of servers that may be back soon.

    All others end the run at once, with the error's own words.
    """

    @wraps(work)
    def run(*arguments: P.args, **named: P.kwargs) -> T:
        try:
            return work(*arguments, **named)
        except dg.Failure:
            raise
        except Exception as error:
            if isinstance(error, MAY_PASS) and not isinstance(error, LASTS):
                raise
            words = str(error) if isinstance(error, ProspectError) else _unexpected(error)
            raise dg.Failure(words, allow_retries=False) from error

    return run


def _unexpected(error: Exception) -> str:
    """Return what may be told of an error that may quote anything: data, a password."""
    return f"An error that was not expected ({type(error).__name__}): its trace is in the log."
