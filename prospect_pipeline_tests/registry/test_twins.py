"""A version of the same data and definition is found again, with what became of it."""

from pathlib import Path

import pytest

from prospect_pipeline.registry.champions import Champions
from prospect_pipeline.registry.store import ModelVersion, Registry
from prospect_pipeline.registry.twins import judged_twin
from prospect_pipeline_tests.registry.models import register, registry_in, tiny_model

MODEL = tiny_model()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("twins")


@pytest.fixture
def registry(folder: Path, request: pytest.FixtureRequest) -> Registry:
    return registry_in(folder, model_name=request.node.name)


def made(registry: Registry, fingerprint: str) -> ModelVersion:
    version = register(registry, MODEL)
    with registry.connected() as client:
        client.set_tag(version.run_id, "fingerprint", fingerprint)
    return version


def test_a_version_that_is_or_was_champion_is_found_with_its_fate(registry: Registry) -> None:
    champions = Champions(registry)
    data = ("one", "two", "three", "two", "one", "three", "four")
    one, two, three, *later = [made(registry, each) for each in data]
    for version in (one, two, three):
        champions.promote(version, "dagster", "newer")
    champions.rollback("ann", "odd scores")

    assert [judged_twin(champions, each) for each in later] == [
        "version 2, which is the champion",
        "version 1, which was champion before",
        "version 3, which was rolled back from (odd scores)",
        "",
    ]
    assert judged_twin(champions, two) == ""

    champions.promote(three, "ann", "it was the traffic")
    champions.promote(one, "ann", "newer")
    assert judged_twin(champions, later[2]) == "version 3, which was champion before"


def test_a_refused_twin_counts_and_one_that_was_not_judged_does_not(registry: Registry) -> None:
    champions = Champions(registry)
    first, again, third = [made(registry, "same") for _ in range(3)]

    assert judged_twin(champions, again) == ""
    registry.tag_version(first, {"decision": "refused"})

    assert judged_twin(champions, again) == "version 1, which was refused"
    registry.tag_version(again, {"decision": "refused"})
    assert judged_twin(champions, third) == "version 2, which was refused"
    assert judged_twin(champions, first) == "version 2, which was refused"


def test_a_version_without_a_fingerprint_has_no_twin(registry: Registry) -> None:
    champions = Champions(registry)
    versions = [register(registry, MODEL) for _ in range(2)]
    champions.promote(versions[0], "ann", "first")

    assert judged_twin(champions, versions[1]) == ""


def test_models_of_another_name_are_no_twins(registry: Registry, folder: Path) -> None:
    other = registry_in(folder, model_name="other")
    champions = Champions(other)
    champions.promote(made(other, "shared"), "ann", "first")

    assert judged_twin(Champions(registry), made(registry, "shared")) == ""
