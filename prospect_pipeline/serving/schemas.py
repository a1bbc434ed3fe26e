"""What goes into the service and what comes out; also the source of its OpenAPI page."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

VISITOR = "8e554b10-4fcf-49e9-a0d8-48b6b8e1d3a7"
OTHER_VISITOR = "8bdacd09-1aa4-4f02-af4e-931b32afadb6"

DomainUserid = Annotated[
    str,
    StringConstraints(strict=True, min_length=1, max_length=128, pattern=r"^[^\x00-\x1f\x7f]+$"),
    Field(description="The visitor's domain_userid.", examples=[VISITOR]),
]
DomainUserids = Annotated[
    list[DomainUserid],
    Field(
        strict=True,
        min_length=1,
        description="The visitors' domain_userids, as many as PREDICT_BATCH_LIMIT allows.",
        examples=[[VISITOR, OTHER_VISITOR]],
    ),
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


class PredictRequest(BaseModel):
    """The body of `POST /predict`; other fields are ignored."""

    domain_userid: DomainUserid
    explain: Explain = False
    dry_run: DryRun = False


class PredictBatchRequest(BaseModel):
    """The body of `POST /predict_batch`; other fields are ignored."""

    domain_userids: DomainUserids


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


class Score(BaseModel):
    """A visitor's score, and what it was made of."""

    domain_userid: str
    score: float = Field(
        description="Probability of the goal that the model has learnt.", gt=0, lt=1
    )
    decision: Decision
    stale: bool | None = Field(
        None,
        description="True where Signals did not answer and the attributes are those of a moment "
        "ago (PREDICT_STALE_SECONDS); left out otherwise.",
    )
    signals: dict[str, Any] | None = Field(None, description="Raw attribute values.")
    scoring_attributes: dict[str, str | int] | None = Field(
        None, description="The model's columns."
    )


class Prediction(Score):
    """The answer of `POST /predict`."""

    model_config = ConfigDict(
        protected_namespaces=(),
        json_schema_extra={
            "example": {
                "domain_userid": VISITOR,
                "score": 0.1428,
                "decision": {"prospect": False, "threshold": 0.2734},
                "model": {"name": "prospect_scoring", "version": "1"},
                "signals": {"num_page_views_l7d": 3, "num_pricing_views_l7d": None},
                "scoring_attributes": {"num_page_views_l7d": 3, "num_pricing_views_l7d": 0},
            }
        },
    )

    model: Model
    reasons: list[Reason] | None = Field(None, description="Largest first.")
    moment: datetime | None = Field(
        None, description="As of when the visitor was scored; with `dry_run` alone."
    )


class Predictions(BaseModel):
    """The answer of `POST /predict_batch`: the visitors in the order in which they were named."""

    predictions: list[Score]
    model: Model


class ErrorWords(BaseModel):
    """What went wrong: a code for programs, and words for people."""

    code: str = Field(examples=["bad_request"])
    message: str = Field(examples=["domain_userid: Field required"])


class Error(BaseModel):
    """The one shape of every error."""

    error: ErrorWords
