"""Generate events into a file, and the true probabilities into another beside it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from prospect_pipeline.errors import InputError
from prospect_pipeline.sandbox.generator.sessions import EVENTS, draw_events
from prospect_pipeline.sandbox.generator.tables import to_tables
from prospect_pipeline.sandbox.generator.visitors import draw_visitors
from prospect_pipeline.writing import whole_file

ROW_GROUP = 20_000


@dataclass(frozen=True)
class GeneratedEvents:
    """What was generated, and where it is."""

    events: int
    visitors: int
    conversions: int
    path: Path
    truth_path: Path


def generate(
    users: int,
    seed: int,
    end: datetime,
    out: Path,
    progress: Callable[[str], None] | None = None,
) -> GeneratedEvents:
    """Generate the events of ``users`` visitors of the 60 days before ``end``.

    Writes ``out`` and, beside it, ``<stem>.truth.parquet``: ``event_id``, ``domain_userid``,
    ``derived_tstamp`` and ``p_true``, the true probability that this visitor sends a form strictly
    after the event and within the next hour. Both are written whole or not at all.

    Raises InputError where the arguments make no sense or the files cannot be written.
    """
    if users < 1:
        raise InputError(f"{users} users is too few; generate at least one.")
    if out.suffix != ".parquet":
        raise InputError(f"{out} is to be Parquet; name it *.parquet.")
    truth_path = out.with_name(f"{out.stem}.truth.parquet")
    say = progress or (lambda _message: None)
    rng = np.random.default_rng([seed, users])
    until = int(end.timestamp() * 1000)
    say(f"Drawing {users:,} visitors ...")
    visitors = draw_visitors(users, until, rng)
    drawn = draw_events(visitors, rng)
    kept = drawn["at"].astype(np.int64) <= until
    drawn = {name: column[kept] for name, column in drawn.items()}
    say(f"Writing {len(drawn['at']):,} events ...")
    tables = to_tables(drawn, visitors, rng)
    _write({out: tables.events, truth_path: tables.truth})
    return GeneratedEvents(
        events=tables.events.num_rows,
        visitors=len(np.unique(drawn["row"])),
        conversions=int((drawn["event"] == EVENTS.index("submit_form")).sum()),
        path=out,
        truth_path=truth_path,
    )


def _write(tables: dict[Path, pa.Table]) -> None:
    try:
        with contextlib.ExitStack() as stack:
            for path, table in tables.items():
                unfinished = stack.enter_context(whole_file(path))
                pq.write_table(table, unfinished, compression="zstd", row_group_size=ROW_GROUP)
    except OSError as error:
        raise InputError(
            f"{next(iter(tables))} cannot be written ({error.strerror or error}). Choose a file "
            "in a folder that can be written to."
        ) from None
