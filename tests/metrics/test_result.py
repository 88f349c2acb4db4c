"""Results: their titles, and the JSON that records have of them."""

import pytest

from cmr.errors import UserError
from cmr.metrics.result import TITLES, Agreement, Baseline, BoxRules, Curves, Result, SizeResult, known

VALUES = {
    "images": 4,
    "GT-known Loc": 50.0,
    "accuracy at IoU 0.3": 75.0,
    "accuracy at IoU 0.55": 50.0,
    "MaxBoxAcc 30 (all contours)": 75.0,
    "MaxBoxAcc 30 (largest contour)": 25.0,
    "MaxBoxAcc 50 (all contours)": 50.0,
    "MaxBoxAcc 50 (largest contour)": 20.0,
    "sizes": {"small": {"images": 4, "GT-known Loc": 50.0, "MaxBoxAcc": 60.0}},
    "IoU histogram": [1, 3],
    "curves": {
        "tau": [0.1],
        "all contours": {"50": [50.0]},
        "largest contour": {"50": [20.0]},
        "mean IoU (all contours)": [40.0],
        "mean IoU (largest contour)": [30.0],
    },
    "baselines": {"full image": {"GT-known Loc": 5.0, "curve": {"50": 5.0}}},
    "PxAP": 70.0,
    "parts": {"head": 90.0},
    "agreement": {"map": 0.5, "own": 0.25},
}


def test_a_result_is_what_its_json_says_and_back():
    result = Result.from_dict(VALUES, "a.json")
    assert result == Result(
        images=4,
        gt_known_loc=50.0,
        box_acc={30: 75.0, 55: 50.0},
        max_box_acc_at={30: BoxRules(75.0, 25.0), 50: BoxRules(50.0, 20.0)},
        sizes={"small": SizeResult(4, 50.0, 60.0)},
        iou_histogram=[1, 3],
        curves=Curves([0.1], {50: [50.0]}, {50: [20.0]}, [40.0], [30.0]),
        baselines={"full image": Baseline(gt_known_loc=5.0, curve={50: 5.0})},
        pxap=70.0,
        parts={"head": 90.0},
        agreement=Agreement(map=0.5, own=0.25),
    )
    assert result.to_dict() == VALUES
    assert list(result.to_dict()) == list(VALUES)  # in the same order
    assert result.numbers() == {title: value for title, value in VALUES.items() if isinstance(value, float)}


def test_titles_tell_fields_apart():
    assert len(set(TITLES.values())) == len(TITLES)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"GT-known": 1.0}, "unknown key in a.json: 'GT-known': did you mean 'GT-known Loc'"),
        ({"GT-known Loc": "1"}, "a.json: GT-known Loc: '1' is not of type float"),
        ({"GT-known Loc": True}, "a.json: GT-known Loc: True is not of type float"),
        ({"MaxBoxAcc 30 (all contours)": 1.0}, r"a.json: MaxBoxAcc \{\} \(\{\}\): 30: it lacks largest contour"),
        ({"sizes": {"small": {}}}, "a.json: sizes: small: it lacks images"),
        ({"sizes": {"small": 3}}, "a.json: sizes: small: 3 is not of type dict"),
        ({"baselines": {"full image": {"curve": {"half": 1.0}}}}, "full image: curve: 'half' is not a whole number"),
        ({"curves": []}, "a.json: curves: .* is not of type dict"),
    ],
)
def test_what_is_no_result_is_named(values, message):
    with pytest.raises(UserError, match=message):
        Result.from_dict(values, "a.json")


def test_what_was_not_computed_is_none_and_named_where_it_is_needed():
    assert Result().to_dict() == Result().numbers() == {}
    with pytest.raises(UserError, match="a metric that is needed here was not computed"):
        known(Result().gt_known_loc)
