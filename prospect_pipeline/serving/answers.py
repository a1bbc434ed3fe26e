"""What an answer says, of one visitor or of many."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from prospect_pipeline.registry.store import ModelVersion
from prospect_pipeline.serving.predictor import Scored

Answer = dict[str, Any]


def of_one(scored: Scored, *, full: bool, explain: bool, dry_run: bool) -> Answer:
    """Return the answer about a visitor; attributes are told where it is to be ``full``."""
    answer = _score(scored) | {"model": _version(scored.model.identity)} | _inputs(scored, full)
    if explain:
        answer["base"] = scored.model.model.base
        answer["reasons"] = [
            {"feature": name, "contribution": contribution}
            | ({"value": scored.columns[name]} if full else {})
            for name, contribution in scored.model.model.explain_one(scored.columns)
        ]
    if dry_run:
        answer["moment"] = scored.moment.isoformat()
    return answer


def of_many(scored: Sequence[Scored], *, full: bool) -> Answer:
    """Return the answer about visitors, one at least, who were all scored by one version."""
    return {
        "predictions": [_score(one) | _inputs(one, full) for one in scored],
        "model": _version(scored[0].model.identity),
    }


def _score(scored: Scored) -> Answer:
    threshold = scored.model.model.threshold
    return {
        "domain_userid": scored.visitor,
        "score": scored.score,
        "decision": {"prospect": scored.score >= threshold, "threshold": threshold},
    }


def _version(identity: ModelVersion) -> Answer:
    return {"name": identity.name, "version": identity.version}


def _inputs(scored: Scored, full: bool) -> Answer:
    found: Answer = {"stale": True} if scored.stale else {}
    if full:
        found |= {"signals": scored.attributes, "scoring_attributes": scored.columns}
    return found
