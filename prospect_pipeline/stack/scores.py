"""Scores over HTTP, as a website would ask for them."""

from __future__ import annotations

import json
from typing import Any

import requests

from prospect_pipeline.errors import StackError
from prospect_pipeline.redaction import shown_address
from prospect_pipeline.settings import AutomationSettings, DataSettings, ServingSettings
from prospect_pipeline.stack.processes import answers


class RunningService:
    """The scoring service: PREDICT_URL, else the one of the running system."""

    def address(self) -> str | None:
        """Return where it is, None where no system runs on this machine and none is named."""
        named = AutomationSettings.load().predict_url
        if named:
            return named
        try:
            here = service_url(DataSettings.load())
        except StackError:
            return None
        return here if answers(f"{here}/readyz") else None  # a killed system leaves its address

    def score(self, address: str, domain_userid: str) -> dict[str, Any]:
        """Return its answer for a visitor; raises StackError where it gives none.

        Nothing follows from the score, and the answer says as of which moment it is.
        """
        return fetch_score(address, domain_userid, dry_run=True)


def service_url(data: DataSettings) -> str:
    """Return the address of the running service; raises StackError where none runs."""
    path = data.run_file
    try:
        return str(json.loads(path.read_text())["predict"])
    except (OSError, ValueError, KeyError):
        raise StackError(
            f"No running system is known: {path} does not exist. Start one with `prospect run`, "
            "or name the service with --url."
        ) from None


def fetch_score(
    url: str, domain_userid: str, *, explain: bool = False, dry_run: bool = False
) -> dict[str, Any]:
    """Ask the service for one visitor's score; raises StackError where it gives none.

    Where the service wants a key, it is the one that is set here too (PREDICT_API_KEY).
    """
    body: dict[str, Any] = {"domain_userid": domain_userid, "explain": explain}
    if dry_run:
        body["dry_run"] = True
    shown = shown_address(url)
    key = ServingSettings.load().first_key
    headers = {"Authorization": f"Bearer {key}"} if key else None
    try:
        reply = requests.post(f"{url.rstrip('/')}/predict", json=body, headers=headers, timeout=10)
    except requests.RequestException as error:
        raise StackError(
            f"{shown} does not answer ({type(error).__name__}). Is the service running? "
            "`prospect run` starts it."
        ) from None
    answer = _json_object(reply)
    match answer:
        case {"score": float(), "model": {"version": str()}} if reply.ok:
            return answer
        case {"error": {"code": str(code), "message": str(message)}} if not reply.ok:
            raise StackError(f"{shown} answered {reply.status_code} {code}: {message}")
    status = reply.status_code
    if status in (502, 503, 504):  # a proxy's own words; the service's were told above
        raise StackError(
            f"{shown} answers {status}, and not as the scoring service does. Is that running, and "
            "is what stands in front of it able to reach it?"
        )
    raise StackError(
        f"{shown} answers {status}, but is no scoring service. Check the address "
        "(--url, PREDICT_URL); `prospect run` starts one."
    )


def _json_object(reply: requests.Response) -> dict[str, Any]:
    """Return the object that was answered as JSON, an empty one where it is none."""
    try:
        body = reply.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
