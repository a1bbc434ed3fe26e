"""What goes into ``/predict`` and what comes out; also the source of its OpenAPI page."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

DomainUserid = Annotated[
    str,
    StringConstraints(strict=True, min_length=1, max_length=128, pattern=r"^[^\x00-\x1f\x7f]+$"),
    Field(description="The visitor's domain_userid.", examples=["8e554b10-4fcf-49e9-a0d8-48b6"]),
]
Explain = Annotated[
    bool, Field(strict=True, description="Whether to say what drove the score, as `reasons`.")
]
DryRun = Annotated[
    bool,
    Field(
        strict=True,
        description="Whether the score is to have no consequences: no intervention follows from "
        "it. The answer then says its `moment`.",
    ),
]


class Model(BaseModel):
    """The registered version that gave a score."""

    name: str
    version: str


class Reason(BaseModel):
    """One column's signed contribution to the score, in log-odds."""

    feature: str
    value: str | int | None = Field(None, description="Left out where PREDICT_DETAIL is 'score'.")
    contribution: float


class Decision(BaseModel):
    """Whether to act: the threshold was chosen with the model (PROSPECT_THRESHOLD)."""

    prospect: bool = Field(description="Whether the score is at the threshold or above.")
    threshold: float


class Prediction(BaseModel):
    """A visitor's score."""

    model_config = ConfigDict(protected_namespaces=())

    domain_userid: str
    score: float = Field(
        description="Probability of the goal that the model has learnt.", gt=0, lt=1
    )
    decision: Decision
    signals: dict[str, Any] | None = Field(None, description="Raw attribute values.")
    scoring_attributes: dict[str, str | int] | None = Field(
        None, description="The model's columns."
    )
    model: Model
    reasons: list[Reason] | None = Field(None, description="Largest first.")
    moment: datetime | None = Field(
        None, description="As of when the visitor was scored; with `dry_run` alone."
    )
