"""Is a training set up to date, and like the one before it? What is odd warns, nothing blocks."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from prospect_pipeline.training.dataset import Check


def check_freshness(
    last_event: datetime, as_of: datetime, now: datetime, allowed_hours: float
) -> Check:
    """Return whether the last event up to a moment is recent; ``now`` is as-of, or the clock's."""
    age = (now - last_event) / timedelta(hours=1)
    moment = "as-of" if now == as_of else "the clock"
    words = (
        f"The last event ({last_event.isoformat()}) is {age:,.1f} hours older than {moment} "
        f"({now.isoformat()}); at most {allowed_hours:g} hours are expected. If it is older, see "
        "whether tracking and loading still run, or allow more (PROSPECT_FRESHNESS_HOURS)."
    )
    facts = {
        "last_event": last_event.isoformat(),
        "as_of": as_of.isoformat(),
        "relative_to": now.isoformat(),
        "age_hours": age,
        "allowed_hours": allowed_hours,
    }
    return Check("events_are_fresh", age <= allowed_hours, False, words, facts)


def check_counts(
    present: Mapping[str, int], previous: tuple[str, Mapping[str, int]] | None, allowed: float
) -> Check:
    """Return whether no count changed by more than a share of what it was.

    ``previous`` is the run of the as-of before and its counts, or None where there was none.
    """
    if previous is None:
        words = "There is no run of an earlier as-of with counts to compare with: not checked."
        facts = {"checked": False, "present": dict(present), "allowed_change": allowed}
        return Check("counts_like_last_run", True, False, words, facts)
    run, before = previous
    changed = [n for n, now in present.items() if abs(now - before[n]) > allowed * before[n]]
    numbers = ", ".join(f"{now:,} {n} ({before[n]:,} before)" for n, now in present.items())
    words = (
        f"{numbers}; a change of at most {allowed:.0%} either way is expected. Changed by more: "
        f"{', '.join(changed) or 'none'}. If that was not meant, look at the tracking, the cohort "
        "and the goal; to allow more, set PROSPECT_COUNT_CHANGE."
    )
    facts = {
        "checked": True,
        "present": dict(present),
        "previous": dict(before),
        "previous_run": run,
        "allowed_change": allowed,
        "changed": changed,
    }
    return Check("counts_like_last_run", not changed, False, words, facts)
