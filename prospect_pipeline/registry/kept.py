"""The model that was in use last, kept on the disk for a service that starts without MLflow."""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import asdict
from datetime import datetime
from typing import Any

import xgboost

from prospect_pipeline.registry.store import (
    LoadedModel,
    ModelVersion,
    Registry,
    assembled,
    carried,
)
from prospect_pipeline.settings import DataSettings
from prospect_pipeline.trees import as_json
from prospect_pipeline.writing import whole_file

logger = logging.getLogger("prospect.scorer")


class KeptModel:
    """One file for what is served: the alias of a model, its latest, or a version by number.

    The file is XGBoost's JSON and what a version carries, below a digest of both: a file that was
    cut or changed is not read, nor is one of another registry. Nothing here raises; what cannot be
    kept or read is logged.
    """

    def __init__(self, registry: Registry, data: DataSettings) -> None:
        settings = registry.settings
        meant = settings.version or settings.alias
        self.registry = registry.address
        self.path = data.root / "serving" / f"{settings.model_name}@{meant}.json"

    def keep(self, loaded: LoadedModel) -> None:
        """Keep a version in the place of the one before, whole or not at all."""
        content = json.dumps(
            {
                "registry": self.registry,
                "identity": asdict(loaded.identity),
                "registered": loaded.registered.isoformat() if loaded.registered else None,
                "carried": carried(loaded.model, loaded.group),
                "booster": as_json(loaded.model.booster),
            }
        )
        try:
            with whole_file(self.path) as unfinished:
                unfinished.write_text(f"{_digest(content)}\n{content}")
        except OSError as error:
            logger.warning(
                "The model in use cannot be kept at %s (%s): without MLflow the service could not "
                "start from it.",
                self.path,
                error.strerror or type(error).__name__,
            )

    def read(self) -> LoadedModel | None:
        """Return the version that was kept, None where there is none that can be used."""
        try:
            digest, _, content = self.path.read_text().partition("\n")
            if digest != _digest(content):
                raise ValueError("its digest is another")
            kept = json.loads(content)
            if kept["registry"] != self.registry:
                raise ValueError(f"it is of another registry, {kept['registry']}")
            return _rebuilt(kept)
        except FileNotFoundError:
            return None
        except (OSError, KeyError, TypeError, ValueError) as error:  # XGBoost's is a ValueError
            logger.warning("%s cannot be used (%s).", self.path, str(error).partition("\n")[0])
            return None


def _rebuilt(kept: dict[str, Any]) -> LoadedModel:
    booster = xgboost.Booster({"nthread": 1})
    booster.load_model(bytearray(kept["booster"].encode()))
    version = ModelVersion(**kept["identity"])
    registered = datetime.fromisoformat(kept["registered"]) if kept["registered"] else None
    return assembled(version, booster, kept["carried"], registered)


def _digest(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()
