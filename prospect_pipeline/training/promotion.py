"""Whether a challenger becomes the champion: gates, each with its reason, and one decision.

Pure: it is told what was measured. The comparison is a test of non-inferiority (see, for instance,
Piaggio et al., Reporting of Noninferiority Trials, JAMA 2012): the challenger may be worse by at
most a margin, and the whole interval of the difference has to say so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from prospect_pipeline.training.bootstrap import Interval
from prospect_pipeline.training.slices import LEAST_CONVERTERS


@dataclass(frozen=True)
class Floors:
    """What a challenger must not fall below.

    ``margin`` is by how much its log loss may be worse, as a share of the champion's;
    ``calibration`` the most its expected calibration error may be, as a share of the positive
    rate, where chance alone does not explain more; ``converters`` how many visitors of the test
    part must convert.
    """

    margin: float = 0.02
    calibration: float = 0.25
    converters: int = 30


@dataclass(frozen=True)
class Measured:
    """What is known of a version that is to be judged.

    ``data_until`` is the moment of its last training row, ``twin`` an earlier version of the same
    data and definition and what became of it (empty where there is none), ``chance_error`` the
    calibration error that may be by chance, ``weak_slices`` those where it is surely worse than
    their own base rate, ``served_difference`` how far the scores of the serving runtime are from
    those of training at most, or why it does not load there, ``published`` the gate of its
    attributes in Signals, where that was asked.
    """

    version: str
    data_until: datetime
    twin: str
    converters: int
    calibration_error: float
    chance_error: float
    positive_rate: float
    weak_slices: Sequence[str]
    served_difference: float | str
    published: Gate | None = None

    @property
    def named(self) -> str:
        """How sentences call it: there are two of whom each may speak."""
        return f"version {self.version}"


@dataclass(frozen=True)
class Champion:
    """The version that is in use, and the challenger's log loss less its own, as a share of it.

    ``on`` says on which test visitors; without ``worse_by`` there is a ``problem`` instead.
    """

    version: str
    data_until: datetime | None
    worse_by: Interval | None
    on: str = ""
    problem: str = ""

    @property
    def named(self) -> str:
        """How sentences call it, as they do a challenger."""
        return f"version {self.version}"


@dataclass(frozen=True)
class Gate:
    """One condition: whether it is met, and in what words."""

    name: str
    passed: bool
    words: str


@dataclass(frozen=True)
class Decision:
    """Whether the alias moves, and why; failed gates of a first version are warnings."""

    promote: bool
    reason: str
    gates: tuple[Gate, ...]

    @property
    def told(self) -> str:
        """What came of it, in a sentence or two."""
        return f"{'Promoted' if self.promote else 'Refused'}. {self.reason}"

    def to_dict(self) -> dict[str, object]:
        """Return it as plain JSON types."""
        gates = [vars(gate) for gate in self.gates]
        return {"promoted": self.promote, "reason": self.reason, "gates": gates}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Decision:
        """Rebuild a decision; raises KeyError where ``stored`` is not one."""
        gates = tuple(Gate(**gate) for gate in stored["gates"])
        return cls(stored["promoted"], stored["reason"], gates)


SAME = 1e-6
"""How far apart the scores of training and serving may be."""


def decide(challenger: Measured, champion: Champion | None, floors: Floors) -> Decision:
    """Decide on a challenger; without a champion any version that can be served becomes it."""
    loads = _serves(challenger)
    own = _floors(challenger, floors) + ((challenger.published,) if challenger.published else ())
    if champion is None:
        gates = (loads, *own)
        if not loads.passed:
            return Decision(False, f"There is no champion yet, but {loads.words}.", gates)
        warned = "; ".join(gate.words for gate in own if not gate.passed)
        below = f" It is below what a later one must reach: {warned}." if warned else ""
        return Decision(True, f"It is the first version that can be served.{below}", gates)
    gates = (loads, *_against(challenger, champion, floors), *own)
    failed = [gate.words for gate in gates if not gate.passed]
    if failed:
        kept = f"Version {champion.version} stays champion: {'; '.join(failed)}."
        return Decision(False, kept + _ailing(champion), gates)
    compared = next(gate.words for gate in gates if gate.name == "not_worse")
    return Decision(True, f"It takes the place of version {champion.version}: {compared}.", gates)


def _ailing(champion: Champion) -> str:
    """Return what is wrong with a champion that stays all the same, and what helps."""
    if not champion.problem:
        return ""
    return (
        f" Nothing could be compared with it ({champion.problem}): `prospect rollback` and "
        "`prospect promote VERSION` choose another."
    )


def _serves(challenger: Measured) -> Gate:
    found, named = challenger.served_difference, challenger.named
    if isinstance(found, str):
        return Gate("serves", False, f"{named} does not load in the serving runtime ({found})")
    words = f"{named}'s scores in the serving runtime differ from training's by {found:.1g} at most"
    return Gate("serves", found <= SAME, words)


def _against(challenger: Measured, champion: Champion, floors: Floors) -> tuple[Gate, ...]:
    twin, named = challenger.twin, challenger.named
    known = champion.data_until
    newer = known is None or challenger.data_until > known
    than = f"{champion.named}'s ({f'{known:%Y-%m-%d %H:%M}' if known else 'not on record'})"
    until = f"{challenger.data_until:%Y-%m-%d %H:%M}"
    return (
        Gate("other_data", not twin, f"{named}'s data and definition are those of "
             f"{twin or 'no version that was judged before'}"),
        Gate("newer_data", newer, f"{named}'s last row ({until}) is {'' if newer else 'not '}later "
             f"than {than}"),
        _not_worse(challenger, champion, floors),
    )  # fmt: skip


def _not_worse(challenger: Measured, champion: Champion, floors: Floors) -> Gate:
    found = champion.worse_by
    if found is None:
        words = f"nothing could be compared with {champion.named} ({champion.problem})"
        return Gate("not_worse", True, words)
    words = (
        f"on {champion.on} {challenger.named}'s log loss differs from {champion.named}'s by "
        f"{found.value:+.1%} "
        f"({found.low:+.1%} to {found.high:+.1%}; {floors.margin:+.1%} is allowed)"
    )
    return Gate("not_worse", found.high <= floors.margin, words)


def _floors(challenger: Measured, floors: Floors) -> tuple[Gate, ...]:
    converters, named = challenger.converters, challenger.named
    weak = ", ".join(challenger.weak_slices)
    return (
        Gate("enough_converters", converters >= floors.converters,
             f"{converters:,} visitors of {named}'s test part convert, {floors.converters:,} "
             "expected"),
        _calibrated(challenger, floors),
        Gate("every_slice", not weak, f"{named} is surely worse than the base rate where {weak}"
             if weak else f"in no slice of {LEAST_CONVERTERS} or more converters is {named} surely "
             "worse than the base rate"),
    )  # fmt: skip


def _calibrated(challenger: Measured, floors: Floors) -> Gate:
    error, by_chance = challenger.calibration_error, challenger.chance_error
    allowed = floors.calibration * challenger.positive_rate
    words = (
        f"{challenger.named}'s calibration error is {error:.4f}, at most {allowed:.4f} "
        f"expected, and up to {by_chance:.4f} may be by chance"
    )
    return Gate("calibrated", error <= allowed or error <= by_chance, words)
