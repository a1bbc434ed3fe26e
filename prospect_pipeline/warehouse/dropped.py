"""Why an event counts nowhere or became no row, in words."""

from __future__ import annotations

from collections.abc import Mapping

LATER = "no row, but counted in the values of later rows"
MEANINGS = {
    "null_key": "without a visitor's id (the key, such as domain_userid, is null): counted nowhere",
    "null_event_id": "without an event_id: counted nowhere",
    "null_derived_tstamp": "without a moment (derived_tstamp is null): counted nowhere",
    "after_as_of": "after as-of: never read",
    "duplicate_event_id": "with the event_id of another one: counted once",
    "outside_cohort": "of visitors first seen outside of the window (PROSPECT_COHORT) or in none "
    "of the apps (PROSPECT_APP_IDS): not read",
    "excluded_event_or_no_session": "of PROSPECT_EXCLUDED_EVENTS or of no session: " + LATER,
    "bot_or_test_traffic": "from bots or tests (PROSPECT_EXCLUDE_BOTS, PROSPECT_TEST_APP_IDS): "
    + LATER,
    "horizon_past_as_of": "with a label that looks past as-of (PROSPECT_HORIZON_MINUTES) and may "
    "still change: " + LATER,
    "no_session_anchor": "not of the goal, nor eligible in a session without it: " + LATER,
    "not_sampled": "left out by max_anchors_per_session or max_negative_ratio",
}
"""What each reason says of so many events, by the name that it has in the query."""


def told(counts: Mapping[str, int]) -> list[str]:
    """Return a line for each reason: how many events, and what became of them."""
    return [
        f"{count:,} event{'' if count == 1 else 's'} {MEANINGS.get(reason, reason)}"
        for reason, count in counts.items()
    ]
