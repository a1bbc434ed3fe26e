"""Atomic events of known shapes, and what a training set is measured against."""

from pathlib import Path

from prospect_pipeline.warehouse.duckdb import connect

HEAVY = (2_000_000, 5_000)
MANY = (1_200_000, 30_000)
"""(events, visitors): the shapes of the tutorial's measurements."""

DAY = 86_400_000_000


def write_events(events: int, visitors: int, path: Path) -> None:
    """Write evenly spread events of 60 days; the same arguments give the same events."""
    with connect() as connection:
        connection.execute(
            f"""COPY (
              SELECT MD5(i::VARCHAR) AS event_id,
                'u' || (HASH(i) % {visitors}) AS domain_userid,
                's' || (HASH(i + 7) % {visitors * 3}) AS domain_sessionid,
                TIMESTAMP '2026-03-02' + TO_MICROSECONDS((HASH(i * 3) % {60 * DAY})::BIGINT)
                  AS derived_tstamp,
                'com.snowplowanalytics.snowplow' AS event_vendor, '1-0-0' AS event_version,
                CASE WHEN HASH(i * 5) % 10 < 3 THEN 'page_view'
                  WHEN HASH(i * 5) % 10 < 9 THEN 'page_ping'
                  ELSE ['submit_form', 'focus_form', 'change_form'][1 + (HASH(i * 11) % 3)::INT]
                END AS event_name,
                'website' AS app_id,
                CASE WHEN HASH(i * 13) % 8 = 0 THEN 'https://x.io/pricing' ELSE 'https://x.io/' END
                  AS page_url,
                CASE WHEN HASH(i * 17) % 5 = 0 THEN 'search' END AS refr_medium,
                CASE WHEN HASH(i * 19) % 20 = 0 THEN 'cpc' END AS mkt_medium,
                CASE WHEN HASH(i * 23) % 20 = 0 THEN 'c' || (HASH(i * 29) % 9) END AS mkt_campaign,
                '[{{"deviceClass": "Desktop"}}]' AS contexts_nl_basjes_yauaa_context_1
              FROM RANGE({events}) AS numbers(i)
            ) TO '{path}' (FORMAT parquet)"""
        )


def write_floor(path: Path, out: Path) -> None:
    """Do what any training set has to do at least: filter, sort by visitor and moment, write."""
    with connect() as connection:
        connection.execute(
            f"""COPY (
              SELECT domain_userid, derived_tstamp, event_id, event_name, event_vendor,
                event_version, app_id, domain_sessionid, page_url, refr_medium, mkt_medium,
                mkt_campaign, contexts_nl_basjes_yauaa_context_1
              FROM read_parquet('{path}') WHERE domain_userid IS NOT NULL
              ORDER BY domain_userid, derived_tstamp, event_id
            ) TO '{out}' (FORMAT parquet)"""
        )


def write_self_join(path: Path, out: Path) -> None:
    """Build a training set by brute force: every event joined with all of its visitor's earlier.

    The kind of query that Snowplow's prospect-scoring tutorial has, without the limit of 100
    events in a period and with the anchor's own moment left out.
    """
    with connect() as connection:
        connection.execute("SET memory_limit = '80%'")
        connection.execute(
            f"""COPY (
              WITH events AS (SELECT * FROM read_parquet('{path}')),
              targets AS (
                SELECT here.event_id, COUNT_IF(later.event_name = 'submit_form') > 0 AS label
                FROM events AS here LEFT JOIN events AS later
                  ON here.domain_userid = later.domain_userid
                  AND here.derived_tstamp < later.derived_tstamp
                  AND later.derived_tstamp <= here.derived_tstamp + INTERVAL 1 HOUR
                GROUP BY ALL
              ),
              features AS (
                SELECT here.event_id, COALESCE(here.app_id, '') AS latest_app_id,
                  ISODOW(here.derived_tstamp) AS day_of_week,
                  JSON_EXTRACT_STRING(here.contexts_nl_basjes_yauaa_context_1,
                    '$[0].deviceClass') AS latest_device_class,
                  {_columns(7)}, {_columns(30)},
                  COUNT(DISTINCT earlier.mkt_campaign) AS num_engaged_campaigns_l30d,
                  COUNT_IF(STARTS_WITH(earlier.event_vendor,
                    'com.snowplowanalytics.snowplow.media')) AS num_media_events_l30d,
                  MIN_BY(earlier.refr_medium, earlier.derived_tstamp) AS first_refr_medium_l30d,
                  MIN_BY(earlier.mkt_medium, earlier.derived_tstamp) AS first_mkt_medium_l30d
                FROM events AS here LEFT JOIN events AS earlier
                  ON here.domain_userid = earlier.domain_userid
                  AND earlier.derived_tstamp < here.derived_tstamp
                  AND earlier.derived_tstamp >= here.derived_tstamp - INTERVAL 30 DAY
                GROUP BY ALL
              )
              SELECT * FROM features JOIN targets USING (event_id)
            ) TO '{out}' (FORMAT parquet)"""
        )


def _columns(days: int) -> str:
    within = f"FILTER (earlier.derived_tstamp >= here.derived_tstamp - INTERVAL {days} DAY)"
    if days == 30:  # the join's own span
        within = ""
    viewed = "earlier.event_name = 'page_view'"
    counted = {
        "num_page_views": viewed,
        "num_page_pings": "earlier.event_name = 'page_ping'",
        "num_pricing_views": f"{viewed} AND earlier.page_url LIKE '%pricing%'",
        "num_conversions": "earlier.event_name = 'submit_form'",
        "num_form_engagements": "earlier.event_name IN ('focus_form', 'change_form')",
    }
    columns = [f"COUNT_IF({test}) {within} AS {name}_l{days}d" for name, test in counted.items()]
    for name, column in (("num_sessions", "domain_sessionid"), ("num_apps", "app_id")):
        columns.append(f"COUNT(DISTINCT earlier.{column}) {within} AS {name}_l{days}d")
    return ", ".join(columns)
