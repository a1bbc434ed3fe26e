"""What a caller is told who gets no score: one shape, and nothing of the inside."""

from __future__ import annotations

import math
from dataclasses import dataclass

from starlette.responses import JSONResponse

from prospect_pipeline.errors import InputError, NoModel, ProspectError

MESSAGES = {
    400: ("bad_request", 'Expected a JSON object such as {"domain_userid": "..."}.'),
    401: ("unauthorized", "Send a key that is accepted here: Authorization: Bearer KEY."),
    404: ("not_found", "There is no such path; ask POST /predict."),
    405: ("method_not_allowed", "This path is asked by another method."),
    408: ("timeout", "The body did not arrive in time."),
    413: ("too_large", "The body is too large."),
    415: ("unsupported_media_type", "Send the body as application/json."),
    429: ("rate_limited", "Too many requests from this client; come again later."),
    500: ("internal", "Something went wrong here; it was logged."),
    503: ("not_ready", "The service is not ready: no model is loaded."),
    504: ("timeout", "The request took too long."),
}
"""What each status means here by default: a code for programs, and words for people."""

COME_AGAIN_SECONDS = 1.0


@dataclass(eq=False)
class Refusal(Exception):
    """A status of 400 and above, and what its body says; ``retry_after`` is in seconds."""

    status: int
    code: str
    message: str
    retry_after: float | None = None

    @classmethod
    def of(cls, status: int, message: str = "", retry_after: float | None = None) -> Refusal:
        """Return the one of a status, with its own words where there are none better."""
        code, words = MESSAGES.get(status, MESSAGES[500])
        if status == 503 and retry_after is None:
            retry_after = COME_AGAIN_SECONDS
        return cls(status, code, message or words, retry_after)

    @classmethod
    def too_large(cls, most_bytes: int) -> Refusal:
        """Return what is told of a body of more bytes than are allowed."""
        return cls.of(413, f"The body is too large: {most_bytes:,} bytes are allowed.")

    @property
    def body(self) -> dict[str, dict[str, str]]:
        """The body, as plain JSON types."""
        return {"error": {"code": self.code, "message": self.message}}

    @property
    def headers(self) -> dict[str, str]:
        """What is said beside it: when to come again, in whole seconds, and how to show a key."""
        found = {"www-authenticate": "Bearer"} if self.status == 401 else {}
        if self.retry_after is not None:
            found["retry-after"] = str(max(math.ceil(self.retry_after), 1))
        return found

    def response(self, headers: dict[str, str] | None = None) -> JSONResponse:
        """Return it as an answer of Starlette's."""
        return JSONResponse(self.body, self.status, {**(headers or {}), **self.headers})


def too_busy() -> Refusal:
    """Return what is told where as many requests as are allowed are being answered."""
    words = "Too many requests at once; try again soon."
    return Refusal(503, "too_busy", words, COME_AGAIN_SECONDS)


def refusal(
    problem: ProspectError, *, told: bool, retry_after: float = COME_AGAIN_SECONDS
) -> Refusal:
    """Return what a caller is told of a problem; of its words only where they are to be ``told``.

    They name what is published and where it is looked for: for people who run this, not for a page.
    """
    if isinstance(problem, NoModel):  # why is in the log; a caller is not told where it is
        return Refusal(503, "no_model", "No model is loaded yet.", retry_after)
    if isinstance(problem, InputError):
        code, words = "attributes_unusable", "This visitor's attributes cannot be scored."
    else:
        code, words = (
            "signals_unavailable",
            "The attributes cannot be read at the moment.",
        )
    return Refusal(503, code, str(problem) if told else words, retry_after)
