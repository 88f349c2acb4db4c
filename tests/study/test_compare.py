"""The paired bootstrap: exact where nothing is random, near the textbook elsewhere, honest about what differs."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from cmr.assemble import make
from cmr.errors import UserError
from cmr.study import tables
from cmr.study.compare import Difference, against, bootstrap, difference, right
from cmr.study.titles import by_reading, by_title, reading
from cmr.study.training import train


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs")
    torch.set_num_threads(1)
    asked = [("cam", {}, 0), ("cam", {}, 1), ("cmr", {"beta": 0.0}, 0), ("cmr", {}, 0)]
    return [train(make("tiny", method=m, settings=s, seed=seed, epochs=1), out, progress=False) for m, s, seed in asked]


def test_one_seed_a_side_is_the_paired_standard_error():
    rng = np.random.default_rng(1)
    a = rng.random((1, 2000)) < 0.6
    b = np.where(rng.random((1, 2000)) < 0.2, ~a, a)  # mostly the same images right
    gap = a.astype(float) - b
    half = 1.96 * gap.std() / np.sqrt(2000) * 100
    got = bootstrap(a, b, draws=4000)
    assert got.mean == pytest.approx(100 * gap.mean())
    assert got.high - got.mean == pytest.approx(half, rel=0.1)
    assert got.mean - got.low == pytest.approx(half, rel=0.1)


def test_pairing_narrows_the_interval():
    rng = np.random.default_rng(2)
    a = rng.random((1, 500)) < 0.5
    same, other = a, rng.permutation(a[0])[None]
    assert bootstrap(a, same).high == bootstrap(a, same).low == 0.0
    assert bootstrap(a, other).high > 4.0


def test_seeds_that_disagree_widen_it():
    rng = np.random.default_rng(3)
    calm = np.stack([rng.random(1000) < 0.5 for _ in range(3)])
    wild = np.stack([rng.random(1000) < p for p in (0.2, 0.5, 0.8)])
    base = rng.random((3, 1000)) < 0.5
    narrow, wide = bootstrap(calm, base), bootstrap(wild, base)
    assert wide.high - wide.low > 3 * (narrow.high - narrow.low)


def test_same_draws_every_time():
    a = np.random.default_rng(0).random((2, 50)) < 0.5
    assert bootstrap(a, ~a, draws=100) == bootstrap(a, ~a, draws=100)
    assert bootstrap(a, ~a, draws=100) != bootstrap(a, ~a, draws=100, seed=1)


def test_verdicts():
    assert Difference(2.0, 0.5, 3.0).verdict == "higher"
    assert Difference(-2.0, -3.0, -0.5).verdict == "lower"
    assert Difference(0.2, -1.0, 1.4).verdict == "no difference found"
    assert str(Difference(0.2, -1.0, 1.4)) == "+0.2 [-1.0, +1.4]"


def test_what_a_run_got_right_averages_to_its_metrics(found):
    for metric in ("GT-known Loc", "Top-1 Loc", "Top-1 Clas"):
        assert 100 * right(found[0], metric).mean() == pytest.approx(found[0].result[metric], abs=1e-3)


def test_titles_name_what_differs_and_keep_seeds_together(found):
    titled = by_title(found)
    assert {title: len(members) for title, members in titled.items()} == {
        "CAM": 2,
        "CMR (literal)": 1,
        "CMR, beta 0": 1,
    }
    assert list(titled) == ["CAM", "CMR (literal)", "CMR, beta 0"]
    assert list(by_title(found[2:3])) == ["CMR"]  # alone, its setting sets nothing apart


@pytest.mark.parametrize(
    ("method", "settings", "said"),
    [
        ("has", {}, "HaS"),
        ("has", {"views": 2}, "HaS, 2 views"),
        ("cmr", {}, "CMR (literal)"),
        ("cmr", {"pooling": "sum"}, "CMR (literal)"),  # of the modules and the loss only
        ("cmr", {"caam": False}, "CMR (literal), no CAAM"),
        ("cmr", {"ssam": False, "beta": 1.0}, "CMR (literal), no SSAM, weight 1"),
        ("cmr", {"beta": 0.0, "fusion_map": "relu"}, "CMR, no fusion loss"),  # a map that nothing compares
        ("cmr", {"fusion_map": "relu"}, "CMR (positive parts)"),
        ("cmr", {"fusion_map": "centred", "beta": 1.0}, "CMR (mean-free maps), weight 1"),
        ("cmr", {"test_map": "centred"}, "CMR (literal), mean-free at test"),
        ("cmr", {"test_map": "centred", "beta": 0.0}, "CMR, no fusion loss, mean-free at test"),
        ("cmr", {"caam": False, "ssam": False}, "CMR (literal), no CAAM, no SSAM"),
        ("cmr", {"caam": False, "ssam": False, "beta": 0.0}, "views only"),
    ],
)
def test_what_a_run_has_of_the_method(method, settings, said):
    assert reading(SimpleNamespace(config=make("paper", method=method, settings=settings))) == said


def test_readings_keep_seeds_together_and_name_how_the_map_was_read_out(found):
    flipped = replace(found[0], record=found[0].record | {"maps": "layercam"})
    flipped.record["config"] = flipped.record["config"] | {"test_flip": True}
    grouped = by_reading([*reversed(found), flipped])
    assert list(grouped) == ["CAM", "CAM, layercam, test flip", "CMR (literal)", "CMR, no fusion loss"]
    assert [run.config.seed for run in grouped["CAM"]] == [1, 0]  # as found


def test_a_seed_counts_once(found):
    for grouped in (by_title([*found, *found]), by_reading([*found, *found])):
        assert all(len({run.config.seed for run in group}) == len(group) for group in grouped.values())
    [row] = [row for row in tables.rows_of([*found, *found]) if row["method"] == "cam"]
    assert row["seeds"] == 2 and row["Top-1 Clas"] == tables.rows_of(found)[0]["Top-1 Clas"]


def test_readings_of_two_settings_are_not_averaged(found):
    longer = replace(found[0], record=found[0].record | {"config": found[0].record["config"] | {"epochs": 9}})
    with pytest.raises(ValueError, match="CAM stands for runs of different settings"):
        by_reading([*found, longer])


def test_differences_for_a_pages_text(found):
    grouped = by_reading(found)
    said = tables.gaps(grouped, [("CMR, no fusion loss", "CAM"), ("CMR (literal)", "views only")])
    assert said == {"cmr_no_fusion_loss_over_cam": str(difference(grouped["CMR, no fusion loss"], grouped["CAM"]))}


def test_differences_in_a_table(found):
    titled = by_title(found)
    table = against(titled, "CAM", ("Top-1 Clas",), draws=200)
    assert list(table.index) == ["CMR (literal)", "CMR, beta 0"]
    want = difference(titled["CMR (literal)"], titled["CAM"], "Top-1 Clas", draws=200)
    written = table.loc["CMR (literal)", "Top-1 Clas"]
    assert written.replace("\u00a0", " ") == f"{want} (no difference found)"
    assert written.count(" ") == 1  # a narrow table breaks before the remark
    with pytest.raises(UserError, match="unknown reference 'CAN': did you mean 'CAM'"):
        against(titled, "CAN")


def test_what_cannot_be_compared_is_named(found, tmp_path):
    with pytest.raises(UserError, match="a side holds no run"):
        difference([], found)
    with pytest.raises(UserError, match="unknown metric of single images 'MaxBoxAcc'"):
        right(found[0], "MaxBoxAcc")
    other = train(make("tiny", method="cam", epochs=1, data_settings={"test": 16}), tmp_path, progress=False)
    with pytest.raises(UserError, match="tested on different images"):
        difference([other], found[:1])
    with pytest.raises(ValueError, match="CAM stands for runs on different data"):
        by_title([other, *found])
