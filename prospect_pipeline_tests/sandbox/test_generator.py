"""Generated events: the same for the same arguments, and true to their own laws."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import numpy as np
import pytest

from prospect_pipeline.errors import InputError
from prospect_pipeline.sandbox.generator import GeneratedEvents, generate, tables
from prospect_pipeline.sandbox.generator.process import STEPS, laws

END = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> GeneratedEvents:
    return generate(4000, 3, END, tmp_path_factory.mktemp("made") / "events.parquet")


def ask(query: str, made: GeneratedEvents) -> list[tuple[object, ...]]:
    filled = query.format(events=f"'{made.path}'", truth=f"'{made.truth_path}'")
    found: list[tuple[object, ...]] = duckdb.execute(filled).fetchall()
    return found


def test_the_same_arguments_give_the_same_bytes(tmp_path: Path) -> None:
    one = generate(60, 7, END, tmp_path / "one.parquet")
    two = generate(60, 7, END, tmp_path / "two.parquet")
    other = generate(60, 8, END, tmp_path / "other.parquet")

    assert one.path.read_bytes() == two.path.read_bytes()
    assert one.truth_path.read_bytes() == two.truth_path.read_bytes()
    assert one.path.read_bytes() != other.path.read_bytes()


def test_events_happen_in_the_sixty_days_before_the_end(made: GeneratedEvents) -> None:
    [(first, last)] = ask("SELECT MIN(derived_tstamp), MAX(derived_tstamp) FROM {events}", made)

    assert isinstance(first, datetime) and isinstance(last, datetime)
    assert END - timedelta(days=60) <= first
    assert last <= END


def test_every_event_that_counts_has_one_true_probability(made: GeneratedEvents) -> None:
    [(whole, known, low, high)] = ask(
        """SELECT (SELECT COUNT(DISTINCT event_id) FROM {events} WHERE domain_userid IS NOT NULL),
        COUNT(DISTINCT event_id), MIN(p_true), MAX(p_true) FROM {truth}""",
        made,
    )

    assert whole == known
    assert 0 <= float(str(low)) < float(str(high)) <= 1


def test_true_probabilities_come_true(made: GeneratedEvents) -> None:
    sessions = ask(
        """WITH firsts AS (
          SELECT domain_sessionid, ARG_MIN(event_id, derived_tstamp) AS event_id,
            MAX((event_name = 'submit_form')::INT) AS sent
          FROM {events} WHERE domain_userid IS NOT NULL GROUP BY 1)
        SELECT p_true, sent FROM firsts JOIN {truth} USING (event_id)""",
        made,
    )
    p, sent = np.array(sessions, dtype=float).T

    expected, spread = p.sum(), np.sqrt((p * (1 - p)).sum())

    assert abs(sent.sum() - expected) < 3 * spread
    keen = p > np.quantile(p, 0.8)
    assert abs(sent[keen].sum() - p[keen].sum()) < 3 * np.sqrt((p * (1 - p))[keen].sum())


def test_a_session_ends_within_the_hour(made: GeneratedEvents) -> None:
    [(longest,)] = ask(
        """SELECT MAX(d) FROM (SELECT MAX(derived_tstamp) - MIN(derived_tstamp) AS d
        FROM {events} GROUP BY domain_sessionid)""",
        made,
    )

    assert isinstance(longest, timedelta)
    assert longest < timedelta(hours=1)


def test_people_abandon_forms_bots_send_none_and_some_are_heavy(made: GeneratedEvents) -> None:
    [(begun, sent, by_bots, robots, heaviest)] = ask(
        """SELECT COUNT(DISTINCT domain_sessionid) FILTER (event_name = 'focus_form'),
          COUNT(DISTINCT domain_sessionid) FILTER (event_name = 'submit_form'),
          COUNT(*) FILTER (event_name = 'submit_form' AND useragent LIKE '%bot%'),
          COUNT(DISTINCT domain_userid) FILTER (useragent LIKE '%bot%'),
          (SELECT MAX(n) FROM (SELECT COUNT(*) AS n FROM {events}
            WHERE domain_userid IS NOT NULL GROUP BY domain_userid))
        FROM {events}""",
        made,
    )

    assert int(str(begun)) > int(str(sent)) > 0
    assert by_bots == 0
    assert int(str(robots)) > 0
    assert int(str(heaviest)) > 500


def test_copies_ties_and_missing_visitors_are_there_to_be_handled(made: GeneratedEvents) -> None:
    [(copies, nobody, ties)] = ask(
        """SELECT COUNT(*) - COUNT(DISTINCT event_id), COUNT(*) FILTER (domain_userid IS NULL),
          (SELECT COUNT(*) FROM (SELECT 1 FROM {events} GROUP BY domain_userid, derived_tstamp
            HAVING COUNT(DISTINCT event_id) > 1))
        FROM {events}""",
        made,
    )

    assert int(str(copies)) > 0
    assert int(str(nobody)) > 0
    assert int(str(ties)) > 0


def test_looking_at_pricing_raises_the_true_probability() -> None:
    ahead = laws().ahead

    assert (ahead[:, 4, :STEPS] > ahead[:, 0, :STEPS]).all()


def test_nothing_is_left_where_writing_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(tables.Tables, "__init__", interrupt)

    with pytest.raises(KeyboardInterrupt):
        generate(5, 0, END, tmp_path / "events.parquet")

    assert list(tmp_path.iterdir()) == []


def test_arguments_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="0 users is too few"):
        generate(0, 0, END, tmp_path / "events.parquet")
    with pytest.raises(InputError, match="name it"):
        generate(5, 0, END, tmp_path / "events.csv")
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be written"):
        generate(5, 0, END, tmp_path / "file" / "events.parquet")
