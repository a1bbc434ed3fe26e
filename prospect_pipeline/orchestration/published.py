"""The gate that asks Signals whether it has the attributes that a challenger was trained on."""

from __future__ import annotations

from prospect_pipeline.attributes.version import GroupVersion
from prospect_pipeline.errors import SignalsError, SignalsUnavailable
from prospect_pipeline.orchestration.resources import SignalsResource
from prospect_pipeline.settings import SignalsSettings
from prospect_pipeline.signals.deployment import is_published
from prospect_pipeline.training.promotion import Gate

NAME = "published"


def published(signals: SignalsResource, group: GroupVersion | None, *, first: bool) -> Gate:
    """Return whether Signals has the version of a group published that a model was trained on.

    Without a local Signals nothing is served here, so that there is nothing to look up; the service
    looks it up itself before it takes a model. Raises SignalsUnavailable where a Signals that is
    configured does not answer: a challenger that cannot be confirmed has to wait. The ``first``
    champion takes nobody's place, and need not.
    """
    if group is None:
        words = "the new version names none of its attributes, and is given the Signals service's"
        return Gate(NAME, True, words)
    try:
        there = is_published(signals.connect().sdk(), group)
    except SignalsUnavailable as error:
        if not first and SignalsSettings.load().target != "local":
            raise
        return Gate(NAME, True, f"whether Signals has published {group} is not known ({error})")
    except SignalsError as error:
        return Gate(NAME, False, f"Signals does not say whether it has published {group} ({error})")
    if there:
        return Gate(NAME, True, f"Signals has published {group}")
    return Gate(
        NAME,
        False,
        f"Signals has not published {group}, which the new version was trained on (publish it by "
        "the job deploy_configuration, then take the version by `prospect promote VERSION`)",
    )
