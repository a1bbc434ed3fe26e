"""The model that was in use last: kept whole, and read only as it was kept."""

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from prospect_pipeline.attributes.version import GroupVersion
from prospect_pipeline.features import vector
from prospect_pipeline.registry.kept import KeptModel
from prospect_pipeline.registry.store import LoadedModel, ModelVersion, Registry
from prospect_pipeline.settings import DataSettings, RegistrySettings
from prospect_pipeline_tests.registry.models import tiny_model

GROUP = GroupVersion("g", 2, ("a", "b"))
MOMENT = datetime(2026, 5, 1, 12, tzinfo=UTC)
LOADED = LoadedModel(ModelVersion("prospects", "7", "run"), tiny_model(), GROUP, MOMENT)
NOBODY = vector({}, MOMENT)


@pytest.fixture(autouse=True)
def no_settings_of_ours(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("MODEL_NAME", "MODEL_ALIAS", "MODEL_VERSION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def kept_in(folder: Path, **settings: str) -> KeptModel:
    data = DataSettings.load(data_dir=folder)
    return KeptModel(Registry(RegistrySettings.load(**settings), data), data)


def test_what_is_kept_is_read_as_it_was(tmp_path: Path) -> None:
    kept_in(tmp_path).keep(LOADED)

    found = kept_in(tmp_path).read()

    assert found is not None
    assert (found.identity, found.group, found.registered) == (LOADED.identity, GROUP, MOMENT)
    assert found.model.score_one(NOBODY) == LOADED.model.score_one(NOBODY)
    assert (found.model.threshold, found.model.calibration) == (
        LOADED.model.threshold,
        LOADED.model.calibration,
    )


def test_the_last_one_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    newer = LoadedModel(ModelVersion("prospects", "8", "other"), tiny_model(seed=1))
    kept = kept_in(tmp_path)
    kept.keep(LOADED)
    kept.keep(newer)

    found = kept.read()

    assert found is not None
    assert (found.identity, found.group, found.registered) == (newer.identity, None, None)
    assert [path.name for path in kept.path.parent.iterdir()] == [kept.path.name]


def test_where_nothing_was_kept_there_is_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert kept_in(tmp_path).read() is None
    assert caplog.text == ""
    assert list(tmp_path.iterdir()) == []


def test_what_is_served_is_kept_apart(tmp_path: Path) -> None:
    kept_in(tmp_path).keep(LOADED)

    for other in ({"model_name": "others"}, {"alias": "challenger"}, {"version": "7"}):
        assert kept_in(tmp_path, **other).read() is None


def test_what_is_of_another_registry_is_not_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kept_in(tmp_path, tracking_uri="http://user:secret@staging.example.com").keep(LOADED)

    assert kept_in(tmp_path, tracking_uri="http://mlflow.example.com").read() is None
    assert "it is of another registry, http://staging.example.com" in caplog.text


@pytest.mark.parametrize("damage", ["cut", "changed", "empty", "no text", "no JSON", "a list"])
def test_what_was_damaged_is_not_read_and_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    kept = kept_in(tmp_path)
    kept.keep(LOADED)
    whole = kept.path.read_text()
    kept.path.write_bytes(
        {
            "cut": whole[:-1000].encode(),
            "changed": whole.replace('"version": "7"', '"version": "9"').encode(),
            "empty": b"",
            "no text": b"\xff\xfe",
            "no JSON": signed("{"),
            "a list": signed("[]"),
        }[damage]
    )

    assert kept.read() is None
    assert str(kept.path) in caplog.text
    assert "cannot be used" in caplog.text


def signed(content: str) -> bytes:
    """A file with the right digest of a wrong content."""
    return f"{hashlib.sha256(content.encode()).hexdigest()}\n{content}".encode()


@pytest.mark.parametrize("missing", ["identity", "booster", "carried", "registered", "registry"])
def test_a_file_of_another_release_is_not_read(tmp_path: Path, missing: str) -> None:
    kept = kept_in(tmp_path)
    kept.keep(LOADED)
    content = json.loads(kept.path.read_text().partition("\n")[2])
    del content[missing]
    kept.path.write_bytes(signed(json.dumps(content)))

    assert kept.read() is None


def test_a_disk_that_takes_nothing_is_a_warning_and_leaves_what_is_there(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = kept_in(tmp_path)
    kept.keep(LOADED)

    def full(*_: object, **__: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", full)
        kept.keep(LoadedModel(ModelVersion("prospects", "8", "other"), tiny_model(seed=1)))

    found = kept.read()
    assert found is not None
    assert found.identity.version == "7"
    assert "No space left on device" in caplog.text
