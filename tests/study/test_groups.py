"""Which runs belong together, and under which key and title."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from cmr.presets import make
from cmr.study.groups import by_interpretation, by_setting, interpretation, pick, same_setting


def changed(run, **values):
    """The run as it would be with other values of its configuration, or of its record."""
    record = replace(run.record, **{name: values.pop(name) for name in ("weights", "data", "maps") if name in values})
    return replace(run, record=replace(record, settings={**record.settings, **values}))


def test_groups_name_what_differs_and_keep_seeds_together(four_runs):
    groups = by_setting(four_runs)
    assert [(group.key, group.title, len(group.runs)) for group in groups.values()] == [
        ("cam", "CAM", 2),
        ("cmr", "CMR (literal)", 1),
        ("cmr_beta_0", "CMR, no fusion loss", 1),
    ]
    assert list(groups) == [group.key for group in groups.values()]
    assert list(by_setting(four_runs[2:3])) == ["cmr_beta_0"]  # alone, too: what it has of the method is always said


@pytest.mark.parametrize(
    ("method", "settings", "key", "title"),
    [
        ("has", {}, "has", "HaS"),
        ("has", {"views": 2}, "has_views_2", "HaS, 2 views"),
        ("cmr", {}, "cmr", "CMR (literal)"),
        ("cmr", {"pooling": "sum"}, "cmr", "CMR (literal)"),  # of the modules and the loss only
        ("cmr", {"caam": False}, "cmr_no_caam", "CMR (literal), no CAAM"),
        ("cmr", {"ssam": False, "beta": 0.5}, "cmr_no_ssam_beta_0_5", "CMR (literal), no SSAM, weight 0.5"),
        (
            "cmr",
            {"beta": 0.0, "fusion_map": "relu"},
            "cmr_beta_0",
            "CMR, no fusion loss",
        ),  # a map that nothing compares
        ("cmr", {"fusion_map": "relu"}, "cmr_relu", "CMR (positive parts)"),
        ("cmr", {"fusion_map": "mean_free", "beta": 1.0}, "cmr_mean_free_beta_1", "CMR (mean-free maps), weight 1"),
        ("cmr", {"test_map": "mean_free"}, "cmr_test_map_mean_free", "CMR (literal), mean-free at test"),
        (
            "cmr",
            {"test_map": "mean_free", "beta": 0.0},
            "cmr_beta_0_test_map_mean_free",
            "CMR, no fusion loss, mean-free at test",
        ),
        ("cmr", {"caam": False, "ssam": False}, "cmr_no_caam_no_ssam", "CMR (literal), no CAAM, no SSAM"),
        ("cmr", {"caam": False, "ssam": False, "beta": 0.0}, "views_only", "views only"),
    ],
)
def test_what_a_run_has_of_the_method(method, settings, key, title):
    run = SimpleNamespace(config=make("paper", method=method, settings=settings), record=SimpleNamespace(maps=None))
    assert (interpretation(run).key, interpretation(run).title) == (key, title)


def test_what_else_differs_is_named_by_its_setting(four_runs):
    run = four_runs[3]
    longer = changed(run, epochs=9)
    wide = changed(run, settings=run.record.settings["settings"] | {"sizes": [3, 9], "share_heads": True})
    groups = by_setting([run, longer, wide])
    assert list(groups) == ["cmr", "cmr_epochs_9", "cmr_sizes_3_9_share_heads"]
    assert [group.title for group in groups.values()][1:] == [
        "CMR (literal), epochs 9",
        "CMR (literal), cells of 3/9, share heads",
    ]


def test_what_the_data_show_is_named_where_it_differs(four_runs):
    dial = changed(four_runs[0], data_settings=four_runs[0].record.settings["data_settings"] | {"beak": 0.25})
    assert list(by_setting([four_runs[0], dial])) == ["cam", "cam_beak_0_25"]


def test_weights_are_named_where_they_differ(four_runs):
    other = changed(four_runs[0], weights="abc")
    other = replace(
        other, record=replace(other.record, settings={**other.record.settings, "weights": "a/file.safetensors"})
    )
    assert list(by_setting([four_runs[0], other]))[1] == "cam_weights_file_safetensors"


def test_groups_name_how_the_map_was_read_out(four_runs):
    flipped = changed(four_runs[0], maps="layercam", test_flip=True)
    for grouped in (by_interpretation([*reversed(four_runs), flipped]), by_setting([*reversed(four_runs), flipped])):
        assert list(grouped) == ["cam", "cam_layercam_test_flip", "cmr", "cmr_beta_0"]
        assert [run.config.seed for run in grouped["cam"].runs] == [1, 0]  # as found
    assert grouped["cam_layercam_test_flip"].title == "CAM, layercam, test flip"
    assert interpretation(flipped, read_out=False).key == "cam"


def test_a_seed_counts_once(four_runs):
    for group in (by_setting, by_interpretation):
        once, twice = group(four_runs), group([*four_runs, *four_runs])
        assert {key: len(one.runs) for key, one in twice.items()} == {key: len(one.runs) for key, one in once.items()}
        assert sum(len(one.runs) for one in twice.values()) == len(four_runs)


def test_interpretations_of_two_settings_are_not_averaged(four_runs):
    with pytest.raises(ValueError, match="CAM stands for runs of different settings"):
        by_interpretation([*four_runs, changed(four_runs[0], epochs=9)])


def test_runs_on_different_data_are_not_called_the_same(four_runs):
    other = changed(four_runs[0], data={"test": replace(four_runs[0].record.data["test"], fingerprint="0" * 16)})
    with pytest.raises(ValueError, match="CAM stands for runs on different data"):
        by_setting([other, *four_runs])
    assert [group.key for group in same_setting([other, *four_runs])][:2] == ["cam", "cam"]


def test_picking_keeps_the_order_asked_for_and_leaves_out_what_was_not_run(four_runs):
    assert list(pick(by_setting(four_runs), "cmr", "has", "cam")) == ["cmr", "cam"]
