"""How facts are shown in Dagster's web pages: tables, code, pictures."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg
import pandas as pd

CELL = 60


def table(rows: Sequence[Mapping[str, Any]], cell: int = CELL) -> dg.MarkdownMetadataValue:
    """Return a Markdown table; every row has the same names, no cell more characters."""
    if not rows:
        return dg.MetadataValue.md("none")
    head = list(rows[0])
    body = [[_cell(row.get(name), cell) for name in head] for row in rows]
    lines = [[_cell(name, cell) for name in head], ["---"] * len(head), *body]
    return dg.MetadataValue.md("\n".join(f"| {' | '.join(line)} |" for line in lines))


def frame(shown: pd.DataFrame) -> dg.MarkdownMetadataValue:
    """Return a data frame as a Markdown table."""
    return table(shown.to_dict(orient="records"))  # type: ignore[arg-type]


def columns(shown: pd.DataFrame) -> dg.TableSchema:
    """Return a data frame's columns and types."""
    return dg.TableSchema(
        [dg.TableColumn(str(name), str(kind)) for name, kind in shown.dtypes.items()]
    )


def code(text: str, language: str) -> dg.MarkdownMetadataValue:
    """Return a block of code."""
    return dg.MetadataValue.md(f"```{language}\n{text}\n```")


def link(address: str) -> dg.MetadataValue[Any]:
    """Return an address as a link, a path as text."""
    made: dg.MetadataValue[Any] = (
        dg.MetadataValue.url(address) if "://" in address else dg.MetadataValue.text(address)
    )
    return made


def picture(png: bytes, title: str) -> dg.MarkdownMetadataValue:
    """Return an inline picture."""
    data = base64.b64encode(png).decode()
    return dg.MetadataValue.md(f"![{title}](data:image/png;base64,{data})")


def _cell(value: Any, most: int) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    text = "" if value is None else str(value)
    shown = text if len(text) <= most else f"{text[:most]}..."
    return shown.replace("|", "\\|").replace("\n", " ")
