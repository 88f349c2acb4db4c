"""DDT on a data set: components of training images only, records, titles, and what is refused."""

import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image

from cmr.cli import main
from cmr.errors import UserError
from cmr.maps.ddt import Descriptors, image_maps
from cmr.metrics import gt_boxes
from cmr.metrics.boxes import box_iou
from cmr.study import frozen
from cmr.study.ddt import Sources, chosen, command, components_of, maps_of, measure, title
from cmr.study.record import configuration
from cmr.study.settings import DDT

TINY = DDT(preset="tiny", image_size=32, device="cpu")


@pytest.fixture(scope="module")
def sources() -> Sources:
    return Sources(TINY, configuration(dataclasses.asdict(TINY)), progress=False)


def test_the_component_is_made_of_training_images(sources):
    direct = Descriptors(128)
    for features, _labels, _index in sources.features(sources.train).batches():
        direct.update(features)
    found = components_of(TINY, sources)
    assert list(found) == [0]
    assert torch.allclose(found[0].direction, direct.component().direction)
    maps = maps_of(TINY, found, sources, sources.test)
    test = next(sources.features(sources.test).batches())[0]
    assert torch.equal(maps[: len(test)], direct.component().maps(test))


def test_one_component_per_class_is_that_of_its_images(sources):
    settings = dataclasses.replace(TINY, component="class")
    found = components_of(settings, sources)
    assert list(found) == list(range(4))
    members = np.flatnonzero(sources.train.labels == 2)
    direct = Descriptors(128)
    for features, labels, _index in sources.features(sources.train).batches(members):
        assert (labels == 2).all()
        direct.update(features)
    assert torch.allclose(found[2].direction, direct.component().direction)
    maps = maps_of(settings, found, sources, sources.test)
    features, labels, _index = next(sources.features(sources.test).batches())
    one = int((labels == 2).nonzero()[0])
    assert torch.allclose(maps[one], direct.component().maps(features[one : one + 1])[0], atol=1e-6)


def test_images_of_their_own_need_no_training_image(sources):
    settings = dataclasses.replace(TINY, component="image")
    assert components_of(settings, sources) == {}
    test = next(sources.features(sources.test).batches())[0]
    assert torch.equal(maps_of(settings, {}, sources, sources.test)[: len(test)], image_maps(test))


def test_mirrored_maps_are_averaged_where_they_belong(sources):
    component = components_of(TINY, sources)
    plain = maps_of(TINY, component, sources, sources.test)
    both = maps_of(dataclasses.replace(TINY, flip=True), component, sources, sources.test)
    mirrored = sources.features(sources.test, mirrored=True).batches()
    turned = torch.cat([component[0].maps(features) for features, _labels, _index in mirrored])
    assert torch.allclose(both, (plain + turned) / 2, atol=1e-6)
    assert not torch.equal(plain, both)


def test_drawn_images_are_few_different_and_follow_the_seed(sources):
    few = dataclasses.replace(TINY, images=5)
    (one,), (same,), (other,) = (chosen(sources.train, dataclasses.replace(few, seed=seed)) for seed in (0, 0, 1))
    assert len(set(one)) == 5 and (one == same).all() and set(one) != set(other)
    by_class = chosen(sources.train, dataclasses.replace(few, component="class"))
    assert all((sources.train.labels[group] == label).all() for label, group in enumerate(by_class))
    assert [len(group) for group in by_class] == [5] * 4


def test_the_record_is_what_its_command_gives_again(tmp_path, capsys):
    settings = dataclasses.replace(TINY, component="class", flip=True)
    run = measure(settings, tmp_path, progress=False)
    assert run.record.uses == "labels" and run.record.title == "DDT per class, flip"
    assert len(run.record.explained) == 4 and all(0 < share < 1 for share in run.record.explained)
    found = run.result
    assert None not in (found.gt_known_loc, found.max_box_acc_v2, found.pxap, found.parts, found.baselines)
    assert found.top1_loc is None
    outcomes = run.outcomes()
    assert set(outcomes) == {"label", "iou", "box", "maps", "map_index"}
    assert run.result.gt_known_loc == pytest.approx(100 * (outcomes["iou"] >= 0.5).mean(), abs=1e-4)
    words = run.record.command.split()
    main([*words[1:-1], str(tmp_path / "again")])
    assert "DDT per class, flip on ToyBirds (32 test images)" in capsys.readouterr().out
    (again,) = frozen.find(tmp_path / "again")
    assert again.id == run.id and again.result == run.result
    stamp = (run.path / frozen.RECORD).stat().st_mtime_ns
    assert measure(settings, tmp_path, progress=False).record == run.record
    assert (run.path / frozen.RECORD).stat().st_mtime_ns == stamp
    measure(settings, tmp_path, rerun=True, progress=False)
    assert (run.path / frozen.RECORD).stat().st_mtime_ns != stamp


def test_kept_features_give_the_same_result(tmp_path):
    made = measure(TINY, tmp_path / "a", progress=False)
    kept = measure(TINY, tmp_path / "b", tmp_path / "features", progress=False)
    other = measure(dataclasses.replace(TINY, images=5), tmp_path / "b", tmp_path / "features", progress=False)
    assert kept.result == made.result != other.result
    assert len(list((tmp_path / "features").iterdir())) == 2


def test_features_of_other_pixels_are_not_taken_for_these(tmp_path, monkeypatch):
    from cmr.study import ddt

    measure(TINY, tmp_path / "a", tmp_path / "features", progress=False)
    monkeypatch.setattr(ddt, "content_fingerprint", lambda split: "edited")
    measure(TINY, tmp_path / "b", tmp_path / "features", progress=False)
    assert len(list((tmp_path / "features").iterdir())) == 4


def test_random_weights_follow_the_seed(tmp_path):
    asked = [dataclasses.replace(TINY, weights="none", seed=seed) for seed in (0, 0, 1)]
    kept = tmp_path / "features"
    found = [measure(one, tmp_path / str(i), kept if i else "", progress=False).result for i, one in enumerate(asked)]
    assert found[0] == found[1] != found[2]


def test_the_kept_boxes_are_those_that_were_scored(tmp_path, sources):
    run = measure(TINY, tmp_path, progress=False)
    boxes = gt_boxes(sources.test.boxes, sources.test.sizes, 32)
    outcomes = run.outcomes()
    iou = [box_iou(box[None], true).max() for box, true in zip(outcomes["box"], boxes, strict=True)]
    assert outcomes["iou"] == pytest.approx(np.array(iou), abs=1e-6)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (DDT(), "DDT"),
        (DDT(images=1), "DDT, 1 image"),
        (DDT(component="image", stride=4), "DDT per image, stride 4"),
        (DDT(normalise="minmax", threshold=0.2, images=5), "DDT, 5 images, minmax, tau 0.2"),
    ],
)
def test_titles_say_what_is_not_plain(settings, expected):
    assert title(settings) == expected


def test_the_command_holds_every_setting(tmp_path):
    changed = DDT("cub", str(tmp_path / "birds"), "paper", "resnet18", "a.pth", 8, ("layer3", "last"), "class", 3,
                  96, True, "minmax", 0.1, "32-true", 4, 2, "cpu")  # fmt: skip
    words = command(changed, "runs").split()
    for item in dataclasses.fields(DDT):
        assert f"--{item.name.replace('_', '-')}" in words
    assert str(tmp_path) not in " ".join(words)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"images": 5, "component": "image"},
            "^images: 5 has no meaning where each test image has a component of its own",
        ),
        ({"component": "classes"}, "^component: 'classes' is not one of set, class, image"),
        ({"threshold": 1.0}, "^threshold: 1.0 is out of range"),
    ],
)
def test_settings_that_cannot_be_are_named(changes, message):
    with pytest.raises(UserError, match=message):
        dataclasses.replace(TINY, **changes)


def test_mistakes_end_in_one_message(tmp_path, capsys):
    for words, message in (
        (["--layers", "layer9"], "cmr: unknown layer of tiny 'layer9': did you mean 'layer"),
        (["--data", "cub", "--data-root", "gone"], "gone"),
        (["--backbone", "tyni"], "cmr: unknown backbone 'tyni': did you mean 'tiny'?"),
        (["--weights", "gone.pth"], "cmr: weights: there is no file 'gone.pth'"),
    ):
        with pytest.raises(SystemExit) as end:
            main(["ddt", "--preset", "tiny", "--out", str(tmp_path / "runs"), *words])
        assert end.value.code == 2
        assert message in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_a_class_without_training_images_is_named(sources):
    lonely = dataclasses.replace(TINY, component="class")
    kept = sources.train
    try:
        sources.train = kept.subset(np.flatnonzero(kept.labels != 1))
        with pytest.raises(UserError, match=f"class '{kept.classes[1]}' has test and no training images"):
            components_of(lonely, sources)
    finally:
        sources.train = kept


def test_a_place_that_cannot_be_written_is_told_before_the_work(tmp_path, monkeypatch):
    def unreachable(*_args):
        raise AssertionError("the work began")

    (tmp_path / "file").write_text("")
    monkeypatch.setattr("cmr.study.ddt.components_of", unreachable)
    with pytest.raises(FileExistsError):
        measure(TINY, tmp_path / "file", progress=False)


def test_data_without_boxes_are_refused_before_the_work(tmp_path):
    for label in ("jay", "wren"):
        (tmp_path / "birds" / label).mkdir(parents=True)
        for i in range(3):
            Image.new("RGB", (40, 30), (60 * i, 0, 0)).save(tmp_path / "birds" / label / f"{i}.png")
    with pytest.raises(UserError, match="birds: no test image has a true box, and nothing else can be measured"):
        measure(dataclasses.replace(TINY, data="folder", data_root=str(tmp_path / "birds")), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_command_holds_no_path_of_this_machine(tmp_path):
    assert command(DDT(component="class"), tmp_path / "mine") == "cmr ddt --component class --out mine"
