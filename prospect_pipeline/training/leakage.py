"""Does a training value depend on later events? Rows are computed again without these.

All events after a moment, the cut, are hidden; whatever changes in a row at or before it was read
from the future. Here is what is pure of it: which rows to compute again, and the comparison.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

import pandas as pd

from prospect_pipeline.encoder import check_columns
from prospect_pipeline.features import COLUMNS
from prospect_pipeline.training.dataset import KEY, Check, moments

PART = 100
"""Rows in each of the sample's three parts: few enough to take seconds."""

SHOWN = 10
"""Differing values that a check names."""

VISIT = timedelta(hours=1)
"""Rows of a visitor that are closer than this belong to one visit."""

MOMENT = [KEY, "anchor_ts"]


@dataclass(frozen=True)
class Difference:
    """A value that is another one without the later events (None: there is no such row at all)."""

    key: str
    moment: datetime
    column: str
    trained: Any
    recomputed: Any


def choose_cut(frame: pd.DataFrame) -> datetime:
    """Return the moment, not near either end, at which most visitors are in the midst of a visit.

    A leak that looks ahead by minutes changes only rows that are followed within minutes, so that
    the cut goes through as many visits as it can. The frame needs rows.
    """
    ordered = frame.assign(anchor_ts=moments(frame)).sort_values(MOMENT)
    here = ordered["anchor_ts"]
    following = here.groupby(ordered[KEY]).shift(-1)
    visiting = following - here <= VISIT
    steps = [(0, here), (1, here[visiting]), (-1, following[visiting])]
    change = pd.concat([pd.Series(step, index=pd.Index(at)) for step, at in steps])
    visits = change.groupby(level=0).sum().cumsum()
    first, last = (here.quantile(share, interpolation="lower") for share in (0.25, 0.75))
    return cast(pd.Timestamp, visits[first:last].idxmax()).to_pydatetime()


def sample(frame: pd.DataFrame, cut: datetime) -> pd.DataFrame:
    """Return up to 300 rows at or before the cut, the same ones every time.

    The last rows of the heaviest visitors, and of those whose next row follows soonest after the
    cut: what the cut hides is nearest to these. The rest is spread over all visitors and moments.
    """
    ordered = frame.assign(anchor_ts=moments(frame)).sort_values(MOMENT, ignore_index=True)
    early = ordered[ordered["anchor_ts"] <= cut]
    last = early.drop_duplicates(KEY, keep="last")
    rows = last[KEY].map(ordered[KEY].value_counts())
    heaviest = rows.sort_values(ascending=False, kind="stable")
    following = ordered[ordered["anchor_ts"] > cut].groupby(KEY)["anchor_ts"].min()
    wait = (last[KEY].map(following) - last["anchor_ts"]).dropna().sort_values(kind="stable")
    spread = early.index[:: -(-len(early) // PART)]
    chosen = {*heaviest.index[:PART], *wait.index[:PART], *spread}
    return early.loc[sorted(chosen)]


def anchors(sampled: pd.DataFrame) -> pd.DataFrame:
    """Return a sample's keys and moments, each once, as anchors of one's own.

    Their label plays no part in their values, and what looks ahead is no leak there.
    """
    found = sampled[MOMENT].drop_duplicates().assign(label=0)
    found.attrs = {}
    return found


def differences(sampled: pd.DataFrame, recomputed: pd.DataFrame) -> list[Difference]:
    """Return the model's values that differ, by visitor, moment and column."""
    check_columns(recomputed, (*MOMENT, *COLUMNS))
    trained = sampled.assign(anchor_ts=moments(sampled))[[*MOMENT, *COLUMNS]]
    again = recomputed.assign(anchor_ts=moments(recomputed))[[*MOMENT, *COLUMNS]]
    both = trained.merge(again, "left", MOMENT, suffixes=("", " again"), validate="m:1")
    found = []
    for column in COLUMNS:
        one, other = column, f"{column} again"
        same = (both[one] == both[other]) | (both[one].isna() & both[other].isna())
        rows = both.loc[~same, [*MOMENT, one, other]].itertuples(index=False, name=None)
        found += [
            Difference(key, moment.to_pydatetime(), column, _plain(was), _plain(now))
            for key, moment, was, now in rows
        ]
    return sorted(found, key=lambda each: (each.key, each.moment))


def check_leakage(
    frame: pd.DataFrame, cut: datetime, sampled: pd.DataFrame, recomputed: pd.DataFrame
) -> Check:
    """Return whether a sample's values stay what they are without the events after the cut."""
    found = differences(sampled, recomputed)
    later = set(frame.loc[moments(frame) > cut, KEY]) & set(sampled[KEY])
    values = len(sampled) * len(COLUMNS)
    words = (
        f"{len(found):,} of {values:,} values change when the events after {cut.isoformat()} are "
        f"hidden; none may. {len(sampled):,} rows of {sampled[KEY].nunique():,} visitors were "
        f"computed again; {len(later):,} of these visitors have rows after that."
    )
    if found:
        first = found[0]
        words += (
            f" The first: {first.column} at {first.moment.isoformat()}, of the visitor whom "
            "first_differing names. Build the data again, in case events came in late or the "
            "definition has changed since. If it stays, the query reads the future: look at that "
            "column's attribute."
        )
    facts = {
        "cut": cut.isoformat(),
        "rows": len(sampled),
        "values": values,
        "visitors": int(sampled[KEY].nunique()),
        "visitors_with_later_rows": len(later),
        "differing": len(found),
        "first_differing": [
            {**vars(each), "moment": each.moment.isoformat()} for each in found[:SHOWN]
        ],
    }
    return Check("no_leakage", not found, True, words, facts)


def _plain(value: Any) -> Any:
    return None if pd.isna(value) else value
