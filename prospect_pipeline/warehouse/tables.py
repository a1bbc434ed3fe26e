"""Writing a training set to a file, whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv

from prospect_pipeline.errors import InputError
from prospect_pipeline.writing import whole_file


class TableWriter(Protocol):
    """Takes a table part by part."""

    def write_table(self, table: pa.Table) -> None:
        """Write the next rows; the columns stay the same."""


class _Writer:
    """Opens the file with the first part, which says what the columns are."""

    def __init__(self, path: Path, suffix: str) -> None:
        self.path = path
        self.suffix = suffix
        self.opened: Any = None

    def write_table(self, table: pa.Table) -> None:
        if self.opened is None:
            self.opened = self._open(table.schema)
        self.opened.write_table(table)

    def _open(self, schema: pa.Schema) -> Any:
        if self.suffix == ".parquet":
            repeated = [name for name in schema.names if name not in ("event_id", "anchor_ts")]
            return pq.ParquetWriter(self.path, schema, compression="zstd", use_dictionary=repeated)
        nested = [field.name for field in schema if pa.types.is_nested(field.type)]
        if nested:
            raise InputError(
                f"CSV cannot hold lists ({', '.join(nested)}); write raw attribute values to "
                ".parquet."
            )
        return csv.CSVWriter(self.path, schema)

    def close(self) -> None:
        if self.opened is not None:
            self.opened.close()


@contextmanager
def table_writer(out: Path) -> Iterator[TableWriter]:
    """Write Parquet, or CSV by the file's name, part by part; raises InputError."""
    suffix = out.suffix.lower()
    if suffix not in (".parquet", ".csv"):
        raise InputError(f"{out} is neither .parquet nor .csv; name it by what it is to be.")
    try:
        with whole_file(out) as unfinished:
            writer = _Writer(unfinished, suffix)
            try:
                yield writer
            finally:
                writer.close()
    except OSError as error:
        raise InputError(f"{out} cannot be written ({error.strerror or error}).") from None
