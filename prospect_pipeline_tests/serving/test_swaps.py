"""Swaps of the model under load: nobody notices, and nothing is left of the old ones."""

from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from prospect_pipeline.registry.store import Registry
from prospect_pipeline.scoring import ScoringModel
from prospect_pipeline_tests.registry.models import register, registry_in, tiny_model
from prospect_pipeline_tests.sandbox.conftest import serving
from prospect_pipeline_tests.serving.load import Load
from prospect_pipeline_tests.serving.real import bentoml_serve
from prospect_pipeline_tests.serving.services import SECRET, service_over_http
from prospect_pipeline_tests.serving.standin import ANN, ANNS_COLUMNS, StandIn

MODELS = {str(number): tiny_model(seed=number) for number in (1, 2, 3)}
VISITORS = {
    name: ANN | {"num_page_views_l30d": n} for n, name in enumerate(("ann", "bob", "carol"))
}


def registered(folder: Path, models: dict[str, ScoringModel] = MODELS) -> Registry:
    """A registry with every model, the first of which is champion."""
    registry = registry_in(folder)
    for model in models.values():
        register(registry, model)
    put_alias(registry, "1")
    return registry


def put_alias(registry: Registry, version: str) -> None:
    with registry.connected() as client:
        client.set_registered_model_alias(registry.settings.model_name, "champion", version)


def of(version: str) -> Callable[[dict[str, Any]], bool]:
    return lambda answer: answer.get("model", {}).get("version") == version


def swap(load: Load, registry: Registry, times: int, after: Callable[[], None]) -> None:
    """Swap so often, each time once the one before is seen in an answer."""
    numbers = list(MODELS)
    for time in range(1, times + 1):
        version = numbers[time % len(numbers)]
        put_alias(registry, version)
        load.wait_until(of(version))
        after()


def check(load: Load, models: dict[str, ScoringModel] = MODELS) -> None:
    """Every answer is whole, and every score in it that of the version which it names."""
    assert load.cut == []
    assert {status for status, _ in load.answers} == {200}
    offline = Offline(models)
    for _, answer in load.answers:
        for one in answer.get("predictions", [answer]):
            expected = offline(answer["model"]["version"], one["scoring_attributes"])
            assert one["score"] == pytest.approx(expected, abs=1e-9)


class Offline:
    """Scores as training computes them, each once."""

    def __init__(self, models: dict[str, ScoringModel]) -> None:
        self.models = models
        self._known: dict[tuple[str, tuple[Any, ...]], float] = {}

    def __call__(self, version: str, columns: dict[str, Any]) -> float:
        asked = (version, tuple(columns.items()))
        if asked not in self._known:
            self._known[asked] = self.models[version].score_one(columns)
        return self._known[asked]


def test_the_versions_can_be_told_apart() -> None:
    scores = [round(model.score_one(ANNS_COLUMNS), 4) for model in MODELS.values()]

    assert len(set(scores)) == len(MODELS)


def test_swaps_under_load_fail_no_request_and_mix_no_versions(tmp_path: Path) -> None:
    registry = registered(tmp_path)
    signals = StandIn(visitors=VISITORS)

    with (
        serving(signals.app) as url,
        service_over_http(
            tmp_path,
            tmp_path,
            MODEL_POLL_SECONDS="0.05",
            SP_SANDBOX_URL=url,
            SP_SANDBOX_TOKEN=SECRET,
            SIGNALS_TIMEOUT_MS="1500",
        ) as service,
        Load(service).asking() as load,
    ):
        swap(load, registry, 8, after=lambda: None)

    check(load)
    assert {answer["model"]["version"] for _, answer in load.answers} == set(MODELS)


@pytest.mark.long
def test_memory_stays_flat_over_fifty_swaps(tmp_path: Path) -> None:
    # As large as no real one is: what is left of each would be seen.
    models = {number: tiny_model(int(number), rounds=3000) for number in MODELS}
    registry, memory = registered(tmp_path, models), list[int]()

    with (
        bentoml_serve(tmp_path, MODEL_POLL_SECONDS="0.2") as service,
        Load(service.url).asking() as load,
    ):
        swap(load, registry, 50, after=lambda: memory.append(service.memory()))

    check(load, models)
    print(f"{len(load.answers):,} requests; memory in MB: {[m // 10**6 for m in memory]}")
    assert median(memory[-10:]) <= 1.1 * median(memory[:10])
