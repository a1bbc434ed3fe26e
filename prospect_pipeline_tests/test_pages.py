"""What the pages on versions and on the ML Test Score claim."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from snowplow_signals import SignalsSandbox

from prospect_pipeline.cli import cli
from prospect_pipeline.definitions import build_defs
from prospect_pipeline.settings import DataSettings
from prospect_pipeline_tests.sandbox.conftest import signals_over
from prospect_pipeline_tests.signals.versions import FIRST, SECOND, service_of

DOCS = Path(__file__).parent.parent / "docs"
VERSIONS = (DOCS / "attribute-versions.md").read_text()
SCORE = (DOCS / "ml-test-score.md").read_text()
NAMES = ("Data", "Model", "Infrastructure", "Monitoring")
PARTS = dict(re.findall(rf"^## ({'|'.join(NAMES)})\n(.*?)(?=^## )", SCORE, re.M | re.S))


def rows(part: str) -> list[tuple[int, float, str]]:
    """Number, points and cover of each row of a part."""
    found = re.findall(r"^\| (\d) \| [^|]+ \| ([\d.]+) \| (.+) \|$", PARTS[part], re.M)
    return [(int(number), float(points), cover) for number, points, cover in found]


@pytest.mark.parametrize("part", NAMES)
def test_a_part_of_the_score_has_seven_tests_and_adds_up(part: str) -> None:
    found = rows(part)

    assert [number for number, _, _ in found] == [1, 2, 3, 4, 5, 6, 7]
    assert {points for _, points, _ in found} <= {0, 0.5, 1}
    assert f"\nSum: {sum(points for _, points, _ in found):g}\n" in PARTS[part]


def test_the_score_is_the_smallest_sum() -> None:
    sums = [sum(points for _, points, _ in rows(part)) for part in PARTS]

    [told] = re.findall(r"^\*\*([\d.]+)\*\*, the smallest of ([\d.]+), ", SCORE, re.M)
    assert [float(number) for number in told] == [min(sums), sums[0]]


@pytest.mark.parametrize("part", NAMES)
def test_what_gives_no_points_says_why_and_what_gives_points_names_a_file(part: str) -> None:
    for _, points, cover in rows(part):
        assert cover.startswith("not covered: ") == (points == 0)
        assert points == 0 or re.search(r"\]\([^)]+\)|`make bench`", cover)


def test_tests_that_the_score_names_are_in_the_files_that_it_names() -> None:
    named = re.findall(r"`(test_\w+)`(?:, `test_\w+`)* in \[[\w.]+\]\(([^)]+)\)", SCORE)
    missing = [test for test, file in named if f"def {test}(" not in (DOCS / file).read_text()]

    assert missing == []
    assert len(named) == SCORE.count("`test_")


def test_commands_jobs_and_schedules_of_the_versions_page_exist() -> None:
    defs = build_defs()
    commands = re.findall(r"^ *\$ prospect (\w+)", VERSIONS, re.M)
    jobs = re.findall(r"dagster job execute -m prospect_pipeline.definitions -j (\w+)", VERSIONS)
    schedules = re.findall(r"dagster schedule (?:stop|start) -w workspace.yaml (\w+)", VERSIONS)

    assert set(commands) == {"dataset", "promote", "rollback"} <= set(cli.commands)
    assert [defs.resolve_job_def(name).name for name in jobs] == ["deploy_configuration", "retrain"]
    assert set(schedules) == {defs.resolve_schedule_def("weekly_retraining").name}


@pytest.fixture
def signals(tmp_path: Path) -> Iterator[SignalsSandbox]:
    with signals_over(DataSettings.load(data_dir=tmp_path)) as connected:
        yield connected


def test_the_versions_page_retires_the_old_version_alone(signals: SignalsSandbox) -> None:
    signals.publish([FIRST, SECOND, service_of(SECOND)])
    [code] = re.findall(r" *```python\n(.*?) *```", VERSIONS, re.S)
    given: dict[str, Any] = {"signals": signals}

    exec(re.sub(r"^   ", "", code, flags=re.M), given)

    published = [signals.get_attribute_group(FIRST.name, number).is_published for number in (1, 2)]
    assert published == [False, True]
