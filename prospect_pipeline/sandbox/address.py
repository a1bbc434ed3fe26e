"""Where a local Signals runs: ``sandbox.json`` in its data directory, as long as it does."""

from __future__ import annotations

import contextlib
import json
import os

import psutil

from prospect_pipeline.errors import StackError
from prospect_pipeline.settings import DataSettings
from prospect_pipeline.signals.connection import ADDRESS_FILE
from prospect_pipeline.writing import whole_file


def refuse_second(data: DataSettings) -> None:
    """Raise StackError where a local Signals of the data directory runs already."""
    with contextlib.suppress(OSError, ValueError, KeyError, psutil.NoSuchProcess):
        other = json.loads((data.root / ADDRESS_FILE).read_text())
        if "prospect" in " ".join(psutil.Process(other["pid"]).cmdline()):
            raise StackError(
                f"A local Signals already runs for {data.root}, at {other['url']} "
                f"(process {other['pid']}). Use it, end it, or give another --data-dir."
            )


def announce(data: DataSettings, url: str, token: str, website: str | None) -> None:
    """Write this process's address in one step, for this user alone: it holds the token."""
    address = {"url": url, "token": token, "pid": os.getpid()}
    if website is not None:
        address["website"] = website
    with whole_file(data.root / ADDRESS_FILE, private=True) as unfinished:
        unfinished.write_text(json.dumps(address))


def withdraw(data: DataSettings) -> None:
    """Say that it no longer runs."""
    (data.root / ADDRESS_FILE).unlink(missing_ok=True)
