"""What may go wrong around the collector: it says so, goes on, and loses nothing that it took."""

import resource
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
from click.testing import CliRunner
from snowplow_signals import SignalsSandbox

from prospect_pipeline.attributes import prospect
from prospect_pipeline.cli import cli
from prospect_pipeline.sandbox.store import EventStore
from prospect_pipeline.settings import DataSettings, DefinitionSettings
from prospect_pipeline_tests.sandbox.conftest import signals_over
from prospect_pipeline_tests.sandbox.test_collected import in_warehouse
from prospect_pipeline_tests.sandbox.test_interventions import on, rule
from prospect_pipeline_tests.sandbox.test_payloads import body
from prospect_pipeline_tests.sandbox.test_server import TP2, sandbox

GROUP = prospect.attribute_group(DefinitionSettings.load())
SERVICE = prospect.service(DefinitionSettings.load())


def new(count: int = 1) -> list[str]:
    return [str(uuid.uuid4()) for _ in range(count)]


def send(url: str, event_ids: list[str]) -> requests.Response:
    """Send page views of one visitor, as a browser's tracker does."""
    views = [{"e": "pv", "duid": "ann", "aid": "website", "eid": one} for one in event_ids]
    origin = {"Origin": "https://shop.example"}
    return requests.post(f"{url}{TP2}", body(*views), headers=origin, timeout=20)


def views_served(signals: SignalsSandbox) -> int:
    found = signals.get_service_attributes(SERVICE.name, "domain_userid", "ann")
    return int(found["num_page_views_l7d"])


def stored(folder: Path) -> list[str]:
    return in_warehouse(EventStore(DataSettings.load(data_dir=folder)))


@contextmanager
def full_beyond(size: int, pid: int) -> Iterator[None]:
    """Let no file of a process grow beyond a size: to it, the disk is full until the block ends.

    A limit that any Linux has, whoever the user is; the system's words for it are its own.
    """
    limits = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, limits)


def test_a_full_disk_is_said_and_what_was_taken_is_neither_lost_nor_doubled(tmp_path: Path) -> None:
    batches = [new(3) for _ in range(20)]
    with sandbox(tmp_path) as found:
        url = found["url"]
        signals = SignalsSandbox(api_url=url, sandbox_token=found["token"])
        signals.publish([GROUP, SERVICE])
        assert send(url, batches[0]).text == "ok"
        [journal] = (tmp_path / "events" / "journal").glob("*.jsonl")
        size = journal.stat().st_size

        with full_beyond(5 * size + size // 2, int(found["pid"])), ThreadPoolExecutor(4) as many:
            answers = list(many.map(lambda batch: send(url, batch), batches))
        with full_beyond(journal.stat().st_size, int(found["pid"])):
            pixel = requests.get(f"{url}/i?e=pv&duid=ann", timeout=20)
            bad = requests.post(f"{url}{TP2}", b"{" * 99_000, timeout=20)
            taken = [b for b, one in zip(batches, answers, strict=True) if one.text == "ok"]
            refused = [one for one in answers if one.text != "ok"]
            assert batches[0] in taken
            assert len(refused) >= 15
            for one in [*refused, pixel, bad]:
                assert one.status_code == 503
                assert one.json() == {
                    "detail": "events cannot be stored (File too large); send them again later"
                }
            assert refused[0].headers["Access-Control-Allow-Origin"] == "https://shop.example"
            assert requests.get(f"{url}/health", timeout=20).ok
            assert views_served(signals) == 3 * len(taken)
            assert stored(tmp_path) == sorted(one for batch in taken for one in batch)

        assert {send(url, batch).text for batch in batches} == {"ok"}
        assert requests.post(f"{url}{TP2}", b"{" * 99_000, timeout=20).text == "ok"
        assert requests.get(f"{url}/micro/all", timeout=20).json() == {
            "total": 61, "good": 60, "bad": 1, "duplicate": 3 + 3 * len(taken)
        }  # fmt: skip
        assert views_served(signals) == 60
    assert stored(tmp_path) == sorted(one for batch in batches for one in batch)


def test_events_are_stored_after_their_folder_was_removed(tmp_path: Path) -> None:
    with sandbox(tmp_path) as found:
        assert send(found["url"], new()).text == "ok"
        for gone in (tmp_path / "events" / "journal", tmp_path / "events"):
            shutil.rmtree(gone)
            later = new(2)

            assert send(found["url"], later).text == "ok"
            assert requests.post(f"{found['url']}{TP2}", b"{", timeout=20).text == "ok"

            assert stored(tmp_path) == sorted(later)
        [kept] = (tmp_path / "events" / "bad").glob("*.jsonl")
        assert "the body is no JSON" in kept.read_text()


def test_an_intervention_that_cannot_be_noted_costs_no_event(
    data: DataSettings, caplog: pytest.LogCaptureFixture
) -> None:
    keen = rule("keen", on("num_page_views_l7d", ">=", 2))
    with signals_over(data, "wall") as signals:
        signals.publish([GROUP, SERVICE, keen])
        send(str(signals.api_client.api_url), new())
        assert views_served(signals) == 1
        shutil.rmtree(data.root / "signals")

        assert send(str(signals.api_client.api_url), new(3)).text == "ok"

        assert views_served(signals) == 4
    assert "Intervention 'keen' is not sent" in caplog.text


@pytest.mark.parametrize(
    "place", ["events/journal", "events/bad", "signals", "signals/registry.db"]
)
def test_a_place_that_cannot_be_written_to_is_named(tmp_path: Path, place: str) -> None:
    (tmp_path / place).parent.mkdir(exist_ok=True)
    (tmp_path / place).write_text("this was here before, and is what it is")

    result = CliRunner().invoke(cli, ["sandbox", "--port", "0", "--data-dir", str(tmp_path)])

    assert result.exit_code == 1
    assert str(result.exception).startswith(f"Events cannot be stored under {tmp_path} (")


def test_a_folder_that_cannot_be_made_ends_it_with_what_to_do_and_nothing_else() -> None:
    """Below ``/proc``, where not even root may."""
    command = [sys.executable, "-m", "prospect_pipeline", "sandbox", "--port", "0"]

    done = subprocess.run(
        [*command, "--data-dir", "/proc/prospect"], capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip

    assert done.returncode == 1
    assert done.stderr.splitlines()[2:] == [
        "Error: Events cannot be stored under /proc/prospect (/proc/prospect: No such file or "
        "directory). Make it a folder that this user may write to, or give another --data-dir."
    ]
