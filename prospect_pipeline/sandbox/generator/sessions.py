"""What visitors do: sessions drawn by the laws of `process`, as columns of events.

All visitors take their n-th session at once, and within it their k-th step, so that the work is in
arrays. Times are in milliseconds since 1970.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from prospect_pipeline.sandbox.generator.process import (
    LANDING_SHARES,
    PAGES,
    SOURCE_SHARES,
    STEPS,
    Laws,
    going_on,
    kind_of,
    laws,
    level_after,
    page_shares,
)
from prospect_pipeline.sandbox.generator.visitors import Visitors, office_hours

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

EVENTS = (
    "page_view",
    "page_ping",
    "play",
    "pause",
    "focus_form",
    "change_form",
    "submit_form",
    "link_click",
    "web_vitals",
    "application_error",
)
FORM_PAGE = len(PAGES)
"""The page with the form; it comes after the pages of `process`."""

MAX_PINGS = 9
SECOND = 1000
BOT_PAGES = 60


@dataclass
class Columns:
    """Events as columns, gathered block by block."""

    blocks: list[dict[str, npt.NDArray[np.generic]]] = field(default_factory=list)

    def add(self, rows: Ints, event: str, at: Ints, p: Floats, **columns: Ints) -> None:
        """Add one event for each of ``rows``."""
        code = np.full(len(at), EVENTS.index(event), dtype=np.int8)
        self.blocks.append(columns | {"row": rows, "event": code, "at": at, "p": p})

    def joined(self) -> dict[str, npt.NDArray[np.generic]]:
        """Return all blocks as one."""
        names = self.blocks[0] if self.blocks else {}
        return {name: np.concatenate([block[name] for block in self.blocks]) for name in names}


def draw_events(visitors: Visitors, rng: np.random.Generator) -> dict[str, npt.NDArray[np.generic]]:
    """Return the events of all sessions: visitor, session, source, page, step, event, at, p."""
    law, columns = laws(), Columns()
    sent = np.zeros(len(visitors.intent), dtype=np.int64)
    for number in range(visitors.start.shape[1]):
        rows = np.flatnonzero((visitors.start[:, number] >= 0) & ~visitors.bot)
        if not len(rows):
            continue
        source = (
            visitors.source[rows]
            if number == 0
            else rng.choice(len(SOURCE_SHARES), len(rows), p=SOURCE_SHARES)
        )
        session = _Session(visitors, rows, number, source, sent[rows])
        sent[rows] |= session.draw(law, columns, rng)
    _draw_bots(visitors, columns, rng)
    return columns.joined()


class _Session:
    """The n-th session of all visitors who have one."""

    def __init__(
        self, visitors: Visitors, rows: Ints, number: int, source: Ints, sent: Ints
    ) -> None:
        self.rows, self.number, self.source = rows, number, source
        self.intent = visitors.intent[rows]
        self.at = visitors.start[rows, number].copy()
        nth = np.full(len(rows), min(number, 2))
        office = office_hours(self.at)
        self.kind = kind_of(self.intent, visitors.device[rows], source, nth, office, sent)

    def draw(self, law: Laws, columns: Columns, rng: np.random.Generator) -> Ints:
        """Draw all steps; return 1 for those who sent a form."""
        count = len(self.rows)
        shares = np.cumsum(page_shares(), axis=1)
        landing = np.cumsum(LANDING_SHARES / LANDING_SHARES.sum())
        on = going_on()[self.intent]
        level, active = np.zeros(count, dtype=np.int64), np.arange(count)
        sent = np.zeros(count, dtype=np.int64)
        for step in range(STEPS):
            choice = rng.random(len(active))
            page = (
                np.searchsorted(landing, choice)
                if step == 0
                else (choice[:, None] > shares[self.intent[active]]).sum(axis=1)
            )
            page = np.minimum(page, len(PAGES) - 1)
            level[active] = level_after(level[active], page)
            kind, state = self.kind[active], level[active]
            self._read_page(active, page, step, law.ahead[kind, state, step], columns, rng)
            begins = rng.random(len(active)) < law.begin[kind, state]
            sends = begins & (rng.random(len(active)) < law.send[kind, state])
            self._fill_form(active[begins], sends[begins], step, law, level, columns, rng)
            sent[active[sends]] = 1
            active = active[~sends & (rng.random(len(active)) < on[active])]
            if not len(active):
                break
        return sent

    def _common(self, at: Ints, page: Ints, step: int) -> dict[str, Ints]:
        return {
            "session": np.full(len(at), self.number),
            "source": self.source[at],
            "page": page,
            "step": np.full(len(at), step),
        }

    def _add(
        self, columns: Columns, event: str, who: Ints, at: Ints, p: Floats, page: Ints, step: int
    ) -> None:
        columns.add(self.rows[who], event, at, p, **self._common(who, page, step))

    def _read_page(
        self,
        who: Ints,
        page: Ints,
        step: int,
        p: Floats,
        columns: Columns,
        rng: np.random.Generator,
    ) -> None:
        """Look at a page: a view, pings while reading, a video, now and then something else."""

        def add(event: str, these: npt.NDArray[np.bool_], at: Ints) -> None:
            """Add an event of some of them."""
            self._add(columns, event, who[these], at[these], p[these], page[these], step)

        at = self.at[who]
        add("page_view", np.ones(len(who), dtype=bool), at)
        add("web_vitals", rng.random(len(who)) < 0.04, at)  # with the view itself: a tie in time
        add("application_error", rng.random(len(who)) < 0.004, at + 700)
        keen = np.exp(-0.75 - 0.28 * (self.intent[who] - 4) / 2)
        pings = np.minimum(rng.geometric(np.clip(keen, 0.05, 0.95)) - 1, MAX_PINGS)
        for ping in range(1, MAX_PINGS + 1):
            add("page_ping", pings >= ping, at + 10 * SECOND * ping)
        watched = page == PAGES.index("video")
        add("play", watched, at + 3 * SECOND)
        add("pause", watched, at + 8 * SECOND)
        self.at[who] += pings * 10 * SECOND + rng.integers(2 * SECOND, 12 * SECOND, len(who))
        add("link_click", rng.random(len(who)) < 0.10, self.at[who] - 500)

    def _fill_form(
        self,
        who: Ints,
        sends: npt.NDArray[np.bool_],
        step: int,
        law: Laws,
        level: Ints,
        columns: Columns,
        rng: np.random.Generator,
    ) -> None:
        """Open the form, fill some fields, and send it or leave it."""
        p = law.begun[self.kind[who], level[who], step]
        page = np.full(len(who), FORM_PAGE)
        self._add(columns, "page_view", who, self.at[who], p, page, step)
        self._add(columns, "focus_form", who, self.at[who] + 4 * SECOND, p, page, step)
        fields = rng.integers(1, 5, len(who))
        for number in range(1, 5):
            filled = fields >= number
            at = self.at[who[filled]] + 4 * SECOND + number * 7 * SECOND
            self._add(columns, "change_form", who[filled], at, p[filled], page[filled], step)
        self.at[who] += 40 * SECOND + rng.integers(0, 10 * SECOND, len(who))
        none = np.zeros(int(sends.sum()))
        self._add(columns, "submit_form", who[sends], self.at[who[sends]], none, page[sends], step)
        self.at[who] += SECOND


def _draw_bots(visitors: Visitors, columns: Columns, rng: np.random.Generator) -> None:
    """Draw bots: many pages, a second apart, and never a form."""
    for row in np.flatnonzero(visitors.bot):
        for number, start in enumerate(visitors.start[row]):
            if start < 0:
                continue
            pages = np.asarray(rng.integers(0, len(PAGES), rng.integers(20, BOT_PAGES)))
            columns.add(
                np.full(len(pages), row),
                "page_view",
                start + np.arange(len(pages)) * SECOND,
                np.zeros(len(pages)),
                session=np.full(len(pages), number),
                source=np.zeros(len(pages), dtype=np.int64),
                page=pages,
                step=np.arange(len(pages)),
            )
