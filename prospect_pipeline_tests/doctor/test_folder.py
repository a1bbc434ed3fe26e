"""The data directory: there or not, to be written or not, with room or without."""

import os
import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from prospect_pipeline.doctor import folder
from prospect_pipeline_tests.doctor.looking import lines, look, one

Usage = namedtuple("Usage", "total used free")


def test_a_folder_that_is_there(tmp_path: Path) -> None:
    assert lines(look(tmp_path, folder.checks), "data dir folder") == [
        ("ok", f"{tmp_path} may be written")
    ]


def test_a_folder_that_is_not_there_would_be_made_and_is_not(tmp_path: Path) -> None:
    report = look(tmp_path / "a" / "b", folder.checks)

    assert lines(report, "data dir folder") == [("ok", f"{tmp_path}/a/b would be made")]
    assert not (tmp_path / "a").exists()


def test_a_file_in_its_place(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")

    found = one(look(tmp_path / "a" / "b", folder.checks), "data dir folder")

    assert (found.status, found.found) == ("wrong", f"{tmp_path}/a is no folder")
    assert "PROSPECT_DATA_DIR" in found.remedy


def test_a_folder_that_may_not_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)  # who runs tests as root may write all

    found = one(look(tmp_path, folder.checks), "data dir folder")

    assert (found.status, found.found) == ("wrong", f"{tmp_path} may not be written")


@pytest.mark.parametrize(
    ("free", "status"),
    [(80e9, "ok"), (5e9, "ok"), (4.9e9, "warning"), (0.5e9, "warning"), (0.4e9, "wrong")],
)
def test_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: float, status: str) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0, 0, free))

    found = one(look(tmp_path, folder.checks), "data dir space")

    assert (found.status, found.found) == (status, f"{free / 1e9:,.1f} GB are free")
