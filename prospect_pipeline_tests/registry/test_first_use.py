"""A registry that is used for the first time, by several at once or without its driver."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from prospect_pipeline.errors import RegistryError
from prospect_pipeline.registry.store import Registry
from prospect_pipeline.settings import DataSettings, RegistrySettings

FIRST_USE = """
import sys
from prospect_pipeline.errors import NoModel
from prospect_pipeline.registry.store import Registry
from prospect_pipeline.settings import DataSettings, RegistrySettings
try:
    Registry(RegistrySettings.load(), DataSettings.load(data_dir=sys.argv[1])).resolve()
except NoModel:
    print("no model")
"""


def test_processes_that_start_at_once_share_a_new_registry(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "ignore", "-c", FIRST_USE, str(tmp_path)]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    started = [subprocess.Popen(command, **pipes) for _ in range(3)]

    outcomes = [process.communicate(timeout=60) for process in started]

    assert [out for out, _ in outcomes] == ["no model\n"] * 3, outcomes


def test_a_database_without_its_driver_is_an_error_of_the_registry(tmp_path: Path) -> None:
    uri = "mysql+nothing://ann:s3cret@127.0.0.1:1/db?password=s3cret"
    settings = RegistrySettings.load(tracking_uri=uri)
    registry = Registry(settings, DataSettings.load(data_dir=tmp_path))

    with pytest.raises(RegistryError) as caught:
        registry.resolve()

    assert "s3cret" not in str(caught.value)


def test_the_address_keeps_the_path_behind_which_a_server_stands(tmp_path: Path) -> None:
    settings = RegistrySettings.load(tracking_uri="https://ann:s3cret@mlflow.example/team/")

    registry = Registry(settings, DataSettings.load(data_dir=tmp_path))

    assert registry.address == "https://mlflow.example/team"
