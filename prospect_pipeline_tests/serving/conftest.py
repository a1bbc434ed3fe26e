"""What every service in this process needs."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from prospect_pipeline.serving.service import ProspectScoring
from prospect_pipeline_tests.registry.models import register_champion, registry_in, tiny_model


@pytest.fixture(scope="module", autouse=True)
def without_metrics() -> Iterator[None]:
    """BentoML registers its metrics once for a process, and fails at the second service."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(ProspectScoring.config, "metrics", {"enabled": False})
        yield


@pytest.fixture(scope="session")
def champion(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with a champion, for services that only read it."""
    folder = tmp_path_factory.mktemp("champion")
    register_champion(registry_in(folder), tiny_model())
    return folder
