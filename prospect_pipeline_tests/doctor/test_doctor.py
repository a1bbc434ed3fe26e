"""The whole command: what it prints, its status, and that nothing is changed."""

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from prospect_pipeline.attributes import prospect
from prospect_pipeline.attributes.version import GroupVersion
from prospect_pipeline.cli import cli
from prospect_pipeline.settings import DataSettings, DefinitionSettings, SignalsSettings
from prospect_pipeline.signals.connection import connection
from prospect_pipeline.signals.deployment import deploy
from prospect_pipeline_tests.doctor.looking import local_signals, tree
from prospect_pipeline_tests.events import event, write
from prospect_pipeline_tests.registry.models import register_champion, registry_in, tiny_model
from prospect_pipeline_tests.serving.services import service_over_http

GROUP = prospect.attribute_group(DefinitionSettings.load())
GET = "GET /api/v1/registry/"
READ = "POST /api/v1/get-online-attributes"


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, list[str]]]:
    """A data directory whose Signals and scoring service run; what Signals is asked."""
    folder = tmp_path_factory.mktemp("whole")
    data = DataSettings.load(data_dir=folder / "data")
    (data.root / "events").mkdir(parents=True)
    write([event("a", datetime.now(UTC))], data.root / "events" / "some.parquet")
    register_champion(registry_in(data.root), tiny_model(), GroupVersion.of(GROUP))
    with local_signals(data.root) as asked:
        sdk = connection(SignalsSettings.load(), data).sdk()
        deploy(sdk, GROUP, prospect.service(DefinitionSettings.load()))
        with service_over_http(data.root, folder) as url:
            data.run_file.write_text(json.dumps({"predict": url}))
            yield data.root, asked


def doctor(*arguments: str | Path) -> Any:
    return CliRunner().invoke(cli, ["doctor", *map(str, arguments)])


def test_a_system_that_runs_is_well_and_stays_as_it_is(system: tuple[Path, list[str]]) -> None:
    root, asked = system
    before, since = tree(root.parent), len(asked)

    done = doctor("--data-dir", root)

    assert done.exit_code == 0, done.output
    assert {line[:10].strip() for line in done.output.splitlines()[:-1]} == {"ok", "not used"}
    assert done.output.splitlines()[-1].startswith("All is well: ")
    assert tree(root.parent) == before
    assert tree(Path.cwd()) == {}
    seen = {each if each == READ else each[: len(GET)] for each in asked[since:]}
    assert seen == {"GET /", GET, READ}


def test_the_document_says_the_same(system: tuple[Path, list[str]]) -> None:
    root, _ = system

    done = doctor("--data-dir", root, "--json")

    said = json.loads(done.output)
    printed = doctor("--data-dir", root).output.splitlines()[:-1]
    assert (done.exit_code, said["well"], said["counts"]["wrong"]) == (0, True, 0)
    assert said["findings"][0].keys() == {"area", "check", "status", "found", "remedy"}
    assert [(one["status"], f"{one['area']} {one['check']}") for one in said["findings"]] == [
        (line[:10].strip(), line[10:34].strip()) for line in printed
    ]


def test_where_nothing_runs_it_says_what_to_start_and_makes_nothing(tmp_path: Path) -> None:
    working = tmp_path / "fresh"
    working.mkdir()

    done = subprocess.run(
        [sys.executable, "-m", "prospect_pipeline", "doctor", "--json"],
        cwd=working, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip

    said = json.loads(done.stdout)
    wrong = [
        f"{one['area']} {one['check']}" for one in said["findings"] if one["status"] == "wrong"
    ]
    assert (done.returncode, done.stderr) == (1, "")
    assert wrong == ["Signals address", "registry address"]
    assert all(one["remedy"] for one in said["findings"] if one["status"] in ("wrong", "warning"))
    assert tree(working) == {}


def test_one_wrong_setting_is_one_wrong_line_beside_all_that_is_well(
    system: tuple[Path, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    root, _ = system
    monkeypatch.setenv("PROSPECT_RETRAIN_CRON", "mondays")

    done = doctor("--data-dir", root)

    assert done.exit_code == 1
    [line] = [line for line in done.output.splitlines() if line.startswith("wrong")]
    assert "Dagster schedule" in line
    assert "-> set PROSPECT_RETRAIN_CRON" in line
