"""A search over a few of XGBoost's parameters, bounded in space, in trials and in time.

Parameters are drawn at random (Bergstra and Bengio, Random Search for Hyper-Parameter Optimization,
JMLR 2012): with six of them and tens of trials, what a search that learns from its trials finds
beyond that is less than what the validation part can tell apart. The same seed draws the same, and
more trials begin with those of fewer.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from scipy.stats import loguniform, randint, uniform
from sklearn.model_selection import ParameterSampler

Params = Mapping[str, float]

SPACE: dict[str, Any] = {
    "max_depth": randint(2, 7),  # 2 to 6
    "learning_rate": loguniform(0.015, 0.15),
    "subsample": uniform(0.3, 0.7),  # 0.3 to 1
    "colsample_bytree": uniform(0.1, 0.9),  # 0.1 to 1
    "reg_lambda": loguniform(0.2, 20),
    "leaf_visitors": loguniform(10, 200),
}
"""What is drawn from for each parameter, around the defaults.

``leaf_visitors`` is how many visitors a leaf speaks for at least; the others are XGBoost's own.
"""

logger = logging.getLogger("prospect.search")


@dataclass(frozen=True)
class Budget:
    """How much may be tried.

    ``trials`` counts the defaults, which are always the first one: 0 and 1 try nothing else. No
    trial begins once ``seconds`` have passed (None: no bound). What is found then depends on how
    fast the machine is.
    """

    trials: int = 0
    seconds: float | None = None


NO_SEARCH = Budget()


class Judged(NamedTuple):
    """What the validation part says of parameters: the lowest log loss, and after which rounds."""

    log_loss: float
    rounds: int


@dataclass(frozen=True)
class Trial:
    """Parameters that were tried, by number from 1 on, and what came of it."""

    number: int
    params: dict[str, float]
    log_loss: float
    rounds: int


@dataclass(frozen=True)
class Search:
    """Every trial in order, and whether time ran out before the trials did."""

    trials: tuple[Trial, ...]
    out_of_time: bool

    @property
    def chosen(self) -> Trial:
        """The trial with the lowest log loss; of equal ones the earliest."""
        return min(self.trials, key=lambda trial: trial.log_loss)

    def table(self) -> list[dict[str, float]]:
        """Return a line on each trial, as plain JSON types."""
        return [
            {"trial": each.number, "log_loss": each.log_loss, "rounds": each.rounds, **each.params}
            for each in self.trials
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON types."""
        return {
            "judged_on": "log loss of the validation part",
            "chosen": self.chosen.number,
            "out_of_time": self.out_of_time,
            "trials": self.table(),
        }


def search(
    judge: Callable[[Params], Judged],
    defaults: Params,
    budget: Budget,
    seed: int,
    say: Callable[[str], None] = logger.info,
    clock: Callable[[], float] = time.monotonic,
) -> Search:
    """Try the defaults, then what is drawn from `SPACE`, for as long as the budget lasts.

    ``judge`` trains with parameters and says how good they are, ``say`` is told of each trial,
    and ``clock`` counts seconds.
    """
    trials: list[Trial] = []
    started = clock()
    out_of_time = False
    for params in _candidates(defaults, budget.trials, seed):
        begun = clock()
        if trials and budget.seconds is not None and begun - started >= budget.seconds:
            out_of_time = True
            say(f"The search ends after {len(trials)} trials: {budget.seconds:g} s have passed.")
            break
        trials.append(Trial(len(trials) + 1, dict(params), *judge(params)))
        if budget.trials > 1:
            say(_words(trials, budget.trials, clock() - begun))
    return Search(tuple(trials), out_of_time)


def _candidates(defaults: Params, trials: int, seed: int) -> Iterator[Params]:
    yield defaults
    for drawn in ParameterSampler(SPACE, n_iter=max(trials - 1, 0), random_state=seed):
        yield {name: _rounded(drawn[name]) for name in SPACE}


def _rounded(value: float) -> float:
    """Return a number that can be written down: three digits are more than makes a difference."""
    return int(value) if value == int(value) else float(f"{value:.3g}")


def _words(trials: list[Trial], of: int, seconds: float) -> str:
    last, best = trials[-1], Search(tuple(trials), out_of_time=False).chosen
    tried = ", ".join(f"{name} {value:g}" for name, value in last.params.items())
    return (
        f"Trial {last.number} of {of}: validation log loss {last.log_loss:.5f} after {last.rounds} "
        f"rounds, in {seconds:.1f} s ({tried}); the best is trial {best.number} with "
        f"{best.log_loss:.5f}."
    )
