"""Deploying to a local Signals through the official SDK."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fastapi import FastAPI, Response
from snowplow_signals import Attribute, SignalsSandbox, StreamAttributeGroup

from prospect_pipeline.attributes import prospect
from prospect_pipeline.errors import DefinitionConflict, SignalsError, SignalsUnavailable
from prospect_pipeline.settings import DataSettings, DefinitionSettings
from prospect_pipeline.signals.deployment import Deployment, deploy
from prospect_pipeline_tests.events import DAY
from prospect_pipeline_tests.sandbox.conftest import serving, signals_over

SINCE = datetime(2026, 1, 1, tzinfo=UTC)
SETTINGS = DefinitionSettings.load(backfill_since=SINCE)


@pytest.fixture
def signals(tmp_path: Path) -> Iterator[SignalsSandbox]:
    with signals_over(DataSettings.load(data_dir=tmp_path)) as connected:
        yield connected


def go(signals: SignalsSandbox, settings: DefinitionSettings = SETTINGS) -> Deployment:
    return deploy(signals, prospect.attribute_group(settings), prospect.service(settings))


def actions(deployment: Deployment) -> list[str]:
    return [change.action for change in deployment.changes]


def test_the_first_deployment_creates_group_and_service(signals: SignalsSandbox) -> None:
    deployed = go(signals)

    assert actions(deployed) == ["create", "create"]
    assert signals.get_attribute_group(SETTINGS.group_name).is_published
    assert deployed.warnings == ()


def test_deploying_twice_changes_nothing(signals: SignalsSandbox) -> None:
    go(signals)

    assert actions(go(signals)) == ["unchanged", "unchanged"]


def _changed(group: StreamAttributeGroup) -> StreamAttributeGroup:
    longer = group.attributes[4].model_copy(update={"period": 8 * DAY})
    attributes: list[Attribute] = [*group.attributes[:4], longer, *group.attributes[5:]]  # type: ignore[list-item]
    return group.model_copy(update={"attributes": attributes})


def test_a_changed_definition_without_a_new_version_is_refused(signals: SignalsSandbox) -> None:
    go(signals)
    group = _changed(prospect.attribute_group(SETTINGS))

    with pytest.raises(
        DefinitionConflict, match=r"changed: num_page_views_l7d.*SIGNALS_GROUP_VERSION to 2"
    ):
        deploy(signals, group, prospect.service(SETTINGS))

    assert actions(go(signals)) == ["unchanged", "unchanged"]


def test_a_raised_version_is_published_beside_the_old_one(signals: SignalsSandbox) -> None:
    go(signals)

    deployed = go(signals, DefinitionSettings.load(backfill_since=SINCE, group_version=2))

    assert actions(deployed) == ["create", "update"]
    assert signals.get_attribute_group(SETTINGS.group_name, 1).is_published
    [link] = signals.registry.get_service(SETTINGS.service_name).attribute_groups
    assert link.version == 2


def test_a_new_owner_is_no_new_definition(signals: SignalsSandbox) -> None:
    go(signals)

    moved = DefinitionSettings.load(backfill_since=SINCE, owner="new@example.com")

    assert actions(go(signals, moved)) == ["update", "update"]
    assert actions(go(signals, moved)) == ["unchanged", "unchanged"]


def test_what_was_unpublished_is_published_again(signals: SignalsSandbox) -> None:
    go(signals)
    signals.unpublish([prospect.attribute_group(SETTINGS)])

    assert actions(go(signals)) == ["publish", "unchanged"]


def test_the_backfill_date_stays_put(signals: SignalsSandbox) -> None:
    go(signals)

    later = go(signals, DefinitionSettings.load(backfill_since=SINCE + DAY))

    assert later.backfill_since == SINCE
    assert not later.changed
    assert "2026-01-01, and that stays" in later.warnings[0]
    assert signals.get_attribute_group(SETTINGS.group_name).backfill_since_tstamp == SINCE


def test_publishing_without_a_backfill_date_warns(signals: SignalsSandbox) -> None:
    [warning] = go(signals, DefinitionSettings.load()).warnings

    assert "starts counting now" in warning
    assert "SIGNALS_BACKFILL_SINCE" in warning


def test_signals_that_does_not_answer_is_one_clear_error() -> None:
    nobody = SignalsSandbox(api_url="http://127.0.0.1:9", sandbox_token="x")

    with pytest.raises(SignalsUnavailable, match="does not answer"):
        go(nobody)


def test_refused_credentials_are_one_clear_error(signals: SignalsSandbox) -> None:
    stranger = SignalsSandbox(api_url=signals.api_client.api_url, sandbox_token="x")

    with pytest.raises(SignalsError, match="refused the credentials"):
        go(stranger)


@pytest.mark.parametrize(
    ("status", "kind"), [(429, SignalsUnavailable), (503, SignalsUnavailable), (422, SignalsError)]
)
def test_a_busy_signals_is_told_apart_from_one_that_refuses(
    status: int, kind: type[SignalsError]
) -> None:
    app = FastAPI()

    @app.get("/{path:path}")
    async def answer(path: str) -> Response:
        return Response('{"detail": "not now"}', status, media_type="application/json")

    with serving(app) as url, pytest.raises(SignalsError, match=f"^Signals answered {status}") as e:
        go(SignalsSandbox(api_url=url, sandbox_token="x"))

    assert e.type is kind
