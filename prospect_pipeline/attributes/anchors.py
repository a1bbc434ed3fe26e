"""Which moments become training rows, and their label: the choices, as data.

An anchor is a key, a moment (``anchor_ts``) and a label. By default every eligible event of a
cohort of visitors is one, and the label is whether a goal event follows strictly later, within
the horizon. Source of the defaults: Snowplow's prospect-scoring tutorial.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Self

from prospect_pipeline.attributes.expressions import literal, moment
from prospect_pipeline.settings import TrainingSettings

BOT_AGENT = "bot|crawl|spider|slurp|headless|lighthouse|pingdom"
"""What the user agents of bots say of themselves (matched in lower case)."""

IAB = "contexts_com_iab_snowplow_spiders_and_robots_1"
OPTIONAL_COLUMNS = ("app_id", "domain_sessionid", "useragent", "collector_tstamp", IAB)


@dataclass(frozen=True)
class Anchoring:
    """How anchors are chosen and labelled.

    ``cohort`` is (oldest, newest): visitors first seen between so many days before ``as_of``;
    None takes every visitor of any app. Events after ``as_of`` are never read.
    """

    as_of: datetime
    cohort: tuple[timedelta, timedelta] | None
    app_ids: tuple[str, ...] = ()
    excluded_events: tuple[str, ...] = ()
    goal_events: tuple[str, ...] = ("submit_form",)
    horizon: timedelta = timedelta(hours=1)
    test_app_ids: tuple[str, ...] = ()
    exclude_bots: bool = True
    need_session: bool = True
    anchors_per_visitor: int | None = None
    negative_rate: float = 1.0
    seed: int = 0
    strictly_before: bool = False
    event_limit: int = 100

    @classmethod
    def from_settings(
        cls, settings: TrainingSettings, as_of: datetime, *, strictly_before: bool = False
    ) -> Self:
        """Return the choices that the environment makes."""
        cohort = None
        if settings.cohort != "all":
            oldest, newest = (timedelta(days=int(d)) for d in settings.cohort.split(":"))
            cohort = (oldest, newest)
        return cls(
            as_of=as_of,
            cohort=cohort,
            app_ids=settings.app_ids,
            excluded_events=settings.excluded_events,
            goal_events=settings.goal_events,
            horizon=settings.horizon,
            test_app_ids=settings.test_app_ids,
            exclude_bots=settings.exclude_bots,
            anchors_per_visitor=settings.anchors_per_visitor,
            negative_rate=settings.negative_rate,
            seed=settings.seed,
            strictly_before=strictly_before,
            event_limit=settings.period_event_limit,
        )

    def over(self, columns: Collection[str]) -> Self:
        """Leave out the filters on columns that the events do not have at all."""
        return replace(
            self,
            app_ids=self.app_ids if "app_id" in columns else (),
            need_session=self.need_session and "domain_sessionid" in columns,
        )

    @property
    def window(self) -> tuple[datetime | None, datetime]:
        """When a visitor of the cohort was first seen: from (None: ever), until."""
        if self.cohort is None:
            return None, self.as_of
        return self.as_of - self.cohort[0], self.as_of - self.cohort[1]


def eligible(anchoring: Anchoring) -> str:
    """Return what becomes of an event: an anchor (1), or dropped, for a reason in `DROPPED`."""
    conditions = ["domain_sessionid IS NOT NULL"] if anchoring.need_session else []
    if anchoring.excluded_events:
        names = ", ".join(map(literal, anchoring.excluded_events))
        conditions.append(f"COALESCE(event_name NOT IN ({names}), TRUE)")
    latest = moment(anchoring.as_of - anchoring.horizon)
    return (
        f"CASE WHEN NOT ({' AND '.join(conditions) or 'TRUE'}) THEN 0"
        f" WHEN {unwanted(anchoring)} THEN 2 WHEN ts > {latest} THEN 3 ELSE 1 END"
    )


DROPPED = {
    0: "excluded_event_or_no_session",
    2: "bot_or_test_traffic",
    3: "horizon_past_as_of",
}


def goal(anchoring: Anchoring) -> str:
    """Return the condition that an event is the goal."""
    return f"COALESCE(event_name IN ({', '.join(map(literal, anchoring.goal_events))}), FALSE)"


def unwanted(anchoring: Anchoring) -> str:
    """Return the condition that an event is a bot's, or of test traffic."""
    conditions = ["FALSE"]
    if anchoring.exclude_bots:
        conditions.append(f"REGEXP_MATCHES(LOWER(useragent), {literal(BOT_AGENT)})")
        conditions.append(f"JSON_EXTRACT_STRING({IAB}, '$[0].spiderOrRobot') = 'true'")
    if anchoring.test_app_ids:
        conditions.append(f"app_id IN ({', '.join(map(literal, anchoring.test_app_ids))})")
    return f"COALESCE({' OR '.join(conditions)}, FALSE)"
