"""Objects of the Signals SDK that the user names as ``FILE.py:NAME`` or ``MODULE:NAME``."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from typing import Any, TypeVar

from prospect_pipeline.errors import InputError

Kind = TypeVar("Kind")


def load_named(place: str, kind: type[Kind]) -> Kind:
    """Return the object that is named; raises InputError where it is missing or of another kind."""
    where, _, name = place.rpartition(":")
    if not where:
        raise InputError(f"'{place}' is not FILE.py:NAME or MODULE:NAME.")
    try:
        module = (
            _from_file(Path(where)) if where.endswith(".py") else importlib.import_module(where)
        )
    except Exception as error:
        raise InputError(f"'{where}' cannot be loaded: {type(error).__name__}: {error}.") from None
    found = getattr(module, name, None)
    if isinstance(found, kind):
        return found
    there = sorted(n for n, value in vars(module).items() if isinstance(value, kind))
    raise InputError(
        f"'{name}' in '{where}' is {type(found).__name__ if found is not None else 'missing'}; "
        f"expected the SDK's {kind.__name__}. It has {', '.join(there) or 'none'}."
    )


def _from_file(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise FileNotFoundError(path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
