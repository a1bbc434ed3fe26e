"""What the README and the project's own files claim."""

import re
import subprocess
import sys
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
import yaml

from prospect_pipeline import settings as module
from prospect_pipeline.attributes.anchors import Anchoring
from prospect_pipeline.attributes.sql import TrainingQuery
from prospect_pipeline.cli import cli
from prospect_pipeline.definitions import build_defs
from prospect_pipeline.orchestration.automation import TICK_TAG
from prospect_pipeline.orchestration.checks import events_arrive, labels_follow, no_leakage
from prospect_pipeline.orchestration.served import served_equals_trained
from prospect_pipeline.settings import DataSettings, TrainingSettings, _Settings
from prospect_pipeline.training.promotion import Floors, decide
from prospect_pipeline.warehouse.base import DatasetRequest
from prospect_pipeline.warehouse.duckdb import DuckDBWarehouse
from prospect_pipeline_tests.attributes.test_sql import GROUP
from prospect_pipeline_tests.events import event, write
from prospect_pipeline_tests.sandbox.conftest import TOKEN, signals_over
from prospect_pipeline_tests.training.test_promotion import CHAMPION, GOOD

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
README = (ROOT / "README.md").read_text()
TRAINING_PAGE = (ROOT / "docs" / "training-data.md").read_text()
RETRAINING_PAGE = (ROOT / "docs" / "retraining.md").read_text()


def test_the_readme_stays_short() -> None:
    assert README.count("\n") < 300


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_the_pages_name_are_there(page: Path) -> None:
    text = page.read_text()
    links = re.findall(r"\]\((?!http)([^)#]+)", text)
    named = re.findall(r"`(prospect_pipeline[\w/.]*)`", text)

    missing = [link for link in links if not (page.parent / link).exists()]
    missing += [name for name in named if not (ROOT / name).exists()]

    assert missing == []


def test_commands_that_the_readme_names_exist() -> None:
    named = set(re.findall(r"`?(?:\.venv/bin/)?prospect ([a-z]+)", README))
    targets = set(re.findall(r"`make ([a-z]+)|^\$ make ([a-z]+)", README, flags=re.MULTILINE))
    made = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))

    assert named <= set(cli.commands)
    assert {a or b for a, b in targets} <= made


def known_settings() -> set[str]:
    classes = [c for c in vars(module).values() if isinstance(c, type) and issubclass(c, _Settings)]
    return {str(f.validation_alias) for c in classes for f in c.model_fields.values()}


def test_the_page_of_settings_is_whole() -> None:
    page = (ROOT / "docs" / "settings.md").read_text()

    assert set(re.findall(r"`([A-Z][A-Z_]{5,})`", page)) == known_settings()


def test_the_container_of_the_docs_may_write_where_it_has_to_and_nowhere_else() -> None:
    page = (ROOT / "docs" / "container.md").read_text()
    [example] = re.findall(r"```yaml\n(.*?)```", page, flags=re.DOTALL)
    [image] = re.findall(r"bentoml containerize prospect_scoring:latest -t (\S+)", page)

    [(_, told)] = yaml.safe_load(example)["services"].items()

    assert (told["image"], told["read_only"], told["tmpfs"]) == (image, True, ["/tmp"])
    given = told["environment"]
    assert given["BENTOML_HOME"].startswith("/tmp/")
    assert [f"./data:{given['PROSPECT_DATA_DIR']}"] == told["volumes"]
    assert {name for name in given if name.split("_")[0] != "BENTOML"} <= known_settings() | {
        "MLFLOW_DISABLE_TELEMETRY"
    }
    assert all(isinstance(value, str) for value in given.values())


def test_the_readmes_training_rows_are_true(tmp_path: Path) -> None:
    day = datetime(2026, 5, 1, tzinfo=UTC)
    events = [
        event("a", day.replace(hour=10), page_url="https://x.io/pricing"),
        event("b", day.replace(hour=10, minute=40), "submit_form"),
        event("c", day.replace(hour=12, minute=10), page_url="https://x.io/pricing"),
        event("d", day.replace(hour=20)),
    ]
    path = write(events, tmp_path / "events.parquet")
    made = DuckDBWarehouse(path).training_set(
        DatasetRequest(GROUP, TrainingSettings.load(cohort="all"))
    )

    found = [
        (row["anchor_ts"].strftime("%H:%M"), row["num_pricing_views_l7d"], row["label"])
        for row in made.table.to_pylist()
    ]

    claimed = re.findall(r"^\| (\d\d:\d\d) \| [^|]+ \| (\d) \| (\d) \|", README, flags=re.MULTILINE)
    assert found == [(moment, int(views), int(label)) for moment, views, label in claimed]


def test_the_lock_holds_versions_and_no_addresses() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    names = {re.split(r"[\[><=; ]", line)[0].lower() for line in lock.splitlines() if "==" in line}

    assert "://" not in lock
    assert not [name for name in names if name.startswith("nvidia-nccl")]
    assert {re.split(r"[\[><=;# ]", each)[0].lower() for each in wanted} <= names


def test_the_readmes_own_attribute_group_does_what_it_prints(tmp_path: Path) -> None:
    section = README[README.index("## The local Signals") :]
    [code] = re.findall(r"```python\n(.*?)```", section, flags=re.DOTALL)
    printed = re.findall(r"```\n(\{.*?)```", section, flags=re.DOTALL)[0]
    data = DataSettings.load(data_dir=tmp_path)
    with signals_over(data, "wall") as signals:
        given = f'here, token = "{signals.api_client.api_url}", "{TOKEN}"'
        (tmp_path / "mine.py").write_text(re.sub(r"here, token = .*", given, code))
        found = subprocess.run(
            [sys.executable, "-W", "ignore", tmp_path / "mine.py"],
            capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip

    assert found.stdout == printed, found.stderr


def test_the_session_anchors_of_the_docs_work(tmp_path: Path) -> None:
    [code] = re.findall(r"```python\n(.*?)```", TRAINING_PAGE, flags=re.DOTALL)
    (tmp_path / "sessions.py").write_text(code)
    march = datetime(2026, 3, 10, tzinfo=UTC)
    events = [
        event("a", march, session="won"),
        event("b", march + timedelta(minutes=1), "submit_form", session="won"),
        event("c", march, session="lost", user="bob"),
        event("d", march + timedelta(minutes=1), session="lost", user="bob"),
    ]
    settings = TrainingSettings.load(anchors=f"{tmp_path / 'sessions.py'}:anchors")

    made = DuckDBWarehouse(write(events, tmp_path / "events.parquet")).training_set(
        DatasetRequest(GROUP, settings)
    )

    found = {row["event_id"]: (row["label"], row["weight"]) for row in made.table.to_pylist()}
    assert found == {"b": (1, 1.0), "d": (0, 1.0)}


def test_the_steps_of_the_docs_are_those_of_the_query() -> None:
    everyone = Anchoring(datetime(2026, 5, 1, tzinfo=UTC), None)
    sql = TrainingQuery(GROUP, everyone).whole()

    described = re.findall(r"`(\w+)`", " ".join(re.findall(r"^\| (`.*?) \|", TRAINING_PAGE, re.M)))

    for step in set(described) - {"sessions", "candidates", "chosen"}:
        if not step.endswith("_N"):
            assert re.search(rf"\b{step} AS \(", sql), step
    assert "stream_0 AS (" in sql


def test_the_retraining_page_names_what_there_is() -> None:
    defs = build_defs()
    [example] = re.findall(r"```yaml\n(.*?)```", RETRAINING_PAGE, flags=re.DOTALL)
    first_column = " ".join(re.findall(r"^\| (`.*?) \|", RETRAINING_PAGE, flags=re.MULTILINE))
    timed = {each.name for each in (*(defs.schedules or []), *(defs.sensors or []))}
    gates = {gate.name for gate in decide(GOOD, CHAMPION, Floors()).gates}
    checks = {served_equals_trained, no_leakage, labels_follow, events_arrive}
    others = {check.check_key.name for check in checks} | {"retrain", "look_at_events", TICK_TAG}

    assert timed | gates <= set(re.findall(r"`(\w+)`", first_column))
    assert {name for name in others if f"`{name}`" not in RETRAINING_PAGE} == set()
    dg.validate_run_config(defs.resolve_job_def("retrain"), yaml.safe_load(example))
