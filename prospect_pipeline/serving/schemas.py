"""What goes into the service and what comes out; also the source of its OpenAPI page.

Where a field of an answer is None here, it is left out.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, Field, StringConstraints

from prospect_pipeline.settings import MOST_VISITORS

VISITOR = "8e554b10-4fcf-49e9-a0d8-48b6b8e1d3a7"
OTHER_VISITOR = "8bdacd09-1aa4-4f02-af4e-931b32afadb6"

DomainUserid = Annotated[
    str,
    StringConstraints(
        strict=True,
        min_length=1,
        max_length=128,
        pattern=r"^[^\x00-\x1f\x7f]*[^\x00-\x20\x7f][^\x00-\x1f\x7f]*$",
    ),
    Field(description="The visitor's domain_userid.", examples=[VISITOR]),
]
DomainUserids = Annotated[
    list[DomainUserid],
    Field(
        strict=True,
        min_length=1,
        max_length=MOST_VISITORS,  # of a megabyte each item could be a problem, put into words
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
        description="True where Signals gave nothing that can be scored and the attributes are "
        "those of a moment ago (PREDICT_STALE_SECONDS); left out otherwise.",
    )
    signals: dict[str, Any] | None = Field(
        None, description="Raw attribute values; left out where PREDICT_DETAIL is 'score'."
    )
    scoring_attributes: dict[str, str | int] | None = Field(
        None, description="The model's columns; left out where PREDICT_DETAIL is 'score'."
    )


class Prediction(Score):
    """The answer of `POST /predict`."""

    model: Model
    base: float | None = Field(
        None,
        description="The log-odds to which the contributions are added: the sum is the score's. "
        "With `explain` alone.",
    )
    reasons: list[Reason] | None = Field(None, description="Largest first; with `explain` alone.")
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
