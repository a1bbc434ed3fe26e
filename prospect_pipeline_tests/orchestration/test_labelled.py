"""What is said of labels and scores is true of the rows at hand."""

import pytest

from prospect_pipeline.orchestration.labelled import label, label_facts, question
from prospect_pipeline.settings import TrainingSettings


@pytest.mark.parametrize(
    ("given", "asked", "told"),
    [
        (
            {},
            "How likely is it that this visitor sends a form within the next 60 minutes?",
            "1 where submit_form follows within 60 minutes, strictly after the row's moment",
        ),
        (
            {"goal_events": ("page_view",), "goal_count": 3, "horizon_minutes": 30},
            "How likely is it that page_view, 3 times follows within the next 30 minutes?",
            "1 where page_view, 3 times follows within 30 minutes, strictly after the row's moment",
        ),
        (
            {"anchors": "some/sessions.py:anchors", "anchors_horizon_minutes": 90},
            "How likely is it that this session reaches the goal of sessions.py:anchors with its "
            "next event, rather than not at all?",
            "1 for an event that reaches the goal of sessions.py:anchors, 0 for an event of a "
            "session without one, taken as known 90 minutes after the row's moment; values leave "
            "the row's own event out",
        ),
        (
            {"anchors": "some/own.csv", "anchors_horizon_minutes": 43200},
            "How likely is it that own.csv says 1 of this visitor at this moment?",
            "as own.csv says, taken as known 43200 minutes after the row's moment",
        ),
    ],
)
def test_question_and_label_are_those_of_the_rows(
    given: dict[str, object], asked: str, told: str
) -> None:
    facts = label_facts(TrainingSettings.load(**given))

    assert (question(facts), label(facts)) == (asked, told)


def test_data_from_before_it_said_where_rows_come_from_is_of_visitors() -> None:
    facts = {"horizon": "60 minutes"}

    assert question(facts).endswith("sends a form within the next 60 minutes?")
    assert label(facts).startswith("1 where submit_form follows within 60 minutes")
