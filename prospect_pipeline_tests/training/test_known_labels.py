"""A label that looks past as-of may still change, and stops training."""

from datetime import UTC, timedelta

import pandas as pd
import pytest

from prospect_pipeline.training.dataset import Check, check_dataset
from prospect_pipeline_tests.training import HOUR, START, anchor, frame

AS_OF = START.replace(tzinfo=UTC)
SECOND = timedelta(seconds=1)


def known(made: pd.DataFrame, **given: object) -> Check:
    checks = check_dataset(made, 1, **given)  # type: ignore[arg-type]
    return next(check for check in checks if check.name == "labels_are_known")


@pytest.mark.parametrize("zone", [None, "UTC"])
@pytest.mark.parametrize(("after", "late"), [(2 * HOUR, 0), (2 * HOUR - SECOND, 1)])
def test_a_label_may_end_at_as_of_but_not_past_it(
    after: timedelta, late: int, zone: str | None
) -> None:
    made = frame(anchor("v1", 0, 1), anchor("v2", 60, 0))
    made["anchor_ts"] = made["anchor_ts"].dt.tz_localize(zone)

    check = known(made, as_of=AS_OF + after, horizon=HOUR)

    assert check.passed == (late == 0)
    assert check.blocking
    assert check.facts == {"checked": True, "late": late}
    assert check.description.startswith(f"{late} rows have a label that looks past as-of")


def test_without_as_of_it_says_that_nothing_was_checked() -> None:
    check = known(frame(anchor("v1", 0, 1), anchor("v2", 60, 0)))

    assert check.facts == {"checked": False}
    assert check.description == "As-of is not given: not checked."


def test_no_rows_have_no_late_label() -> None:
    assert known(frame(anchor("v1", 0, 1)).head(0), as_of=AS_OF, horizon=HOUR).passed
