"""The committed bundle: what is in it is pinned, licensed, and what its sources give."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from prospect_pipeline.sandbox import website

WEBSITE = Path(website.__file__).parent
ASSETS, SOURCE = WEBSITE / "assets", WEBSITE / "source"
BUNDLE = ("site.js", "site.js.licences.txt")
PACKAGES = json.loads((SOURCE / "package.json").read_text())


def test_every_package_is_pinned_and_its_licence_is_here() -> None:
    licences = (ASSETS / "site.js.licences.txt").read_text()
    pinned = {**PACKAGES["dependencies"], **PACKAGES["devDependencies"]}

    assert [version for version in pinned.values() if not version[0].isdigit()] == []
    for name, version in PACKAGES["dependencies"].items():
        assert f"\n{name} {version} (" in licences


def test_the_lock_names_no_registry_and_checks_every_package() -> None:
    lock = json.loads((SOURCE / "package-lock.json").read_text())
    packages = {name: package for name, package in lock["packages"].items() if name}

    assert [name for name, package in packages.items() if "resolved" in package] == []
    assert [name for name, package in packages.items() if "integrity" not in package] == []


def test_the_bundle_is_what_its_sources_give(tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None or not (SOURCE / "node_modules").exists():
        pytest.skip(f"the bundle's packages are missing; npm ci --prefix {SOURCE}")

    subprocess.run([node, "build.js", str(tmp_path)], cwd=SOURCE, check=True, timeout=60)

    for name in BUNDLE:
        assert (tmp_path / name).read_bytes() == (ASSETS / name).read_bytes(), name
