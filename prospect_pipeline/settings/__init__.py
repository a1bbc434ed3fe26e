"""Typed settings from the environment and ``.env``; nothing is read at import.

One class per concern, each read with ``.load()``, which turns whatever is wrong into one
``SettingsError`` that names the variable and never shows a secret.
"""

from prospect_pipeline.settings.addresses import web_address
from prospect_pipeline.settings.automation import AutomationSettings
from prospect_pipeline.settings.base import _Settings as _Settings
from prospect_pipeline.settings.base import parse_moment
from prospect_pipeline.settings.data import DEMO_SEED, DEMO_USERS, Clock, DataSettings
from prospect_pipeline.settings.serving import MOST_VISITORS, RegistrySettings, ServingSettings
from prospect_pipeline.settings.signals import DefinitionSettings, SignalsSettings
from prospect_pipeline.settings.training import TrainingSettings
from prospect_pipeline.settings.warehouse import SnowflakeSettings

__all__ = [
    "DEMO_SEED",
    "DEMO_USERS",
    "MOST_VISITORS",
    "AutomationSettings",
    "Clock",
    "DataSettings",
    "DefinitionSettings",
    "RegistrySettings",
    "ServingSettings",
    "SignalsSettings",
    "SnowflakeSettings",
    "TrainingSettings",
    "parse_moment",
    "web_address",
]
