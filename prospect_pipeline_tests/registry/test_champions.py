"""The alias moves only with a record of who moved it, when and why; going back is one step."""

import os
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import example, given
from hypothesis import strategies as st
from mlflow import MlflowClient

from prospect_pipeline.cli import cli
from prospect_pipeline.errors import NoModel, RegistryError
from prospect_pipeline.registry.champions import Champions, Change, earlier, whoever
from prospect_pipeline.registry.store import ModelVersion, Registry
from prospect_pipeline_tests.registry.models import register, registry_in, tiny_model
from prospect_pipeline_tests.signals.versions import PINNED_FIRST

MODEL = tiny_model()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("champions")


@pytest.fixture
def registry(folder: Path, request: pytest.FixtureRequest) -> Registry:
    return registry_in(folder, model_name=request.node.name)


def versions(registry: Registry, count: int) -> list[ModelVersion]:
    return [register(registry, MODEL) for _ in range(count)]


def test_every_change_is_recorded(registry: Registry) -> None:
    champions = Champions(registry)
    assert champions.history() == []
    first, second = versions(registry, 2)
    assert champions.current() is None
    assert champions.history() == []

    champions.promote(first, "ann", "it is the first")
    champions.promote(second, "dagster run 12", 'better: "-1 %" ü')

    assert champions.current() == second
    told = [(c.version, c.previous, c.who, c.why, c.back) for c in champions.history()]
    assert told == [
        ("1", None, "ann", "it is the first", False),
        ("2", "1", "dagster run 12", 'better: "-1 %" ü', False),
    ]
    moments = [change.at for change in champions.history()]
    assert moments == sorted(moments)


def test_going_back_goes_back_step_by_step(registry: Registry) -> None:
    champions = Champions(registry)
    for version in versions(registry, 3):
        champions.promote(version, "dagster", "newer")

    assert champions.rollback("ann", "odd scores").version == "2"
    assert champions.rollback("ann", "still odd").version == "1"
    assert champions.current() == registry.resolve("1")
    with pytest.raises(NoModel, match=r"has no earlier champion .*prospect promote VERSION"):
        champions.rollback("ann", "and again")

    [*_, last] = champions.history()
    assert (last.version, last.previous, last.back) == ("1", "2", True)
    [four] = versions(registry, 1)
    champions.promote(four, "dagster", "newer")
    assert champions.rollback("ann", "no").version == "1"


def test_going_back_passes_over_a_change_that_was_recorded_and_cut_off(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    champions = Champions(registry)
    one, two, three = versions(registry, 3)
    champions.promote(one, "dagster", "first")
    champions.promote(two, "dagster", "newer")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(MlflowClient, "set_registered_model_alias", _interrupted)
        champions.promote(three, "dagster", "newer")

    assert champions.current() == two
    assert champions.rollback("ann", "odd scores").version == "1"


def _interrupted(*_: object) -> None:
    raise KeyboardInterrupt


def test_going_back_over_versions_that_came_again_goes_through_every_change(
    registry: Registry,
) -> None:
    champions = Champions(registry)
    one, two = versions(registry, 2)
    for version in (one, two, one, two):
        champions.promote(version, "ann", "to and fro")

    gone_back = [champions.rollback("ann", "no").version for _ in range(3)]

    assert gone_back == ["1", "2", "1"]
    with pytest.raises(NoModel, match="has no earlier champion"):
        champions.rollback("ann", "and again")


STEPS = st.lists(st.sampled_from(["1", "2", "3", "back", "cut 1", "cut 2"]), max_size=14)


@given(STEPS)
@example(["1", "2", "cut 1", "back", "back"])
def test_going_back_undoes_the_last_change_that_was_made(steps: list[str]) -> None:
    stack: list[str] = []
    changes: list[Change] = []
    for step in steps:
        present = stack[-1] if stack else None
        before = stack[-2] if len(stack) > 1 else None
        assert earlier(changes, present) == before
        if step == "back" and before is not None:
            stack.pop()
            changes.append(Change("", before, present, "ann", "odd", back=True))
        elif step.startswith("cut") and present is not None:
            changes.append(Change("", step[-1], present, "ann", "killed"))
        elif step in "123" and step != present:
            stack.append(step)
            changes.append(Change("", step, present, "ann", "newer"))


def test_without_a_champion_there_is_nothing_to_go_back_to(registry: Registry) -> None:
    versions(registry, 1)

    with pytest.raises(NoModel, match="has no earlier champion"):
        Champions(registry).rollback("ann", "why not")


def test_a_version_that_does_not_load_never_becomes_champion(registry: Registry) -> None:
    champions = Champions(registry)
    first, second = versions(registry, 2)
    champions.promote(first, "ann", "good")
    for path in (registry.folder / "artifacts").rglob("model.json"):
        if belongs(registry, path, second):
            path.write_text("{")

    with pytest.raises(RegistryError, match="is damaged"):
        champions.promote(second, "ann", "hope")

    assert champions.current() == first
    assert len(champions.history()) == 1


def belongs(registry: Registry, path: Path, version: ModelVersion) -> bool:
    with registry.connected() as client:
        source = client.get_model_version(version.name, version.version).source
    return str(source).rsplit("/", maxsplit=1)[-1] in str(path)


def test_whoever_runs_it_has_a_name() -> None:
    assert " on " in whoever()


def test_whoever_has_no_name_has_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 54321)  # no entry of passwd has it

    assert whoever().startswith("uid 54321 on ")


def told(command: str, *arguments: str, folder: Path) -> str:
    options = [*arguments, "--data-dir", str(folder)]
    result = CliRunner().invoke(cli, [command, *options], catch_exceptions=True)
    return str(result.exception or result.output).strip()


def test_a_person_promotes_and_goes_back_by_one_command(
    registry: Registry, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODEL_NAME", registry.settings.model_name)
    versions(registry, 2)

    def back() -> str:
        return told("rollback", "--why", "odd scores", folder=folder)

    assert told("promote", "1", "--why", "a start", folder=folder) == (
        "Version 1 is the champion now (there was none before)."
    )
    assert told("promote", "2", "--why", "newer", folder=folder) == (
        "Version 2 is the champion now (before: version 1)."
    )
    assert back() == "Version 1 is the champion now (before: version 2)."
    assert "has no earlier champion to go back to" in back()
    assert "has no version 9" in told("promote", "9", "--why", "hope", folder=folder)
    assert [change.why for change in Champions(registry).history()] == [
        "a start", "newer", "odd scores"
    ]  # fmt: skip


def test_without_a_signals_to_ask_a_person_is_warned_and_not_held_up(
    registry: Registry, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODEL_NAME", registry.settings.model_name)
    register(registry, MODEL, group=PINNED_FIRST)

    said = told("promote", "1", folder=folder)

    assert said.startswith(f"Warning: it is not known whether Signals has published {PINNED_FIRST}")
    assert "No local Signals runs" in said
    assert said.endswith("Version 1 is the champion now (there was none before).")
