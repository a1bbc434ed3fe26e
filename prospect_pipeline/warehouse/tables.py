"""Writing a training set to a file, whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv

from prospect_pipeline.errors import InputError
from prospect_pipeline.writing import whole_file


def write_table(table: pa.Table, out: Path) -> None:
    """Write Parquet, or CSV by the file's name; raises InputError."""
    writers = {".parquet": _write_parquet, ".csv": _write_csv}
    writer = writers.get(out.suffix.lower())
    if writer is None:
        raise InputError(f"{out} is neither {' nor '.join(writers)}; name it by what it is to be.")
    try:
        with whole_file(out) as unfinished:
            writer(table, unfinished)
    except OSError as error:
        raise InputError(f"{out} cannot be written ({error.strerror or error}).") from None


def _write_parquet(table: pa.Table, path: Path) -> None:
    pq.write_table(table, path, compression="zstd")


def _write_csv(table: pa.Table, path: Path) -> None:
    if any(pa.types.is_list(kind) for kind in table.schema.types):
        raise InputError("CSV cannot hold lists; write the raw attribute values to .parquet.")
    csv.write_csv(table, path)
