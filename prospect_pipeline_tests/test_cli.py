"""The command line: results on standard output, one clear message where something is wrong."""

import json
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq

from prospect_pipeline.features import COLUMNS
from prospect_pipeline_tests.events import NOW, event, write

EVENTS = [
    event("a", NOW),
    event("b", NOW.replace(hour=13), "submit_form"),
    event("c", NOW.replace(hour=18)),
]

GROUP = """
from snowplow_signals import *
group = StreamAttributeGroup(name="g", attribute_key=domain_userid, owner="a@example.com",
    attributes=[Attribute(name="views", type="int32", events=[], aggregation="counter")])
"""


def prospect(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "prospect_pipeline", *map(str, arguments)]
    return subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, timeout=120, check=False
    )


def test_a_training_set_is_built_from_a_file(tmp_path: Path) -> None:
    path = write(EVENTS, tmp_path / "events.parquet")

    done = prospect(
        "dataset",
        "--events",
        path,
        "--out",
        "set.parquet",
        "--cohort",
        "all",
        "--json",
        cwd=tmp_path,
    )

    summary = json.loads(done.stdout.splitlines()[-1])
    table = pq.read_table(tmp_path / "set.parquet")
    assert table.column_names == ["domain_userid", "anchor_ts", "event_id", *COLUMNS, "label"]
    assert table.column("label").to_pylist() == [1, 0]
    assert (summary["events"], summary["rows"], summary["positives"]) == (3, 2, 1)
    assert summary["dropped"] == {"horizon_past_as_of": 1}


def test_a_training_set_of_ones_own_attributes(tmp_path: Path) -> None:
    path = write(EVENTS, tmp_path / "events.parquet")
    (tmp_path / "mine.py").write_text(GROUP)

    done = prospect(
        *("dataset", "--events", path, "--out", "set.csv", "--cohort", "all"),
        *("--attributes", "mine.py:group"),
        cwd=tmp_path,
    )

    assert done.returncode == 0, done.stderr
    head, first, _ = (tmp_path / "set.csv").read_text().splitlines()
    assert head.replace('"', "") == "domain_userid,anchor_ts,event_id,views,label"
    assert first.endswith(",1,1")


def test_the_query_is_printed(tmp_path: Path) -> None:
    done = prospect("sql", "--as-of", "2026-05-01", cwd=tmp_path)

    assert done.stdout.startswith("WITH copies AS (")
    assert "num_page_views_l7d: counter" in done.stdout


def test_a_mistake_is_one_message_and_leaves_nothing(tmp_path: Path) -> None:
    done = prospect("dataset", "--events", "nowhere.csv", "--out", "set.parquet", cwd=tmp_path)

    assert done.returncode == 1
    assert "Error: nowhere.csv does not exist" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_malformed_option_names_what_was_expected(tmp_path: Path) -> None:
    done = prospect(
        *("dataset", "--events", "e.csv", "--out", "s.parquet", "--cohort", "30:60"), cwd=tmp_path
    )

    assert done.returncode == 1
    assert "'30:60' is not OLDEST:NEWEST" in done.stderr


def test_scoring_without_a_running_system_says_how_to_start_one(tmp_path: Path) -> None:
    done = prospect("score", "ann", cwd=tmp_path)

    assert done.returncode == 1
    assert "Start one with `prospect run`" in done.stderr


def test_scoring_at_an_address_without_http_says_what_to_write(tmp_path: Path) -> None:
    done = prospect("score", "ann", "--url", "localhost:8080", cwd=tmp_path)

    assert done.returncode == 2
    assert "'localhost:8080' has neither http:// nor https:// before it" in done.stderr


def test_generated_events_are_written_with_their_truth(tmp_path: Path) -> None:
    done = prospect(
        *("events", "--users", "20", "--seed", "1", "--end", "2026-05-01", "--out", "e.parquet"),
        cwd=tmp_path,
    )

    assert done.returncode == 0, done.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["e.parquet", "e.truth.parquet"]
