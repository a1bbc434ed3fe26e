"""What XGBoost is given of a row: counts, places in a vocabulary, ratios."""

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from prospect_pipeline.encoder import RATIOS, Encoder, check_columns
from prospect_pipeline.errors import InputError
from prospect_pipeline.features import COLUMNS, FEATURES
from prospect_pipeline_tests.training import columns

CATEGORICAL = [feature.name for feature in FEATURES if feature.categorical]
SMALL = pd.DataFrame(
    [
        columns(latest_app_id="website", num_apps_l7d=2),
        columns(latest_app_id="docs", day_of_week=7, num_page_views_l7d=40),
        columns(latest_app_id="website", day_of_week=3),
    ]
)


def test_the_vocabulary_is_sorted_and_of_the_categorical_columns_alone() -> None:
    encoder = Encoder.fit(SMALL)

    assert encoder.columns == COLUMNS
    assert list(encoder.vocabulary) == CATEGORICAL
    assert encoder.vocabulary["latest_app_id"] == ("docs", "website")
    assert encoder.vocabulary["day_of_week"] == (1, 3, 7)
    kinds = ["c" if name in CATEGORICAL else "q" for name in list(COLUMNS)]
    assert encoder.types == kinds + ["q"] * len(RATIOS)


def test_counts_stay_and_categories_become_their_place() -> None:
    encoder = Encoder.fit(SMALL)

    encoded = pd.DataFrame(encoder.encode(SMALL), columns=encoder.names)

    assert encoded["latest_app_id"].tolist() == [1.0, 0.0, 1.0]
    assert encoded["day_of_week"].tolist() == [0.0, 2.0, 1.0]
    assert encoded["num_apps_l7d"].tolist() == [2.0, 0.0, 0.0]
    assert encoded["num_page_views_l7d"].tolist() == [0.0, 40.0, 0.0]
    assert encoded["latest_device_class"].tolist() == [0.0, 0.0, 0.0]


def test_a_category_out_of_the_vocabulary_is_missing() -> None:
    encoder, strange = Encoder.fit(SMALL), columns(latest_app_id="blog")

    one, many = encoder.encode_one(strange), encoder.encode(pd.DataFrame([strange]))

    assert np.isnan(one[0, 0])
    assert np.isnan(one).sum() == 1
    assert np.array_equal(one, many, equal_nan=True)


def test_one_row_is_encoded_as_in_a_frame() -> None:
    encoder = Encoder.fit(SMALL)

    one_by_one = [encoder.encode_one(row)[0] for row in SMALL.to_dict("records")]

    assert np.array_equal(np.array(one_by_one), encoder.encode(SMALL))


def test_an_empty_frame_is_encoded_as_no_rows() -> None:
    assert Encoder.fit(SMALL).encode(SMALL.head(0)).shape == (0, 23)


def test_a_ratio_is_one_count_per_another_and_0_where_there_is_neither() -> None:
    encoder = Encoder.fit(SMALL)
    rows = [
        columns(num_page_pings_l7d=6, num_page_views_l7d=4),
        columns(num_page_pings_l7d=3, num_form_engagements_l7d=2, num_sessions_l7d=2),
        columns(num_page_views_l30d=5),
    ]

    encoded = pd.DataFrame(encoder.encode(pd.DataFrame(rows)), columns=encoder.names)

    assert encoder.names == [
        *COLUMNS,
        "page_pings_per_page_view_l7d",
        "page_pings_per_page_view_l30d",
        "form_engagements_per_session_l7d",
    ]
    assert encoded["page_pings_per_page_view_l7d"].tolist() == [1.5, 3.0, 0.0]
    assert encoded["page_pings_per_page_view_l30d"].tolist() == [0.0, 0.0, 0.0]
    assert encoded["form_engagements_per_session_l7d"].tolist() == [0.0, 1.0, 0.0]


def test_a_ratio_of_what_is_missing_is_missing() -> None:
    encoder = Encoder.fit(SMALL)

    encoded = encoder.encode_one(columns(num_page_pings_l7d=1e300, num_page_views_l7d=4))

    assert np.isnan(encoded[0, encoder.names.index("page_pings_per_page_view_l7d")])


def test_an_encoder_of_a_version_without_ratios_has_none() -> None:
    stored = Encoder.fit(SMALL).to_dict()
    del stored["ratios"]

    assert Encoder.from_dict(stored).encode(SMALL).shape == (3, 20)


def test_an_encoder_comes_back_from_json_as_it_was() -> None:
    encoder = Encoder.fit(SMALL)

    again = Encoder.from_dict(json.loads(json.dumps(encoder.to_dict())))

    assert again == encoder
    assert np.array_equal(again.encode(SMALL), encoder.encode(SMALL))


@pytest.mark.parametrize("stored", [{}, {"columns": []}, {"vocabulary": {}}])
def test_what_is_no_encoder_is_a_key_error(stored: dict[str, Any]) -> None:
    with pytest.raises(KeyError):
        Encoder.from_dict(stored)


def test_a_missing_column_is_named() -> None:
    lacking = SMALL[["latest_app_id", "num_apps_l7d"]]

    with pytest.raises(InputError) as raised:
        check_columns(lacking, ("latest_app_id", "day_of_week", "num_apps_l30d"))

    assert str(raised.value) == (
        "The data lacks the model's column(s) day_of_week, num_apps_l30d; "
        "it has latest_app_id, num_apps_l7d. Rebuild it from the same definition."
    )


def test_neither_fitting_nor_encoding_takes_a_frame_without_a_column() -> None:
    lacking = SMALL.drop(columns="num_media_events_l30d")

    with pytest.raises(InputError, match=r"column\(s\) num_media_events_l30d;"):
        Encoder.fit(lacking)
    with pytest.raises(InputError, match=r"column\(s\) num_media_events_l30d;"):
        Encoder.fit(SMALL).encode(lacking)


def test_columns_of_another_type_are_named_with_what_was_found() -> None:
    strange = SMALL.assign(num_apps_l7d="two", latest_app_id=[7, 8, 9], day_of_week="Monday")

    with pytest.raises(InputError) as raised:
        Encoder.fit(SMALL).encode(strange)

    assert str(raised.value) == (
        "The data has column(s) of another type than the model's: latest_app_id (found integer, "
        "expected text), day_of_week (found string, expected numbers), num_apps_l7d (found string, "
        "expected numbers). Rebuild it from the same definition."
    )


def test_categories_of_mixed_types_are_refused() -> None:
    with pytest.raises(InputError, match=r"latest_app_id \(found mixed-integer, expected text\)"):
        Encoder.fit(SMALL.assign(latest_app_id=["website", 7, "docs"]))


@pytest.mark.parametrize("kind", ["Int64", "Float64", "object", "float64", "int8"])
def test_numbers_are_encoded_whatever_holds_them(kind: str) -> None:
    held = SMALL.astype({"num_apps_l7d": kind})

    assert np.array_equal(Encoder.fit(SMALL).encode(held), Encoder.fit(SMALL).encode(SMALL))


def test_nulls_infinite_and_huge_numbers_are_missing() -> None:
    odd = SMALL.assign(
        num_apps_l7d=[None, float("inf"), 1e300],
        num_apps_l30d=pd.Series([1, None, 3], dtype="Int64"),
        num_page_views_l7d=pd.Series([10**400, -(10**400), 5], dtype=object),
        latest_app_id=None,
    )

    encoder = Encoder.fit(SMALL)
    encoded = pd.DataFrame(encoder.encode(odd), columns=encoder.names)[list(COLUMNS)]

    assert encoded["num_apps_l7d"].isna().all()
    assert encoded["num_apps_l30d"].tolist()[::2] == [1, 3]
    assert encoded["num_page_views_l7d"].tolist()[2] == 5
    assert encoded.isna().sum().sum() == 3 + 1 + 2 + 3


def test_encoding_leaves_the_frame_as_it_was() -> None:
    given = SMALL.assign(num_apps_l7d=[float("inf"), 1.0, 2.0])

    Encoder.fit(SMALL).encode(given)

    assert given["num_apps_l7d"].tolist() == [float("inf"), 1.0, 2.0]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"num_apps_l7d": "two"}, "num_apps_l7d is of type str, expected a number"),
        ({"latest_app_id": ["a"]}, "latest_app_id is of type list, expected a category"),
    ],
)
def test_one_row_of_another_type_is_refused_by_its_column(
    change: dict[str, Any], told: str
) -> None:
    with pytest.raises(InputError) as raised:
        Encoder.fit(SMALL).encode_one(columns(**change))

    assert str(raised.value) == f"The row's column {told}. Make the row with features.vector."


def test_one_row_without_a_column_is_refused_by_its_name() -> None:
    lacking = columns()
    del lacking["num_media_events_l30d"]

    with pytest.raises(InputError, match="column num_media_events_l30d is missing, expected"):
        Encoder.fit(SMALL).encode_one(lacking)
