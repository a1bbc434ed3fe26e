"""The data directory: whether it can be written, and how much room there is."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from prospect_pipeline.doctor.report import Answer, Check, ok, warning, wrong
from prospect_pipeline.doctor.system import System
from prospect_pipeline.settings import DataSettings

AREA = "data dir"
GIGABYTE = 1e9
LITTLE, LEAST = 5.0, 0.5
"""Free gigabytes: a training spills to disk, and the demo with its models takes about one."""

REMEDY = "set PROSPECT_DATA_DIR (or give --data-dir) to a folder that you may write"


def checks(system: System) -> list[Check]:
    """Return the checks of the data directory."""
    root = system[DataSettings].root
    return [
        Check(AREA, "folder", lambda: _folder(root), REMEDY),
        Check(AREA, "space", lambda: _space(root), "make room", after=(f"{AREA} folder",)),
    ]


def _folder(root: Path) -> Answer:
    there = _nearest(root)
    if not there.is_dir():
        return wrong(f"{there} is no folder", REMEDY)
    if not os.access(there, os.W_OK | os.X_OK):
        return wrong(f"{there} may not be written", REMEDY)
    return ok(f"{root} may be written" if there == root else f"{root} would be made")


def _space(root: Path) -> Answer:
    free = shutil.disk_usage(_nearest(root)).free / GIGABYTE
    found, remedy = f"{free:,.1f} GB are free", "make room, or set PROSPECT_DATA_DIR elsewhere"
    if free < LEAST:
        return wrong(found, remedy)
    return warning(found, remedy) if free < LITTLE else ok(found)


def _nearest(path: Path) -> Path:
    """Return a path, or where it is not there the part of it that is."""
    return next(each for each in (path, *path.parents) if each.exists())
