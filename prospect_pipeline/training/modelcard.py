"""The model card: what a model is for, and what it is not for.

Headings after Mitchell et al., Model Cards for Model Reporting, 2019 (arXiv:1810.03993).
"""

from __future__ import annotations

from collections.abc import Mapping

from prospect_pipeline.training.bootstrap import LEVEL
from prospect_pipeline.training.evaluation import MODEL, Evaluation
from prospect_pipeline.training.page import Section, facts

INTENDED = (
    "To choose, while a visitor is on the website, what to show or whom to offer help first; for "
    "people who run that website, and on visitors like those of the training data."
)
NOT_INTENDED = (
    "Decisions that weigh on a person: prices, credit, employment, insurance or access. Nor other "
    "websites, other goals or other horizons than those it was trained for, or visitors who have "
    "not agreed to be tracked."
)
FACTORS = (
    "Device, app, referrer, new or returning, how much was seen so far and how early in the visit: "
    "see for whom it is good. Age, gender or origin are not known, and were not looked at."
)
ETHICS = (
    "The data is behaviour under a pseudonymous identifier. A score can favour those who browse as "
    "earlier converters did; whoever comes by another device or a rare source may be passed over. "
    "Tell visitors of it where the law asks for that, and never act on a low score alone."
)
CAVEATS = (
    "It says what is likely, not why, and ages with the website: retrain, and look at calibration "
    "and slices each time. What it cannot know is listed under the limits."
)

TRAINED = ("Visitors first seen", "Training rows", "Positive rows", "Label")
"""What the card repeats of the data."""


def card(
    identity: Mapping[str, str], question: str, data: Mapping[str, str], evaluation: Evaluation
) -> Section:
    """Return the card of one version."""
    found = evaluation.intervals[MODEL]
    trained = "; ".join(f"{name.lower()}: {data[name]}" for name in TRAINED if name in data)
    details = "; ".join(f"{name}: {value}" for name, value in identity.items())
    rows, converting = len(evaluation.scored), int(evaluation.scored["label"].sum())
    return Section(
        "Model card",
        (
            facts(
                {
                    "Model details": f"XGBoost, calibrated. {details}",
                    "Intended use": f"{INTENDED} The question: {question}",
                    "Not intended use": NOT_INTENDED,
                    "Factors": FACTORS,
                    "Metrics": f"ROC AUC, PR AUC, log loss, Brier and calibration error, with "
                    f"{LEVEL:.0%} intervals from drawing visitors anew.",
                    "Training data": trained,
                    "Evaluation data": f"{rows:,} rows, {converting:,} of them positive, of "
                    "visitors who came later than those of the training.",
                    "Quantitative analyses": f"ROC AUC {found['roc_auc']}, PR AUC "
                    f"{found['pr_auc']}, log loss {found['log_loss']}.",
                    "Ethical considerations": ETHICS,
                    "Caveats and recommendations": CAVEATS,
                }
            ),
        ),
    )
