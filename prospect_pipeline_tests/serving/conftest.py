"""What every service in this process needs."""

from collections.abc import Iterator

import pytest

from prospect_pipeline.serving.service import ProspectScoring


@pytest.fixture(scope="module", autouse=True)
def without_metrics() -> Iterator[None]:
    """BentoML registers its metrics once for a process, and fails at the second service."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(ProspectScoring.config, "metrics", {"enabled": False})
        yield
