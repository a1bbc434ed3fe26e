"""What `bentoml build` packs is all that the service is made of, and all that it needs."""

import json
import re
import subprocess
import sys
from pathlib import Path

import bentoml
import pytest
import yaml
from pip_requirements_parser import RequirementsFile

from prospect_pipeline.stack import services
from prospect_pipeline.stack.processes import Processes, executable
from prospect_pipeline_tests.registry.models import register_champion, registry_in
from prospect_pipeline_tests.serving import bentos
from prospect_pipeline_tests.serving.bentos import LOCK, PACKAGE, ROOT, environment
from prospect_pipeline_tests.serving.services import OURS, SECRET

NOT_SERVED = "dagster duckdb matplotlib mlflow pandas pyarrow scikit-learn snowflake xgboost"

IMPORTED = """
import sys
import prospect_pipeline.serving.service
print(*(m.__file__ for n, m in sys.modules.items() if n.split(".")[0] == "prospect_pipeline"))
"""

SCORED = """
import importlib.util, json, re, sys
from datetime import datetime
from importlib.machinery import PathFinder
from importlib.metadata import packages_distributions

there, values = {"prospect-pipeline", *sys.argv[1].split()}, json.loads(sys.argv[2])
owners = {
    name: {re.sub(r"[-_.]+", "-", each).lower() for each in found}
    for name, found in packages_distributions().items()
}

class WhatIsPinned(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        owned = owners.get(name.split(".")[0], there)
        return super().find_spec(name, path, target) if owned & there else None

sys.meta_path[:] = [WhatIsPinned if each is PathFinder else each for each in sys.meta_path]

import prospect_pipeline.serving.service
from prospect_pipeline import features
from prospect_pipeline.registry.store import Registry
from prospect_pipeline.settings import DataSettings, RegistrySettings

registry = Registry(RegistrySettings.load(), DataSettings.load())
columns = features.vector(values, datetime.fromisoformat(sys.argv[3]))
print(*(name for name in ("pandas", "sklearn", "dagster") if importlib.util.find_spec(name)))
print(prospect_pipeline.serving.service.__file__)
print(repr(registry.load(registry.resolve()).model.score_one(columns)))
"""


def pinned(lock: Path) -> dict[str, set[tuple[str, str]]]:
    """Return each package's versions, each with the Python that it is for."""
    line = r"^([\w.-]+)==([^ \n]+)(?: ;.*?(python_full_version \S+ \S+))?"
    found = dict[str, set[tuple[str, str]]]()
    for name, version, python in re.findall(line, lock.read_text(), re.MULTILINE):
        found.setdefault(name, set()).add((version, python))
    return found


def included() -> set[Path]:
    """Return the files that the bentofile packs."""
    patterns = yaml.safe_load((ROOT / "bentofile.yaml").read_text())["include"]
    return {path for pattern in patterns for path in ROOT.glob(pattern)}


@pytest.fixture(scope="module")
def bento(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bentos.build(tmp_path_factory.mktemp("bento"))


def test_every_module_that_the_service_imports_is_packed() -> None:
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", IMPORTED],
        cwd=ROOT, check=True, capture_output=True, text=True, timeout=60,
    )  # fmt: skip

    imported = {Path(file) for file in ran.stdout.split()}
    assert PACKAGE / "serving" / "service.py" in imported
    assert sorted(imported - included()) == []


def test_what_serves_is_pinned_to_the_versions_that_are_tested() -> None:
    served, tested = pinned(LOCK), pinned(ROOT / "requirements.lock")

    assert "://" not in LOCK.read_text()
    assert served.pop("xgboost-cpu") == tested["xgboost"]
    assert {name: tested.get(name) for name in served} == served


def test_neither_dagster_nor_the_training_stack_nor_gpu_libraries_are_pinned_for_serving() -> None:
    served = set(pinned(LOCK))

    assert served & set(NOT_SERVED.split()) == set()
    assert [name for name in served if name.startswith(("dagster-", "snowflake-"))] == []
    # BentoML's own, in Python alone: it counts GPUs, and brings none of their libraries.
    assert [name for name in served if name.startswith(("cuda-", "nvidia-"))] == ["nvidia-ml-py"]


def test_a_bento_holds_what_is_included_and_no_secret(bento: Path) -> None:
    files = [path for path in bento.rglob("*") if path.is_file()]

    sources = {path.relative_to(bento / "src") for path in files if path.suffix == ".py"}
    assert sources == {path.relative_to(ROOT) for path in included()}
    assert [path for path in files if SECRET.encode() in path.read_bytes()] == []


def test_a_bento_is_installed_with_what_is_pinned(bento: Path) -> None:
    wanted = RequirementsFile.from_file(str(bento / "env" / "python" / "requirements.txt"))
    locked = RequirementsFile.from_file(str(LOCK))

    asked = [each.dumps() for each in wanted.requirements]
    assert asked == [each.dumps() for each in locked.requirements] + [
        f"bentoml=={bentoml.__version__}"
    ]


def test_a_container_of_it_is_nobodys_root(bento: Path) -> None:
    steps = (bento / "env" / "docker" / "Dockerfile").read_text()

    [base] = re.findall(r"^FROM (\S+)", steps, re.MULTILINE)
    [user] = re.findall(r"^USER (\S+)\n+ENTRYPOINT", steps, re.MULTILINE)
    assert base == "python:3.11-slim"
    assert user == "bentoml"
    assert "ARG BENTO_USER_UID=1034\n" in steps
    assert [line for line in steps.splitlines() if any(name in line for name in OURS)] == []


def test_the_service_scores_with_nothing_but_what_is_pinned(bento: Path, tmp_path: Path) -> None:
    register_champion(registry_in(tmp_path), bentos.MODEL)
    names = " ".join(pinned(LOCK)).replace("xgboost-cpu", "xgboost")  # here it is the whole one
    given = [names, json.dumps(bentos.ATTRIBUTES), bentos.SUNDAY]

    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SCORED, *given],
        cwd=bento / "src", check=False, capture_output=True, text=True, timeout=120,
        env=environment(PROSPECT_DATA_DIR=str(tmp_path)),
    )  # fmt: skip

    assert ran.returncode == 0, ran.stderr
    found, module, score = ran.stdout.splitlines()
    assert found == ""
    assert Path(module).is_relative_to(bento)
    assert float(score) == bentos.offline()


@pytest.fixture(scope="module")
def started(bento: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder in which a Bento was started, served and ended, and its log."""
    folder, logs = tmp_path_factory.mktemp("own"), tmp_path_factory.mktemp("logs")
    ports = services.Ports(0, 0, 0, 0, 0).settled()
    register_champion(registry_in(folder / "data", model_name="named"), bentos.MODEL)
    (folder / ".env").write_text("model_name=named\nmodel_alias=nobodys\n")
    where = ["--host", services.HOST, "--port", str(ports.predict)]
    serve = [executable("bentoml"), "serve", f"{bento.parent.name}:{bento.name}", *where]
    home = environment(BENTOML_HOME=str(bento.parents[2]), MODEL_ALIAS="champion", PWD="/")
    with Processes(logs, home) as processes:
        processes.start("scoring", ["env", f"--chdir={folder}", *serve])
        services.wait_for_scoring(processes, ports.predict)
    return folder, (logs / "scoring.log").read_text()


def test_a_bento_keeps_to_the_folder_and_the_settings_of_who_starts_it(
    bento: Path, started: tuple[Path, str]
) -> None:
    folder, log = started

    assert "Model named version 1 is in use" in log
    assert (folder / "data" / "serving").is_dir()
    assert not (bento / "src" / "data").exists()


def test_a_worker_logs_json_alone(started: tuple[Path, str]) -> None:
    lines = started[1].splitlines()

    [starter] = [line for line in lines if not line.startswith("{")]
    assert "Starting production HTTP BentoServer" in starter
    loggers = {json.loads(line)["logger"] for line in lines if line != starter}
    assert loggers >= {"bentoml.serve", "prospect.scorer"}


def test_bad_settings_end_a_service_before_it_starts_workers(tmp_path: Path) -> None:
    ran = subprocess.run(
        [executable("bentoml"), "serve", ".", "--port", "0"],
        cwd=ROOT, check=False, capture_output=True, text=True, timeout=60,
        env=environment(BENTOML_HOME=str(tmp_path), PREDICT_RATE_LIMIT="-3"),
    )  # fmt: skip

    assert ran.returncode == 1
    assert ran.stderr == ("Error: PREDICT_RATE_LIMIT: Input should be greater than or equal to 0\n")
