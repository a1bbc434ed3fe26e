"""Snowplow's Node SDK and Node tracker against the local Signals."""

import json
import shutil
import subprocess
import uuid
from pathlib import Path

import pytest

from prospect_pipeline.attributes import prospect
from prospect_pipeline.settings import DataSettings, DefinitionSettings
from prospect_pipeline_tests.sandbox.conftest import TOKEN, signals_over

HERE = Path(__file__).parent / "node"
GROUP = prospect.attribute_group(DefinitionSettings.load())
SERVICE = prospect.service(DefinitionSettings.load())


def test_what_the_node_tracker_sends_the_node_sdk_reads(data: DataSettings) -> None:
    node = shutil.which("node")
    if node is None or not (HERE / "node_modules").exists():
        pytest.skip(
            f"Node or its packages are missing: apt-get install npm; npm ci --prefix {HERE}"
        )
    visitor, session = str(uuid.uuid4()), str(uuid.uuid4())
    with signals_over(data, "wall") as signals:
        signals.publish([GROUP, SERVICE])
        url = str(signals.api_client.api_url)
        done = subprocess.run(
            [node, "clients.mjs", url, TOKEN, visitor, session],
            cwd=HERE, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    assert done.returncode == 0, done.stderr
    read = json.loads(done.stdout.splitlines()[-1])
    assert read["failed"] == []
    assert read["attributes"]["num_pricing_views_l7d"] == 1
    assert read["attributes"]["num_sessions_l7d"] == [session]
    assert read["several"]["num_page_views_l7d"] == [1, None]
    assert read["group"]["num_page_views_l7d"] == 1
    assert "401" in read["refused"]


def test_the_lock_names_no_registry() -> None:
    lock = json.loads((HERE / "package-lock.json").read_text())

    assert [name for name, package in lock["packages"].items() if "resolved" in package] == []
