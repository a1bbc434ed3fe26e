"""Which moments become training rows, and their label: the choices, as data.

An anchor is a key, a moment (``anchor_ts``) and a label. There are three ways to choose them:

- by visitor (the default, from Snowplow's prospect-scoring tutorial): every eligible event of a
  cohort of visitors, labelled by whether the goal follows strictly later, within the horizon;
- by session (as Snowplow's "ML training datasets" has it): the goal events of sessions that
  reached the goal, and events of sessions that did not;
- a table of the user's own.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Self

from snowplow_signals.models.model import Criteria, SessionAnchors

from prospect_pipeline.attributes import expressions
from prospect_pipeline.attributes.expressions import Names, literal
from prospect_pipeline.attributes.named import load_named
from prospect_pipeline.attributes.properties import Source
from prospect_pipeline.settings import TrainingSettings

BOT_WORDS = (
    "bot", "crawl", "spider", "slurp", "headless", "lighthouse", "pingdom",
)  # fmt: skip
"""What the user agents of bots say of themselves (matched in lower case)."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
APP = Source("app_id")
SESSION = Source("domain_sessionid")
AGENT = Source("useragent")
ROBOT = Source("contexts_com_iab_snowplow_spiders_and_robots_1", (0, "spiderOrRobot"))


@dataclass(frozen=True)
class Sessions:
    """Anchors by session, over the sessions' events in ``[since, until)``.

    A session that reached the goal gives its goal events, label 1; any other session gives its
    eligible events, label 0. An eligible event has at least ``min_events`` before it in its
    session. Of each session at most ``per_session`` are kept, and of those without the goal at
    most ``negative_ratio`` for each one with it, by hash; what is kept then weighs more.
    """

    since: datetime
    until: datetime
    min_events: int = 1
    per_session: int | None = None
    negative_ratio: float | None = 5.0

    @classmethod
    def of(cls, anchors: SessionAnchors) -> Self:
        """Return the same as the SDK's object says."""
        span = anchors.training_span
        return cls(
            since=_utc(span.start_time),
            until=_utc(span.end_time),
            min_events=anchors.min_events or 0,
            per_session=anchors.max_anchors_per_session,
            negative_ratio=anchors.max_negative_ratio,
        )


@dataclass(frozen=True)
class Anchoring:
    """How anchors are chosen and labelled.

    ``cohort`` is (oldest, newest): visitors first seen between so many days before ``as_of``;
    None takes every visitor of any app. Events after ``as_of`` are never read. ``goal``, where
    there is one, says what a goal event is in place of ``goal_events``; a label is 1 where at
    least ``goal_count`` of them follow.
    """

    as_of: datetime
    cohort: tuple[timedelta, timedelta] | None
    app_ids: tuple[str, ...] = ()
    excluded_events: tuple[str, ...] = ()
    goal_events: tuple[str, ...] = ("submit_form",)
    goal: Criteria | None = None
    goal_count: int = 1
    horizon: timedelta = timedelta(hours=1)
    test_app_ids: tuple[str, ...] = ()
    exclude_bots: bool = True
    need_session: bool = True
    stop_at_conversion: bool = False
    anchors_per_visitor: int | None = None
    negative_rate: float = 1.0
    seed: int = 0
    strictly_before: bool = False
    event_limit: int = 100
    sessions: Sessions | None = None

    @classmethod
    def from_settings(
        cls,
        settings: TrainingSettings,
        as_of: datetime,
        *,
        strictly_before: bool = False,
        sessions: SessionAnchors | None = None,
    ) -> Self:
        """Return the choices that the environment makes, over the sessions that it or one names."""
        own = settings.anchors or ""
        if sessions is None and ":" in own:
            sessions = load_named(own, SessionAnchors)
        cohort = None
        if settings.cohort != "all":
            oldest, newest = (timedelta(days=int(d)) for d in settings.cohort.split(":"))
            cohort = (oldest, newest)
        return cls(
            as_of=as_of,
            cohort=cohort,
            app_ids=settings.app_ids,
            excluded_events=(
                tuple(event.name for event in sessions.excluded_events or [])
                if sessions
                else settings.excluded_events
            ),
            goal_events=settings.goal_events,
            goal=_goal(settings, sessions),
            goal_count=settings.goal_count,
            horizon=settings.horizon,
            test_app_ids=settings.test_app_ids,
            exclude_bots=settings.exclude_bots,
            stop_at_conversion=settings.stop_at_conversion,
            anchors_per_visitor=settings.anchors_per_visitor,
            negative_rate=settings.negative_rate,
            seed=settings.seed,
            # A session's anchor may be the goal event itself, which its row must not know.
            strictly_before=strictly_before or sessions is not None,
            event_limit=settings.period_event_limit,
            sessions=Sessions.of(sessions) if sessions else None,
        )

    def over(self, columns: Collection[str]) -> Self:
        """Leave out the filters on columns that the events do not have at all."""
        return replace(
            self,
            app_ids=self.app_ids if APP.column in columns else (),
            need_session=self.need_session and SESSION.column in columns,
        )

    @property
    def window(self) -> tuple[datetime | None, datetime]:
        """When a visitor of the cohort was first seen: from (None: ever), until."""
        if self.cohort is None:
            return None, self.as_of
        return self.as_of - self.cohort[0], self.as_of - self.cohort[1]

    @property
    def weighted(self) -> bool:
        """Whether rows stand for others that were left out, and carry a weight."""
        return self.sessions is not None or self.negative_rate < 1

    def sources(self) -> list[Source]:
        """Return every place in an event that the choice of anchors reads."""
        places = [APP] if self.test_app_ids or (self.cohort and self.app_ids) else []
        places += [SESSION] if self.need_session or self.sessions else []
        places += [AGENT, ROBOT] if self.exclude_bots else []
        return places + (expressions.criteria_sources(self.goal, "the goal") if self.goal else [])

    def draw(self, event_id: str) -> str:
        """Return an expression that orders events by chance, the same every time."""
        return f"MD5(CONCAT({event_id}, ':', {literal(str(self.seed))}))"


def _goal(settings: TrainingSettings, sessions: SessionAnchors | None) -> Criteria | None:
    if sessions is not None:
        return sessions.goal_criteria
    return load_named(settings.goal, Criteria) if settings.goal else None


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


DROPPED = {
    0: "excluded_event_or_no_session",
    2: "bot_or_test_traffic",
    3: "horizon_past_as_of",
}


def eligible(anchoring: Anchoring, names: Names) -> str:
    """Return what becomes of an event: an anchor (1), or dropped, for a reason in `DROPPED`."""
    conditions = [f"{names(SESSION)} IS NOT NULL"] if anchoring.need_session else []
    if anchoring.excluded_events:
        excluded = ", ".join(map(literal, anchoring.excluded_events))
        conditions.append(f"COALESCE(event_name NOT IN ({excluded}), TRUE)")
    latest = microseconds(anchoring.as_of - anchoring.horizon)
    return (
        f"CASE WHEN NOT ({' AND '.join(conditions) or 'TRUE'}) THEN 0"
        f" WHEN {unwanted(anchoring, names)} THEN 2 WHEN ts > {latest} THEN 3 ELSE 1 END"
    )


def goal(anchoring: Anchoring, names: Names) -> str:
    """Return the condition that an event is the goal."""
    if anchoring.goal is not None:
        return expressions.criteria(anchoring.goal, "the goal", names)
    return f"COALESCE(event_name IN ({', '.join(map(literal, anchoring.goal_events))}), FALSE)"


def unwanted(anchoring: Anchoring, names: Names) -> str:
    """Return the condition that an event is a bot's, or of test traffic."""
    conditions = ["FALSE"]
    if anchoring.exclude_bots:
        agent = f"LOWER({names(AGENT)})"
        conditions += [f"{agent} LIKE {literal(f'%{word}%')}" for word in BOT_WORDS]
        conditions.append(f"{names(ROBOT)} = 'true'")
    if anchoring.test_app_ids:
        tests = ", ".join(map(literal, anchoring.test_app_ids))
        conditions.append(f"{names(APP)} IN ({tests})")
    return f"COALESCE({' OR '.join(conditions)}, FALSE)"


def microseconds(at: datetime) -> int:
    """Return a moment as the queries count it: microseconds since 1970 in UTC."""
    return (at - EPOCH) // timedelta(microseconds=1)


def session_steps(anchoring: Anchoring, names: Names) -> list[tuple[str, str]]:
    """Return the steps up to ``chosen``: event_id, label and weight of every session anchor."""
    wanted = anchoring.sessions
    assert wanted is not None
    session = names(SESSION)
    span = f"ts >= {microseconds(wanted.since)} AND ts < {microseconds(wanted.until)}"
    sessions = f"""
        SELECT *, {session} AS session, CASE WHEN {goal(anchoring, names)} THEN 1 ELSE 0 END AS won,
          ROW_NUMBER() OVER (PARTITION BY {session} ORDER BY ts, event_id) - 1 AS earlier
        FROM events WHERE {session} IS NOT NULL"""
    excluded = ", ".join(map(literal, anchoring.excluded_events)) or "NULL"
    candidates = f"""
        SELECT event_id, key, session, won AS label, {anchoring.draw("event_id")} AS draw
        FROM (SELECT *, MAX(won) OVER (PARTITION BY session) AS reached
              FROM sessions WHERE {span}) AS spanned
        WHERE won = reached AND earlier >= {wanted.min_events}
          AND COALESCE(event_name NOT IN ({excluded}), TRUE) AND NOT {unwanted(anchoring, names)}"""
    limit = ""
    if wanted.per_session is not None:
        limit = (
            "QUALIFY ROW_NUMBER() OVER (PARTITION BY session ORDER BY draw, event_id)"
            f" <= {wanted.per_session}"
        )
    kept = "negatives"
    if wanted.negative_ratio is not None:
        kept = f"LEAST(negatives, FLOOR({wanted.negative_ratio!r} * positives))"
    chosen = f"""
        SELECT event_id, key, label, CASE WHEN label = 1 THEN 1.0
          ELSE CAST(negatives AS DOUBLE) / {kept} END AS weight
        FROM (
          SELECT *, COUNT_IF(label = 1) OVER () AS positives,
            COUNT_IF(label = 0) OVER () AS negatives,
            ROW_NUMBER() OVER (PARTITION BY label ORDER BY draw, event_id) AS place
          FROM (SELECT * FROM candidates {limit}) AS limited
        ) AS placed
        WHERE label = 1 OR place <= {kept}"""
    return [("sessions", sessions), ("candidates", candidates), ("chosen", chosen)]
