"""A booster's trees as arrays, for the contributions to one score at a time.

XGBoost's own ``pred_contribs`` needs a DMatrix and walks every tree anew, which takes longer than
all the rest of an answer. The numbers here are the same: SHAP values (Lundberg et al. 2018,
arXiv:1802.03888), where a feature that is not known goes both ways of a split, by how much of the
training rows' weight, the sum of their hessians, went there.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import xgboost

Floats = npt.NDArray[np.float64]

COMPARED = 16
"""How many rows are explained by XGBoost as well before the arrays are trusted."""

logger = logging.getLogger("prospect.scoring")


def as_json(booster: xgboost.Booster) -> str:
    """Return XGBoost's JSON, by a thread that ends with it.

    XGBoost keeps what it gave for as long as the thread lives that asked, unless the booster is
    freed there: with every swap the service would hold one model more.
    """
    with ThreadPoolExecutor(1) as alone:
        return bytes(alone.submit(booster.save_raw, "json").result()).decode()


@dataclass(frozen=True, slots=True)
class Condition:
    """What the way to a leaf asks of one feature, all its splits by that feature together.

    A number has to be at least ``low`` and below ``high``; a category not one of ``barred`` and,
    unless there is no ``among``, one of that. ``missing`` says whether a missing value goes this
    way, ``share`` how much of the training rows' weight did.
    """

    low: float = -math.inf
    high: float = math.inf
    among: frozenset[int] | None = None
    barred: frozenset[int] = frozenset()
    missing: bool = True
    share: float = 1.0

    def met(self, category: int) -> bool:
        """Return whether a category meets it."""
        return category not in self.barred and (self.among is None or category in self.among)


Leaf = tuple[float, dict[int, Condition]]
"""What a leaf adds to the log-odds, and its conditions by the feature's place."""


class Tree:
    """One tree's leaves as arrays, like those of `Paths`."""

    def __init__(self, found: Sequence[Leaf]) -> None:
        shape = max(len(conditions) for _, conditions in found), len(found)
        self.values = np.array([value for value, _ in found], dtype=np.float32)
        self.features = np.zeros(shape, dtype=np.intp)
        self.low = np.full(shape, -np.inf, dtype=np.float32)
        self.high = np.full(shape, np.inf, dtype=np.float32)
        self.missing = np.ones(shape, dtype=bool)
        self.share = np.ones(shape, dtype=np.float32)
        self.categorical: dict[tuple[int, int], Condition] = {}
        for leaf, (_, conditions) in enumerate(found):
            for place, (feature, asked) in enumerate(conditions.items()):
                self.features[place, leaf] = feature
                self.low[place, leaf], self.high[place, leaf] = asked.low, asked.high
                self.missing[place, leaf], self.share[place, leaf] = asked.missing, asked.share
                if asked.among is not None or asked.barred:
                    self.categorical[place, leaf] = asked


class Paths:
    """All leaves of a booster, and what the way to each asks of a row.

    ``features``, ``low``, ``high``, ``missing`` and ``share`` have the shape (most conditions of a
    leaf, leaves); a leaf with fewer is filled up with conditions that every row meets, which
    contribute nothing. ``size`` is the number of features.
    """

    def __init__(self, trees: Sequence[Tree], size: int) -> None:
        shape = (
            max((len(tree.features) for tree in trees), default=0),
            sum(len(tree.values) for tree in trees),
        )
        self.size = size
        self.values = np.empty(shape[1], dtype=np.float32)
        self.features = np.zeros(shape, dtype=np.intp)
        self.low = np.full(shape, -np.inf, dtype=np.float32)
        self.high = np.full(shape, np.inf, dtype=np.float32)
        self.missing = np.ones(shape, dtype=bool)
        self.share = np.ones(shape, dtype=np.float32)
        at: list[tuple[int, int]] = []
        first = 0
        for tree in trees:
            depth, count = tree.features.shape
            own = slice(depth), slice(first, first + count)
            self.values[own[1]] = tree.values
            self.features[own], self.missing[own] = tree.features, tree.missing
            self.low[own], self.high[own] = tree.low, tree.high
            self.share[own] = tree.share
            at += [(place, first + leaf) for place, leaf in tree.categorical]
            first += count
        self._categorical = tuple(np.array(at, dtype=np.intp).reshape(-1, 2).T)
        self._meeting = _meeting([one for tree in trees for one in tree.categorical.values()])
        # Exact for polynomials of up to twice as many degrees, less one.
        points, weights = np.polynomial.legendre.leggauss(max(1, (shape[0] + 1) // 2))
        self._points = tuple(zip(((points + 1) / 2).tolist(), (weights / 2).tolist(), strict=True))

    @classmethod
    def of(cls, booster: xgboost.Booster, size: int) -> Self | None:
        """Read a booster of that many features.

        Returns None where its trees have weights of their own (dropout), where they cannot be
        read, or where XGBoost says something else of rows on both sides of their splits.
        """
        try:
            # Each tree becomes arrays as soon as it is read, which lets other threads run.
            read = json.loads(as_json(booster), object_hook=_as_tree)
            boosting = read["learner"]["gradient_booster"]
            if boosting["name"] != "gbtree" or "weight_drop" in boosting["model"]:
                return None
            paths = cls(boosting["model"]["trees"], size)
            rows = paths._rows()
            data = xgboost.DMatrix(rows, nthread=1)
            theirs = booster.predict(data, pred_contribs=True, validate_features=False)[:, :-1]
            ours = [paths.contributions(row) for row in rows]
            if np.allclose(ours, theirs, rtol=1e-3, atol=1e-4):
                return paths
            found = f"they differ from XGBoost's by up to {np.abs(ours - theirs).max():.2g}"
        except (LookupError, TypeError, AttributeError, ValueError) as error:  # XGBoost's, too
            found = f"{type(error).__name__}: {error}".partition("\n")[0]
        logger.warning(
            "Reasons come from XGBoost itself, which is slower: from the trees that its version %s "
            "writes they cannot be found (%s).",
            xgboost.__version__,
            found,
        )
        return None

    def _rows(self) -> Floats:
        """Return a few rows of numbers at and just below the splits, of categories, and missing."""
        random = np.random.default_rng(0)
        rows = np.empty((COMPARED, self.size))
        categorical = set(self.features[self._categorical].tolist())
        for feature in range(self.size):
            if feature in categorical:
                known = np.arange(self._meeting.shape[1], dtype=np.float64)
            else:
                own = self.features == feature
                splits = np.concatenate([[0], self.low[own], self.high[own]], dtype=np.float32)
                splits = splits[np.isfinite(splits)]
                known = np.concatenate([splits, np.nextafter(splits, np.float32(-np.inf))])
            rows[:, feature] = random.choice(known, COMPARED)
        rows[random.random(rows.shape) < 0.2] = np.nan
        return rows

    def contributions(self, row: Floats) -> Floats:
        """Return what each feature of an encoded row, shape (size,), adds to the log-odds.

        Missing values are NaN; infinities are not asked for, the encoder gives none.

        A leaf's value counts as far as its conditions are met, each of them wholly or not at all
        where the feature is known, by its share where it is not. Shapley's value of such a product
        is the integral, along the line from all shares to all that is met, of what one condition's
        change adds (Owen 1972, Multilinear extensions of games): a polynomial, whose integral by
        Gauss and Legendre's points is exact.
        """
        gained = self._met(row) - self.share
        added = np.zeros_like(gained)
        for point, weight in self._points:
            factors = self.share + point * gained
            others = np.empty_like(factors)  # of each condition: the product of all the others
            product = weight * self.values
            for place, factor in enumerate(factors):
                others[place] = product
                product = product * factor
            product = np.ones_like(self.values)
            for place in reversed(range(len(factors))):
                others[place] *= product
                product = product * factors[place]
            added += others
        added *= gained
        return np.bincount(self.features.ravel(), added.ravel(), self.size).astype(np.float64)

    def _met(self, row: Floats) -> npt.NDArray[np.bool_]:
        """Return which conditions a row meets."""
        values = row.astype(np.float32)[self.features]  # XGBoost compares in single precision
        met: npt.NDArray[np.bool_] = (values >= self.low) & (values < self.high)
        met |= self.missing & np.isnan(values)
        if len(self._meeting):
            at, other = self._categorical, self._meeting.shape[1] - 1
            given = values[at]
            category = np.fmin(given, other).astype(np.intp)  # NaN, too, becomes the last
            asked = self._meeting[np.arange(len(category)), category]
            met[at] = np.where(np.isnan(given), self.missing[at], asked)
        return met


def _as_tree(found: dict[str, Any]) -> dict[str, Any] | Tree:
    """Return what XGBoost's JSON has of a tree as one, all else as it is."""
    return Tree(list(leaves(found))) if "split_conditions" in found else found


def leaves(tree: dict[str, Any]) -> Iterator[Leaf]:
    """Read a tree of XGBoost's JSON (its model schema is in XGBoost's documentation)."""
    left, right, covers = tree["left_children"], tree["right_children"], tree["sum_hessian"]
    features, splits, defaults = (
        tree[name] for name in ("split_indices", "split_conditions", "default_left")
    )
    sets = {
        node: frozenset(tree["categories"][start : start + size])
        for node, start, size in zip(
            tree["categories_nodes"],
            tree["categories_segments"],
            tree["categories_sizes"],
            strict=True,
        )
    }
    ways: list[tuple[int, dict[int, Condition]]] = [(0, {})]
    while ways:
        node, conditions = ways.pop()
        if left[node] < 0:
            yield splits[node], conditions
            continue
        feature = features[node]
        before = conditions.get(feature, Condition())
        for child, to_left in ((left[node], True), (right[node], False)):
            after = replace(
                before,
                missing=before.missing and bool(defaults[node]) is to_left,
                share=before.share * (covers[child] / covers[node] if covers[node] else 0.0),
            )
            if node in sets:  # the categories that go to the right
                after = _among(after, sets[node], to_left)
            elif to_left:
                after = replace(after, high=min(after.high, splits[node]))
            else:
                after = replace(after, low=max(after.low, splits[node]))
            ways.append((child, conditions | {feature: after}))


def _among(condition: Condition, categories: frozenset[int], to_left: bool) -> Condition:
    if to_left:
        return replace(condition, barred=condition.barred | categories)
    among = categories if condition.among is None else condition.among & categories
    return replace(condition, among=among)


def _meeting(conditions: list[Condition]) -> npt.NDArray[np.bool_]:
    """Return which category meets which condition; the last column is for all that none names."""
    named = {each for one in conditions for each in one.barred | (one.among or frozenset())}
    return np.array(
        [[one.met(each) for each in range(max(named, default=0) + 2)] for one in conditions],
        dtype=bool,
    )
