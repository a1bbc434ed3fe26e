"""The scoring service, where one runs: alive, ready, up to date, and open to the right pages."""

from __future__ import annotations

from collections.abc import Sequence

from prospect_pipeline.doctor import origins
from prospect_pipeline.doctor.registry import VERSION
from prospect_pipeline.doctor.report import Answer, Check, ok, unused, warning, wrong
from prospect_pipeline.doctor.signals import NOBODY
from prospect_pipeline.doctor.system import System
from prospect_pipeline.doctor.web import Reply, reach
from prospect_pipeline.settings import AutomationSettings, ServingSettings

AREA = "service"
LIVE, READY = f"{AREA} live", f"{AREA} ready"
START = (
    "start it: bentoml serve . --host 127.0.0.1 --port 8080, and set "
    "PREDICT_URL=http://127.0.0.1:8080 (or the whole system: prospect run)"
)
LOG = "see its log"
ANEW = "start the service anew with this PREDICT_CORS_ORIGINS"
RUN_ANEW = "start `prospect run` anew: it lets its demo website in"
ANYBODY = "https://prospect-doctor.invalid"
"""A page of nobody's: the domain cannot exist (RFC 2606)."""


def checks(system: System) -> list[Check]:
    """Return the checks of the scoring service."""
    seen = _Service(system)
    return [
        Check(AREA, "origins", seen.origins, ""),
        Check(AREA, "live", seen.live, seen.start),
        Check(AREA, "ready", seen.ready, LOG, after=(LIVE,)),
        Check(AREA, "version", seen.version, LOG, after=(READY, VERSION)),
        Check(AREA, "pages", seen.pages, LOG, after=(LIVE,)),
    ]


class _Service:
    """The running service, as a website would find it."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.serving = system[ServingSettings]
        self.website = system.running.website
        named = system[AutomationSettings].predict_url
        self.where = "check PREDICT_URL" if named else START
        self.start = "start the service there, or check PREDICT_URL" if named else START

    def origins(self) -> Sequence[Answer]:
        """What PREDICT_CORS_ORIGINS names, whether or not a service runs; and who else may ask."""
        named, demo = self.serving.cors_origins, ""
        if self.website:
            demo = f"; `prospect run` lets its demo website in, {self.website}"
        if not named:
            words = "PREDICT_CORS_ORIGINS names none in this shell"
            words += demo or ": no page of another origin may ask"
            return [unused(words, "set it to your website's, such as https://www.example.com")]
        found = [answer for origin in named if (answer := _never_sent(origin))]
        return found or [ok(f"{', '.join(named)} may ask, by this shell's setting{demo}")]

    def live(self) -> Answer:
        address = self.system.service
        if address is None:
            return unused("no scoring service runs here, and PREDICT_URL names none", START)
        reply = reach(f"{address}/livez")
        if not reply.ok:
            return wrong(f"{address}/livez answers {reply.status}: is it the service?", self.where)
        return ok(f"it answers at {address}")

    def ready(self) -> Answer:
        reply = reach(f"{self.system.service}/readyz")
        if reply.ok:
            return ok("it is ready")
        words = f"it is not ready ({reply.status}): it has no model, or is ending"
        return wrong(words, "see its log, and the lines on the registry and Signals above")

    def version(self) -> Answer:
        """It scores by the champion; nothing follows from what it is asked here."""
        reply = self._scored()
        model = reply.body.get("model") if isinstance(reply.body, dict) else None
        if reply.status == 401:
            return wrong("it does not take the key", "set PREDICT_API_KEY as the service has it")
        if not reply.ok or not isinstance(model, dict):
            return wrong(f"it gives no score: {reply.status} {_said(reply)}".rstrip(), LOG)
        used, champion = str(model.get("version")), self.system.champion
        assert champion is not None
        if used != champion.version:
            poll = self.serving.poll_seconds
            return wrong(
                f"it serves version {used}, and not {champion.version}",
                f"it looks for another every {poll:g} s (MODEL_POLL_SECONDS), so ask again; if "
                "that stays, see its log, and whether it was started with another MODEL_VERSION",
            )
        return ok(f"it serves version {used}, as it should")

    def pages(self) -> Sequence[Answer]:
        """Each origin that is named is let in, the demo website too, and another is not."""
        allowed = self.serving.cors_origins
        named = [each for each in allowed if each != "*" and not origins.problem(each)]
        if self.website and self.website not in named:
            named.append(self.website)
        found = [
            wrong(f"{origin} is refused", ANEW if origin in allowed else RUN_ANEW)
            for origin in named
            if not self._lets_in(origin)
        ]
        if "*" not in allowed and self._lets_in(ANYBODY):
            words = "a page of any origin is let in"
            found.append(wrong(words, "set PREDICT_CORS_ORIGINS to your own, and start it anew"))
        return found or [ok(f"{', '.join(named) or 'nobody'} let in, other origins refused")]

    def _scored(self) -> Reply:
        body = {"domain_userid": NOBODY, "dry_run": True}
        key = self.serving.first_key
        known = {"X-API-Key": key} if key else {}
        return reach(f"{self.system.service}/predict", "POST", json=body, headers=known)

    def _lets_in(self, origin: str) -> bool:
        asked = {
            "Origin": origin,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "content-type",
        }
        reply = reach(f"{self.system.service}/predict", "OPTIONS", headers=asked)
        return reply.ok and reply.headers.get("access-control-allow-origin") in (origin, "*")


def _never_sent(origin: str) -> Answer | None:
    if origin == "*":
        words = "PREDICT_CORS_ORIGINS is *: every page may ask, and see what is answered"
        return warning(words, "name your website's origins")
    if problem := origins.problem(origin):
        words = f"PREDICT_CORS_ORIGINS names {origin}, which no browser sends: {problem}"
        return wrong(words, f"write {origins.as_sent(origin)}")
    return None


def _said(reply: Reply) -> str:
    error = reply.body.get("error") if isinstance(reply.body, dict) else None
    return str(error.get("message", "")) if isinstance(error, dict) else ""
