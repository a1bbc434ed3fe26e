"""The model in use, over a real registry."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from xgboost.core import XGBoostError

from prospect_pipeline.attributes.version import GroupVersion
from prospect_pipeline.errors import NoModel, SignalsUnavailable
from prospect_pipeline.features import COLUMNS
from prospect_pipeline.registry.champions import Champions
from prospect_pipeline.registry.kept import KeptModel
from prospect_pipeline.registry.store import LoadedModel, ModelVersion, Registry
from prospect_pipeline.scoring import ScoringModel
from prospect_pipeline.serving.scorer import Published, Scorer
from prospect_pipeline.settings import DataSettings
from prospect_pipeline.trees import Paths
from prospect_pipeline_tests.registry.models import (
    files_of,
    register,
    register_champion,
    registry_in,
    rows,
    tiny_model,
)

FIRST, SECOND = tiny_model(), tiny_model(seed=1)
VISITOR: Any = rows(1, seed=3)[list(COLUMNS)].to_dict("records")[0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture
def registry(
    folder: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Registry:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    return registry_in(folder, model_name=request.node.name)


def score(scorer: Scorer) -> float:
    return scorer.current().model.score_one(VISITOR)


def damage(registry: Registry, version: ModelVersion) -> Callable[[], None]:
    """Cut a version's model short; what is returned mends it."""
    path = files_of(registry, version) / "model.json"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    return lambda: void(path.write_bytes(whole))


def void(_result: Any) -> None:
    return None


def test_before_anything_is_loaded_there_is_no_model(registry: Registry) -> None:
    scorer = Scorer(registry, None)

    assert not scorer.ready
    with pytest.raises(NoModel, match="No model is loaded yet"):
        scorer.current()


def test_without_a_champion_the_reason_is_told(registry: Registry) -> None:
    register(registry, FIRST)
    scorer = Scorer(registry, None)

    assert not scorer.refresh()
    with pytest.raises(NoModel, match="has no alias 'champion'"):
        scorer.current()


def test_the_champion_is_loaded_and_scores_as_offline(registry: Registry) -> None:
    version = register_champion(registry, FIRST)
    scorer = Scorer(registry, None)

    assert scorer.refresh()
    assert scorer.ready
    assert scorer.current().identity == version
    assert score(scorer) == pytest.approx(FIRST.score_one(VISITOR), abs=1e-9)


def test_a_version_in_use_is_not_loaded_again(registry: Registry) -> None:
    register_champion(registry, FIRST)
    scorer = Scorer(registry, None)
    scorer.refresh()
    before = scorer.current()

    assert not scorer.refresh()
    assert scorer.current() is before


def test_a_moved_alias_swaps_the_model(registry: Registry) -> None:
    first = register_champion(registry, FIRST)
    scorer = Scorer(registry, None)
    scorer.refresh()
    second = register(registry, SECOND)

    assert not scorer.refresh()
    Champions(registry).promote(second, "a test", "it is told to")
    assert scorer.refresh()
    assert score(scorer) == pytest.approx(SECOND.score_one(VISITOR), abs=1e-9)
    Champions(registry).promote(first, "a test", "it is told to")
    assert scorer.refresh()
    assert score(scorer) == pytest.approx(FIRST.score_one(VISITOR), abs=1e-9)


def test_a_pinned_version_stays_whatever_the_alias_does(registry: Registry) -> None:
    first = register(registry, FIRST)
    register_champion(registry, SECOND)
    scorer = Scorer(registry, "1")

    assert scorer.refresh()
    assert not scorer.refresh()
    assert scorer.current().identity == first


def test_the_latest_follows_every_registration(registry: Registry) -> None:
    register_champion(registry, FIRST)
    scorer = Scorer(registry, "latest")
    scorer.refresh()

    second = register(registry, SECOND)

    assert scorer.refresh()
    assert scorer.current().identity == second


def test_a_model_in_use_stays_when_its_alias_is_gone(registry: Registry) -> None:
    version = register_champion(registry, FIRST)
    scorer = Scorer(registry, None)
    scorer.refresh()
    with registry.connected() as client:
        client.delete_registered_model_alias(version.name, "champion")

    assert not scorer.refresh()
    assert scorer.current().identity == version
    assert scorer.problem is not None
    assert "champion" in scorer.problem


def test_a_problem_is_logged_once_and_forgotten_when_it_is_over(
    registry: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    scorer = Scorer(registry, None)
    for _ in range(3):
        scorer.refresh()
    warned = [record.levelname for record in caplog.records if record.name == "prospect.scorer"]
    register_champion(registry, FIRST)

    assert scorer.refresh()
    assert warned == ["WARNING"]
    assert scorer.problem is None


def test_a_damaged_newer_version_leaves_the_one_in_use(registry: Registry) -> None:
    first = register_champion(registry, FIRST)
    scorer = Scorer(registry, None)
    scorer.refresh()
    second = register_champion(registry, SECOND)
    mend = damage(registry, second)

    assert not scorer.refresh()
    assert scorer.current().identity == first
    mend()
    assert scorer.refresh()
    assert scorer.current().identity == second


def test_a_damaged_first_version_is_no_model_yet(registry: Registry) -> None:
    damage(registry, register_champion(registry, FIRST))
    scorer = Scorer(registry, None)

    assert not scorer.refresh()
    with pytest.raises(NoModel):
        scorer.current()


def watched(scorer: Scorer, until: Callable[[], bool], then: Callable[[], None]) -> bool:
    """Whether a watching scorer picks up what ``then`` does once ``until`` holds."""

    async def published(_group: GroupVersion) -> bool:
        return True

    async def go() -> bool:
        watching = asyncio.create_task(scorer.watch(0.01, published))
        try:
            async with asyncio.timeout(10):
                while not (until() or watching.done()):
                    await asyncio.sleep(0.005)
                await asyncio.to_thread(then)
                while not (scorer.ready or watching.done()):
                    await asyncio.sleep(0.005)
            return scorer.ready
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

    return asyncio.run(go())


def test_watching_finds_a_model_that_comes_later(registry: Registry) -> None:
    scorer = Scorer(registry, None)

    assert watched(
        scorer,
        lambda: scorer.problem is not None,
        lambda: void(register_champion(registry, FIRST)),
    )


def test_watching_goes_on_after_a_damaged_version(registry: Registry) -> None:
    mend = damage(registry, register_champion(registry, FIRST))
    scorer = Scorer(registry, None)

    assert watched(scorer, lambda: scorer.problem is not None, mend)


def standing_in(registry: Registry) -> Scorer:
    """A scorer of the same model and disk, whose registry is away."""
    away = registry_in(
        registry.folder.parent,
        model_name=registry.settings.model_name,
        tracking_uri="http://127.0.0.1:9",
    )
    return Scorer(away, None, KeptModel(registry, disk(registry)))


def disk(registry: Registry) -> DataSettings:
    return DataSettings.load(data_dir=registry.folder.parent)


def test_without_a_registry_the_model_that_was_in_use_stands_in(
    registry: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    version = register_champion(registry, FIRST)
    assert Scorer(registry, None, KeptModel(registry, disk(registry))).refresh()
    scorer = standing_in(registry)

    assert scorer.refresh()
    assert scorer.current().identity == version
    assert score(scorer) == FIRST.score_one(VISITOR)
    assert f"{version.name} version 1, kept on this disk, stands in: MLflow at" in caplog.text
    assert not scorer.refresh()


def test_a_model_that_stands_in_gives_way_to_the_champion(registry: Registry) -> None:
    register_champion(registry, FIRST)
    kept = KeptModel(registry, disk(registry))
    Scorer(registry, None, kept).refresh()
    second = register_champion(registry, SECOND)
    scorer = standing_in(registry)
    scorer.refresh()
    scorer.registry = registry  # it is back

    assert scorer.refresh()
    assert scorer.current().identity == second
    found = kept.read()
    assert found is not None
    assert found.identity == second


def test_a_champion_that_is_damaged_is_stood_in_for_by_the_one_before(registry: Registry) -> None:
    first = register_champion(registry, FIRST)
    kept = KeptModel(registry, disk(registry))
    Scorer(registry, None, kept).refresh()
    damage(registry, register_champion(registry, SECOND))
    scorer = Scorer(registry, None, kept)

    assert scorer.refresh()
    assert scorer.current().identity == first


def test_without_a_registry_and_with_nothing_kept_there_is_no_model(registry: Registry) -> None:
    assert not standing_in(registry).refresh()


ONE, TWO = GroupVersion("g", 1, ("a",)), GroupVersion("g", 2, ("a",))


def says(*answers: bool | Exception) -> tuple[list[GroupVersion], Published]:
    """A Signals that says in turn whether a version is published, and what it was asked."""
    asked, left = list[GroupVersion](), list(answers)

    async def published(group: GroupVersion) -> bool:
        asked.append(group)
        answer = left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return asked, published


def test_a_newer_version_waits_until_its_attributes_are_published(
    registry: Registry, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = register_champion(registry, FIRST, ONE)
    scorer = Scorer(registry, None)
    asked, published = says(False, SignalsUnavailable("Signals does not say."), False, True)
    assert asyncio.run(scorer.follow(published))  # the first is taken as it is
    second = register_champion(registry, SECOND, TWO)

    loads, load = list[str](), registry.load

    def counted(wanted: ModelVersion) -> LoadedModel:
        loads.append(wanted.version)
        return load(wanted)

    monkeypatch.setattr(registry, "load", counted)
    for _ in range(3):
        assert not asyncio.run(scorer.follow(published))
        assert scorer.current().identity == first
    assert scorer.problem is not None
    assert "no published attribute group 'g' version 2, which version 2 was" in scorer.problem
    assert asyncio.run(scorer.follow(published))

    assert scorer.current().identity == second
    assert scorer.problem is None
    assert asked == [TWO] * 4
    assert loads == ["2"]
    said = [one.getMessage() for one in caplog.records if one.levelname == "WARNING"]
    assert [words.startswith("The model in use stays: Signals ") for words in said] == [True] * 3


def test_a_newer_version_of_the_same_attributes_needs_no_word_of_signals(
    registry: Registry,
) -> None:
    register_champion(registry, FIRST, ONE)
    scorer = Scorer(registry, None)
    asked, published = says()
    asyncio.run(scorer.follow(published))
    second = register_champion(registry, SECOND, ONE)

    assert asyncio.run(scorer.follow(published))
    assert scorer.current().identity == second
    assert asked == []


def test_a_version_that_waits_is_forgotten_when_the_alias_goes_back(registry: Registry) -> None:
    first = register_champion(registry, FIRST, ONE)
    scorer = Scorer(registry, None)
    _, published = says(False)
    asyncio.run(scorer.follow(published))
    register_champion(registry, SECOND, TWO)
    asyncio.run(scorer.follow(published))
    Champions(registry).promote(first, "a test", "it is told to")

    assert not asyncio.run(scorer.follow(published))
    assert scorer.current().identity == first
    assert scorer.problem is None


def test_the_trees_are_read_before_a_model_is_in_use(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    register_champion(registry, FIRST)
    scorer = Scorer(registry, None)

    assert scorer.refresh()
    monkeypatch.delattr(Paths, "of")

    assert scorer.current().model.explain_one(VISITOR)


def test_a_model_that_cannot_explain_is_in_use_nevertheless(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    register_champion(registry, FIRST)
    scorer = Scorer(registry, None)
    monkeypatch.setattr(ScoringModel, "explain_one", failing)

    assert scorer.refresh()
    assert 0 < score(scorer) < 1
    assert "cannot explain its scores (it is broken)" in caplog.text


def test_a_kept_model_that_fails_in_any_way_does_not_stand_in(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    register_champion(registry, FIRST)
    kept = KeptModel(registry, disk(registry))
    kept.keep(registry.load(registry.resolve()))
    monkeypatch.setattr(ScoringModel, "score_one", failing)

    assert not Scorer(registry, None, kept).refresh()


def failing(*_: object) -> Any:
    raise XGBoostError("it is broken\nStack trace: ...")
