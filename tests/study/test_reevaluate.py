"""Testing a trained model again under other test settings; looking at several sizes."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from cmr.cli import main
from cmr.errors import UserError
from cmr.maps.multiscale import at_scales
from cmr.presets import make
from cmr.study import runs
from cmr.study.reevaluate import changed, command, reevaluate
from cmr.study.training import train


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return train(make("tiny", method="cmr", epochs=1), tmp_path_factory.mktemp("runs"), progress=False)


def test_nothing_changed_repeats_the_result(trained):
    again = reevaluate(trained, trained.config, progress=False)
    assert again.gt_known_loc == pytest.approx(trained.result.gt_known_loc, abs=1e-3)
    assert again.top1_clas == pytest.approx(trained.result.top1_clas, abs=1e-3)


def test_a_new_record_says_what_was_trained_and_what_was_changed(trained, tmp_path):
    config = changed(trained.config, {"test_modules": "on", "test_scales": [1.0, 1.5], "precise_bn": True})
    result = reevaluate(trained, config, tmp_path, progress=False)
    (again,) = runs.find(tmp_path)
    assert again.id != trained.id
    assert again.config.settings.test_modules == "on"
    assert again.config.test_scales == (1.0, 1.5)
    assert again.record.trained.id == trained.id
    assert again.result.max_box_acc_v2 == pytest.approx(result.max_box_acc_v2, abs=1e-3)
    assert again.outcomes()["maps"].shape[1:] == (6, 6)  # 32 px in cells of 8, enlarged 1.5 times


def unreachable(*_args, **_options):
    raise AssertionError("the work began")


def test_a_place_that_cannot_be_written_is_told_before_the_work(trained, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr("cmr.study.reevaluate.evaluate", unreachable)
    with pytest.raises(FileExistsError):
        reevaluate(trained, changed(trained.config, {"test_flip": True}), tmp_path / "file", progress=False)


def test_a_test_without_what_all_classes_share_says_how_far_the_views_agree(trained):
    asked = {
        "raw": {},
        "mean_free": {"test_map": "mean_free"},
        "cropped": {"test_map": "mean_free", "test_crop": "classic"},
    }
    found = {
        name: reevaluate(trained, changed(trained.config, change), progress=False) for name, change in asked.items()
    }
    assert -1 <= found["mean_free"].agreement.own <= 1
    assert found["raw"].agreement is found["cropped"].agreement is None
    assert found["mean_free"].top1_clas == found["raw"].top1_clas


def test_precise_batch_norm_is_that_of_training(trained, tmp_path):
    asked = make("tiny", method="cmr", epochs=1, precise_bn=True)
    precise = train(asked, tmp_path, progress=False)
    whole = precise.outcomes()["maps"]
    torch.manual_seed(77)  # what was drawn before does not count
    reevaluate(trained, changed(trained.config, {"precise_bn": True}), tmp_path / "again", progress=False)
    assert np.array_equal(runs.find(tmp_path / "again")[0].outcomes()["maps"], whole)
    assert not np.array_equal(trained.outcomes()["maps"], whole)
    with pytest.raises(UserError, match="precise_bn replaced its batch-norm statistics, and no others are kept"):
        reevaluate(precise, changed(precise.config, {"precise_bn": False}), tmp_path / "plain", progress=False)
    assert not (tmp_path / "plain").exists()


def test_the_same_test_does_not_overwrite_the_record_of_the_training(trained):
    before = (trained.path / runs.RECORD).read_bytes()
    with pytest.raises(UserError, match="is a training's own record, which this test would overwrite"):
        reevaluate(trained, trained.config, trained.path.parent, progress=False)
    assert (trained.path / runs.RECORD).read_bytes() == before


def test_the_methods_own_test_settings_reach_the_method(trained, tmp_path):
    maps = {}
    for branch in ("x", "x_tilde", "mean"):
        out = tmp_path / branch
        reevaluate(trained, changed(trained.config, {"test_branch": branch}), out, progress=False)
        maps[branch] = runs.find(out)[0].outcomes()["maps"]
    assert abs(maps["x"] - maps["x_tilde"]).max() > 1e-3
    np.testing.assert_allclose(maps["mean"], (maps["x"] + maps["x_tilde"]) / 2, atol=1e-4)


def test_what_needs_training_is_refused(trained):
    with pytest.raises(UserError, match="unknown test setting 'beta'"):
        changed(trained.config, {"beta": 1.0})
    with pytest.raises(UserError, match="test_modules: 'of' is not one of off, on"):
        changed(trained.config, {"test_modules": "of"})
    with pytest.raises(UserError, match="test_scales: .* is out of range; give 0.1 to 16"):
        changed(trained.config, {"test_scales": [0.0]})
    for wrong, message in (
        ("abc", "'abc' is not a list"),
        (1.5, r"1.5 is not a list; give \[1.5\]"),
        (["a"], "'a' is not"),
    ):
        with pytest.raises(UserError, match=f"test_scales: {message}"):
            changed(trained.config, {"test_scales": wrong})
    assert changed(trained.config, {"test_scales": (1, 2)}).test_scales == (1.0, 2.0)


def test_command_line(trained, tmp_path, capsys):
    main(["evaluate", "--run", str(trained.path), "--set", "test_flip=true", "--record", str(tmp_path)])
    assert "GT-known Loc" in capsys.readouterr().out
    (again,) = runs.find(tmp_path)
    assert again.config.test_flip
    with pytest.raises(SystemExit) as stop:
        main(["evaluate", "--run", str(trained.path), "--set", "test_flips=true"])
    assert stop.value.code == 2
    assert "did you mean 'test_flip'" in capsys.readouterr().err


def test_one_scale_is_the_method_itself():
    def look(images):
        return images.mean((2, 3)), images

    assert at_scales(look) is look


def test_mirrored_map_is_mirrored_back():
    images = torch.rand(2, 3, 16, 16)
    logits, maps = at_scales(lambda x: (x.mean((2, 3)), x), flip=True)(images)
    torch.testing.assert_close(maps, images)
    torch.testing.assert_close(logits, images.mean((2, 3)))


def test_maps_are_averaged_on_the_finest_grid():
    def look(images):
        side = images.shape[-1] // 16
        return torch.full((1, 1), float(side)), torch.full((1, 1, side, side), float(side))

    logits, maps = at_scales(look, (1.0, 2.0))(torch.zeros(1, 3, 32, 32))
    assert logits.item() == 3.0  # (2 + 4) / 2
    assert maps.shape == (1, 1, 4, 4)
    torch.testing.assert_close(maps, torch.full_like(maps, 3.0))


def test_enlarged_sides_are_multiples_of_a_large_stride_too():
    sides = []

    def look(images):
        sides.append(images.shape[2:])
        return images.mean((2, 3)), images[:, :, ::32, ::32]

    at_scales(look, (1.5,), stride=32)(torch.zeros(1, 3, 224, 224))
    at_scales(look, (1.5,), stride=8)(torch.zeros(1, 3, 224, 224))
    assert [tuple(side) for side in sides] == [(320, 320), (336, 336)]


def test_data_of_other_classes_are_named(trained):
    other = dataclasses.replace(trained.config.data_settings, classes=3)
    with pytest.raises(UserError, match=r"data_root: ToyBirds has 3 classes, not the 4 that the run was trained on \("):
        reevaluate(trained, dataclasses.replace(trained.config, data_settings=other), progress=False)


def test_a_run_is_read_by_its_folder_or_its_record(trained):
    assert runs.read(trained.path / runs.RECORD).path == runs.read(trained.path).path == trained.path


def test_the_command_holds_no_path_of_this_machine(tmp_path):
    run = SimpleNamespace(path=tmp_path / "runs" / "a", config=make("tiny", method="cam"))
    said = command(run, run.config, tmp_path / "mine", "layercam")
    assert said == "cmr evaluate --run a --record mine --maps layercam"
