"""Whatever ails the registry the model in use goes on, and the newer one is taken afterwards."""

import json
import re
import resource
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import xgboost
import yaml

from prospect_pipeline.errors import NoModel
from prospect_pipeline.registry.kept import KeptModel
from prospect_pipeline.registry.store import BOOSTER_FILE, ModelVersion, Registry
from prospect_pipeline.serving.scorer import Scorer
from prospect_pipeline.settings import DataSettings
from prospect_pipeline_tests.registry.models import (
    files_of,
    register,
    register_champion,
    registry_in,
    tiny_model,
)
from prospect_pipeline_tests.sandbox.conftest import serving
from prospect_pipeline_tests.serving.services import SECRET, predict, service, until
from prospect_pipeline_tests.serving.standin import ANNS_COLUMNS, StandIn

MODEL, NEWER = tiny_model(), tiny_model(seed=1)
NAMES, TYPES = NEWER.encoder.names, NEWER.encoder.types
Fault = Callable[[Registry, ModelVersion], None]


def put_alias(registry: Registry, version: ModelVersion) -> None:
    """Move the alias past what a person's command would refuse."""
    with registry.connected() as client:
        client.set_registered_model_alias(version.name, "champion", version.version)


def alias_missing(registry: Registry, newer: ModelVersion) -> None:
    with registry.connected() as client:
        client.delete_registered_model_alias(newer.name, "champion")


def files_gone(registry: Registry, newer: ModelVersion) -> None:
    (files_of(registry, newer) / BOOSTER_FILE).unlink()


def cut_short(registry: Registry, newer: ModelVersion) -> None:
    path = files_of(registry, newer) / BOOSTER_FILE
    path.write_bytes(path.read_bytes()[:1000])


def no_yaml(registry: Registry, newer: ModelVersion) -> None:
    (files_of(registry, newer) / "MLmodel").write_text("{")


def another_booster(
    registry: Registry, newer: ModelVersion, names: list[str], types: list[str]
) -> None:
    """Put a booster of other columns in the place of the version's own."""
    matrix = xgboost.DMatrix(
        [[float(row)] * len(names) for row in range(20)],
        label=[row % 2 for row in range(20)],
        feature_names=names,
        feature_types=types,
        enable_categorical=True,
        nthread=1,
    )
    booster = xgboost.train({"objective": "binary:logistic", "nthread": 1}, matrix, 3)
    booster.save_model(files_of(registry, newer) / BOOSTER_FILE)


def more_features(registry: Registry, newer: ModelVersion) -> None:
    more = [f"more{number}" for number in range(1000)]
    another_booster(registry, newer, [*NAMES, *more], [*TYPES, *("q" for _ in more)])


def fewer_features(registry: Registry, newer: ModelVersion) -> None:
    another_booster(registry, newer, NAMES[:-1], TYPES[:-1])


def features_in_another_order(registry: Registry, newer: ModelVersion) -> None:
    another_booster(registry, newer, NAMES[::-1], TYPES[::-1])


def carries(registry: Registry, newer: ModelVersion, **other: Any) -> None:
    """Change what the version carries beside its booster."""
    path = files_of(registry, newer) / "MLmodel"
    described = yaml.safe_load(path.read_text())
    described["metadata"] |= {name: json.dumps(value) for name, value in other.items()}
    path.write_text(yaml.safe_dump(described))


def other_columns(registry: Registry, newer: ModelVersion) -> None:
    """A version that is whole, and needs a column that is made no more."""
    names = ["num_page_views_l7d", "gone"]
    another_booster(registry, newer, names, ["q", "q"])
    carries(registry, newer, encoder={"columns": names, "vocabulary": {}})


def no_calibration(registry: Registry, newer: ModelVersion) -> None:
    carries(registry, newer, scoring={"calibration": {"slope": float("nan")}})


FAULTS: dict[Fault, str] = {
    alias_missing: "has no alias 'champion'",
    files_gone: "damaged and cannot be loaded",
    cut_short: "damaged and cannot be loaded",
    no_yaml: "MLmodel is no YAML",
    more_features: "trained on other columns than its encoder makes",
    fewer_features: "trained on other columns than its encoder makes",
    features_in_another_order: "trained on other columns than its encoder makes",
    other_columns: "column gone is missing",
    no_calibration: "gives a score of nan",
}


@dataclass
class Registered:
    """A registry in a data directory, with two versions of the model."""

    folder: Path
    registry: Registry
    first: ModelVersion
    newer: ModelVersion
    files: Path

    def scorer(self) -> Scorer:
        return Scorer(self.registry, None)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Registered:
    """One registry for the module: to make its tables takes seconds."""
    folder = tmp_path_factory.mktemp("data")
    registry = registry_in(folder)
    first, newer = register(registry, MODEL), register(registry, NEWER)
    return Registered(folder, registry, first, newer, files_of(registry, newer))


@pytest.fixture
def registered(
    made: Registered, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Registered]:
    """The first version is champion, and whatever is done to the newer one's files is undone."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    put_alias(made.registry, made.first)
    shutil.copytree(made.files, tmp_path / "whole")
    yield made
    mend(made, tmp_path)


def mend(made: Registered, tmp_path: Path) -> None:
    shutil.copytree(tmp_path / "whole", made.files, dirs_exist_ok=True)


@pytest.fixture(scope="module")
def serve(made: Registered) -> Iterator[Callable[[Path], Any]]:
    """Starts a service that looks for a newer model all the time."""
    with serving(StandIn().app) as url:
        told = {
            "MODEL_POLL_SECONDS": "0.05",
            "SP_SANDBOX_URL": url,
            "SP_SANDBOX_TOKEN": SECRET,
            "SIGNALS_TIMEOUT_MS": "1500",
        }
        yield lambda working: service(made.folder, working, **told)


def stays(caplog: pytest.LogCaptureFixture, words: str) -> bool:
    """Whether it was said why the model in use stays."""
    said = [one.getMessage() for one in caplog.records if one.name == "prospect.scorer"]
    return any(one.startswith("The model in use stays: ") and words in one for one in said)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_the_model_in_use_goes_on_until_the_newer_one_can_be_used(
    registered: Registered,
    serve: Callable[[Path], Any],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    fault: Fault,
) -> None:
    registry, newer = registered.registry, registered.newer

    with serve(tmp_path) as client:
        fault(registry, newer)
        if fault is not alias_missing:
            put_alias(registry, newer)
        until(lambda: stays(caplog, FAULTS[fault]))
        during, ready = predict(client), client.get("/readyz").status_code
        mend(registered, tmp_path)
        put_alias(registry, newer)
        until(lambda: predict(client)["model"]["version"] == newer.version)
        after = predict(client)

    assert (during["model"]["version"], ready) == (registered.first.version, 200)
    assert during["score"] == pytest.approx(MODEL.score_one(ANNS_COLUMNS))
    assert after["score"] == pytest.approx(NEWER.score_one(ANNS_COLUMNS))
    assert [one for one in caplog.records if one.exc_info] == []


def test_a_version_that_is_deleted_while_it_is_in_use_stays_in_use(
    registered: Registered,
    serve: Callable[[Path], Any],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    version = register_champion(registered.registry, NEWER)

    with serve(tmp_path) as client:
        with registered.registry.connected() as mlflow:
            mlflow.delete_model_version(version.name, version.version)
        until(lambda: stays(caplog, "has no alias 'champion'"))
        answer = predict(client)

    assert answer["model"]["version"] == version.version


@contextmanager
def disk_full() -> Iterator[None]:
    """No file of this process can grow beyond a few bytes while the block runs."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_where_the_disk_is_full_the_model_in_use_goes_on(registered: Registered) -> None:
    scorer = registered.scorer()
    scorer.refresh()
    put_alias(registered.registry, registered.newer)

    with disk_full():
        changed = scorer.refresh()

    assert (changed, scorer.version()) == (False, registered.first.version)
    assert scorer.problem is not None
    assert re.match("MLflow at sqlite:.* cannot be used: .*File too large", scorer.problem)
    assert scorer.refresh()
    assert scorer.version() == registered.newer.version


def test_where_the_disk_is_full_at_first_the_model_comes_once_there_is_room(
    registered: Registered,
) -> None:
    scorer = registered.scorer()

    with disk_full():
        scorer.refresh()
    with pytest.raises(NoModel):
        scorer.current()

    assert scorer.refresh()


def test_what_was_kept_is_not_used_where_it_scores_nobody(
    registered: Registered, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    loaded = registered.registry.load(registered.first)
    before = loaded.model.encoder
    columns = tuple("gone" if name == "num_apps_l7d" else name for name in before.columns)
    loaded.model.booster.feature_names = [*columns, *(ratio.name for ratio in before.ratios)]
    odd = replace(loaded.model, encoder=replace(before, columns=columns))
    kept = KeptModel(registered.registry, DataSettings.load(data_dir=tmp_path))
    kept.keep(replace(loaded, model=odd))
    alias_missing(registered.registry, registered.first)
    scorer = Scorer(registered.registry, None, kept)

    assert not scorer.refresh()
    assert not scorer.ready
    assert "column gone is missing" in caplog.text


def test_a_registry_that_was_moved_away_is_missed_and_one_in_its_place_is_followed(
    tmp_path: Path,
) -> None:
    here, other = registry_in(tmp_path / "here"), registry_in(tmp_path / "other")
    register_champion(here, MODEL)
    register(other, MODEL)
    register_champion(other, NEWER)
    scorer = Scorer(here, None)
    scorer.refresh()

    here.folder.rename(tmp_path / "away")
    assert not scorer.refresh()
    assert scorer.current().identity.version == "1"
    assert str(scorer.problem).startswith("There is no registry at ")
    assert not here.folder.exists()

    shutil.copytree(other.folder, here.folder)
    assert scorer.refresh()
    assert scorer.current().identity.version == "2"
    assert scorer.problem is None
