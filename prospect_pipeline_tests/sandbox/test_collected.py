"""Events are durable before they are known: through copies, restarts, torn ends and full disks."""

import asyncio
import errno
import os
import resource
import shutil
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from prospect_pipeline.attributes.properties import Source
from prospect_pipeline.sandbox import collected
from prospect_pipeline.sandbox.collected import CollectedEvents
from prospect_pipeline.sandbox.journal import Journal, cut_torn_end
from prospect_pipeline.sandbox.store import EventStore
from prospect_pipeline.settings import DataSettings
from prospect_pipeline.warehouse.duckdb import connect
from prospect_pipeline.warehouse.files import EventFile
from prospect_pipeline_tests.events import DAY, NOW, event, write

USER = Source("domain_userid")


def one(event_id: str, user: str = "ann", **columns: Any) -> dict[str, Any]:
    made = event(event_id, NOW, user=user, **columns)
    return {column: value for column, value in made.items() if value is not None}


def append(store: CollectedEvents, *events: dict[str, Any]) -> list[str]:
    return [kept["event_id"] for kept in asyncio.run(store.append(events))]


def ids(store: EventStore, user: str = "ann") -> list[str]:
    return sorted(e["event_id"] for e in store.of_keys(USER, [user], ["event_id"]))


async def sealed(store: CollectedEvents, events: list[dict[str, Any]]) -> None:
    """Append as many events as make a segment long enough, and wait until it is Parquet."""
    await store.append(events)
    assert store._sealing is not None
    await store._sealing


def in_warehouse(store: EventStore) -> list[str]:
    with connect() as connection:
        EventFile(connection, store.folder, "domain_userid").create_view("events")
        found = connection.execute("SELECT event_id FROM events ORDER BY 1").fetchall()
    return [event_id for (event_id,) in found]


def test_an_event_is_known_at_once_to_readers_and_to_the_warehouse(data: DataSettings) -> None:
    store = CollectedEvents(data)

    assert append(store, one("a"), one("b", "bob")) == ["a", "b"]

    assert ids(store) == ["a"]
    assert ids(EventStore(data), "bob") == ["b"]
    assert in_warehouse(store) == ["a", "b"]
    assert store.last_event() == NOW
    store.close()


def test_a_copy_is_kept_once_also_after_a_restart(data: DataSettings) -> None:
    store = CollectedEvents(data)
    assert append(store, one("a", app_id="first"), one("a", app_id="second")) == ["a"]
    assert append(store, one("a", app_id="third"), one("b")) == ["b"]
    store.close()

    again = CollectedEvents(data)
    assert append(again, one("b"), one("c")) == ["c"]
    assert in_warehouse(again) == ["a", "b", "c"]
    [found] = [
        e for e in again.of_keys(USER, ["ann"], ["event_id", "app_id"]) if e["event_id"] == "a"
    ]
    assert found["app_id"] == "first"
    again.close()


def test_every_type_of_column_comes_back_as_it_was(data: DataSettings) -> None:
    store = CollectedEvents(data)
    sent = one(
        "a", se_value=0.1, domain_sessionidx=7, br_cookies=True, page_title='" \n\x00 \u2028 ü',
        dvce_created_tstamp=NOW - timedelta(microseconds=1), contexts_com_acme_x_1='[{"n": 1e-7}]',
    )  # fmt: skip
    append(store, sent)
    store.close()

    [read] = EventStore(data).of_keys(USER, ["ann"], list(sent))
    assert read == sent
    with connect() as connection:
        EventFile(connection, store.folder, "domain_userid").create_view("events", list(sent))
        [row] = connection.sql("SELECT * FROM events").fetchall()
        names = [name for name, *_ in connection.sql("DESCRIBE events").fetchall()]
    plain = {c: v.replace(tzinfo=None) if hasattr(v, "tzinfo") else v for c, v in sent.items()}
    assert dict(zip(names, row, strict=True)) == plain


def test_long_segments_become_parquet_and_nothing_is_lost_or_doubled(data: DataSettings) -> None:
    async def collect() -> None:
        for n in range(10):
            await store.append([one(f"e{n}-{m}") for m in range(3)])
            if store._sealing is not None:
                await store._sealing
            assert sorted(set(ids(store))) == ids(store)

    store = CollectedEvents(data, segment_events=9)
    asyncio.run(collect())

    expected = sorted(f"e{n}-{m}" for n in range(10) for m in range(3))
    assert ids(store) == in_warehouse(store) == expected
    assert len(list(store.folder.glob("live-*.parquet"))) == 3
    store.close()
    again = CollectedEvents(data)
    assert append(again, one("e0-0"), one("new")) == ["new"]
    assert ids(again) == sorted([*expected, "new"])
    again.close()


def test_loading_a_file_puts_away_what_was_collected(data: DataSettings, tmp_path: Path) -> None:
    store = CollectedEvents(data, segment_events=2)
    asyncio.run(sealed(store, [one("a"), one("b")]))
    append(store, one("c"))
    store.close()

    loaded = EventStore(data).load(write([event("z", NOW - DAY)], tmp_path / "events.parquet"))

    assert in_warehouse(EventStore(data)) == ["z"]
    assert loaded.put_away is not None
    assert loaded.put_away.parent == store.folder
    assert [path.name for path in sorted(loaded.put_away.iterdir())] == [
        "000001.jsonl", "000002.jsonl", "live-000001.parquet"
    ]  # fmt: skip
    assert '"event_id":"c"' in (loaded.put_away / "000002.jsonl").read_text()


def test_the_demo_keeps_what_was_collected(data: DataSettings, tmp_path: Path) -> None:
    store = CollectedEvents(data)
    append(store, one("a"))
    file = write([event("z", NOW - DAY)], tmp_path / "events.parquet")

    assert EventStore(data).load(file, keep_collected=True).put_away is None

    assert ids(store) == ["a", "z"]
    assert append(store, one("a"), one("b")) == ["b"]
    assert in_warehouse(store) == ["a", "b", "z"]
    store.close()


def test_a_running_collector_goes_on_beside_a_file_that_was_loaded(
    data: DataSettings, tmp_path: Path
) -> None:
    store = CollectedEvents(data)
    append(store, one("a"))
    EventStore(data).load(write([event("z", NOW - DAY)], tmp_path / "events.parquet"))

    assert append(store, one("a"), one("b")) == ["a", "b"]

    assert ids(store) == in_warehouse(store) == ["a", "b", "z"]
    store.close()


def test_what_is_collected_after_the_journal_was_lost_is_found(data: DataSettings) -> None:
    store = CollectedEvents(data, segment_events=1)
    asyncio.run(sealed(store, [one("a")]))
    store.close()
    shutil.rmtree(store.folder / "journal")

    again = CollectedEvents(data)
    append(again, one("b"))
    again.close()

    assert in_warehouse(EventStore(data)) == ["a", "b"]


def test_a_damaged_line_costs_only_itself(
    data: DataSettings, caplog: pytest.LogCaptureFixture
) -> None:
    store = CollectedEvents(data)
    append(store, one("a"))
    store.close()
    with (store.folder / "journal" / "000001.jsonl").open("ab") as file:
        file.write(b'{"event_id": "torn\n[1]\n')

    again = CollectedEvents(data)
    assert append(again, one("b")) == ["b"]
    assert ids(again) == in_warehouse(again) == ["a", "b"]
    assert "line 2 is no event" in caplog.text
    again.close()


def test_segments_that_cannot_become_parquet_stay(
    data: DataSettings, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    store = CollectedEvents(data, segment_events=1)
    with monkeypatch.context() as patch:
        patch.setattr(collected, "write_parquet", full)
        asyncio.run(sealed(store, [one("a")]))

    assert "could not be written to Parquet" in caplog.text
    assert ids(store) == in_warehouse(store) == ["a"]
    asyncio.run(sealed(store, [one("b")]))
    assert ids(store) == in_warehouse(store) == ["a", "b"]
    assert len(list(store.folder.glob("live-*.parquet"))) == 2
    store.close()


def test_a_torn_end_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "000001.jsonl"
    path.write_bytes(b'{"a": 1}\n' * 10_000 + b'{"b": ' + b"x" * 100_000)
    cut_torn_end(path)
    assert path.read_bytes() == b'{"a": 1}\n' * 10_000

    path.write_bytes(b"never finished")
    cut_torn_end(path)
    assert path.read_bytes() == b""


def test_a_full_disk_keeps_nothing_half_and_says_so(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.append(['{"event_id":"a"}']).result()
    before = journal.path(1).read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 5, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            journal.append(['{"event_id":"b"}']).result(timeout=10)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    journal.append(['{"event_id":"c"}']).result()
    assert journal.path(1).read_bytes() == before + b'{"event_id":"c"}\n'
    journal.close()


def test_a_segment_whose_torn_end_cannot_be_cut_off_is_left_behind(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.path(2).symlink_to("/dev/full")
    journal.rotate()
    with pytest.raises(OSError, match="No space left"):
        journal.append(["a"]).result(timeout=10)

    journal.append(["b"]).result(timeout=10)

    assert journal.path(3).read_bytes() == b"b\n"
    journal.close()


def test_a_journal_without_its_folder_says_so_and_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    journal = Journal(folder)
    shutil.rmtree(folder)
    folder.write_text("in the way")
    with pytest.raises(OSError, match="Not a directory"):
        journal.append(["a"]).result(timeout=10)
    folder.unlink()

    journal.append(["b"]).result(timeout=10)

    assert journal.path(1).read_bytes() == b"b\n"
    journal.close()


def test_a_segment_that_cannot_be_begun_leaves_the_old_one_in_use(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.path(2).mkdir()

    with pytest.raises(OSError, match="directory"):
        journal.rotate()

    journal.append(["a"]).result(timeout=10)
    assert journal.path(1).read_bytes() == b"a\n"
    journal.path(2).rmdir()
    assert journal.rotate() == 1
    journal.append(["b"]).result(timeout=10)
    assert journal.path(2).read_bytes() == b"b\n"
    journal.close()


WRITER = """
import asyncio, sys
from prospect_pipeline.sandbox.collected import CollectedEvents
from prospect_pipeline.settings import DataSettings
from prospect_pipeline_tests.sandbox.test_collected import one

async def collect(store, start):
    for n in range(start, start + 100_000):
        await store.append([one(f"e{n:06}")])
        print(f"e{n:06}", flush=True)

store = CollectedEvents(DataSettings.load(data_dir=sys.argv[1]), segment_events=50)
asyncio.run(collect(store, int(sys.argv[2])))
"""


@pytest.mark.parametrize("kills", [5, pytest.param(100, marks=pytest.mark.long)])
def test_killed_at_any_point_no_acknowledged_event_is_lost_or_doubled(
    tmp_path: Path, kills: int
) -> None:
    acknowledged: list[str] = []
    for kill in range(kills):
        command = [sys.executable, "-c", WRITER, str(tmp_path), str(kill * 100_000)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            # A different moment each time: after so many events, in the midst of the next ones.
            until = 1 + kill * 37 % 160
            acknowledged += [writer.stdout.readline().strip() for _ in range(until)]
            os.kill(writer.pid, signal.SIGKILL)
            acknowledged += writer.stdout.read().split()

    store = CollectedEvents(DataSettings.load(data_dir=tmp_path))
    found = in_warehouse(store)
    assert ids(store) == found
    assert len(found) == len(set(found))
    assert set(acknowledged) <= set(found)
    assert len(found) - len(acknowledged) <= kills  # the one that was on its way
    store.close()
