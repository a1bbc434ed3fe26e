"""What is tried again: what others answer, never what the data or a definition says.

A server that is away for a minute should cost no training. Bad data stays bad, and a fault of our
own stays one, however often it is asked.
"""

# Annotations stay real objects here: Dagster reads those of the functions that are wrapped.

import time
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import dagster as dg

from prospect_pipeline.errors import (
    DamagedModel,
    NoModel,
    ProspectError,
    RegistryError,
    RegistryRefused,
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
LASTS = (DamagedModel, NoModel, RegistryRefused)


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
            if _may_pass(error):
                raise
            raise _final(error) from error

    return run


def patiently(work: Callable[[], T], say: Callable[[str], None]) -> T:
    """Return what ``work`` gives, tried as often as `RETRIES` has it, and as far apart.

    For the end of a step whose beginning is too dear to be done again. ``say`` is told of each
    wait. Raises Failure, which ends the step, where the error lasts or the last try has failed.
    """
    tries = 0
    while True:
        try:
            return work()
        except Exception as error:
            tries += 1
            if tries > RETRIES.max_retries or not _may_pass(error):
                raise _final(error) from error
            seconds = RETRIES.calculate_delay(tries)
            say(f"{error} It is tried again in {seconds:.0f} seconds.")
        time.sleep(seconds)


def _may_pass(error: Exception) -> bool:
    return isinstance(error, MAY_PASS) and not isinstance(error, LASTS)


def _final(error: Exception) -> dg.Failure:
    """Return an error as one that no retry policy applies to: in its own words, where it is ours.

    Any other may quote anything: data, a password.
    """
    words = f"An error that was not expected ({type(error).__name__}): its trace is in the log."
    if isinstance(error, ProspectError):
        words = str(error)
    return dg.Failure(words, allow_retries=False)
