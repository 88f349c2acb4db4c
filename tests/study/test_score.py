"""A folder of maps scored against list files: the benchmark's values, both ways to name maps, and what goes wrong."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from cmr.cli import main
from cmr.errors import UserError
from cmr.maps.locate import normalise, resize
from cmr.metrics import WSOLMetrics
from cmr.metrics.baselines import centre_map
from cmr.study.score import evaluate_folder, find_maps, load_map, read_lists

pytestmark = pytest.mark.slow

IDS = ("a/one.jpg", "a/two.jpg", "b/three.png")
BY_HAND = np.array([[0, 0, 0, 0, 0], [0, 0.4, 0.4, 0.4, 0.6], [0, 0.4, 1, 0.8, 0.6], [0, 0.4, 0.4, 0.4, 0.6]])


def lists(folder, ids=IDS, size=(5, 4), box="1,1,4,3"):
    folder.mkdir(parents=True, exist_ok=True)
    rows = {
        "image_ids": "{0}",
        "class_labels": "{0},0",
        "image_sizes": f"{{0}},{size[0]},{size[1]}",
        "localization": f"{{0}},{box}",
    }
    for name, row in rows.items():
        (folder / f"{name}.txt").write_text("\n".join(row.format(i) for i in ids))
    return folder


def save(folder, name, array):
    path = folder / f"{name}.npy"
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, array)
    return path


@pytest.fixture
def metadata(tmp_path):
    return lists(tmp_path / "metadata")


@pytest.fixture
def maps(tmp_path):
    for name in IDS:
        save(tmp_path / "maps", name, BY_HAND)
    return tmp_path / "maps"


def test_scores_by_hand_and_writes_json_and_picture(tmp_path, metadata, maps, capsys):
    out = tmp_path / "scores.json"
    main(["score", "--scoremaps", str(maps), "--metadata", str(metadata), "--out", str(out)])
    said = capsys.readouterr().out
    assert "3 maps: 3 of 5x4 pixels" in said and "GT-known Loc   100.00" in said
    written = json.loads(out.read_text())
    # tau .2 gives the box (1, 1, 4, 3), the true one
    assert written["result"]["GT-known Loc"] == 100 and written["result"]["mean IoU"] == 100
    assert written["result"]["images"] == 3 and written["grids"] == {"5x4": 3}
    assert written["fingerprint"] == read_lists(metadata).fingerprint
    with Image.open(out.with_suffix(".png")) as picture:
        assert picture.size[0] > 900
    assert sorted(p.name for p in tmp_path.iterdir()) == ["maps", "metadata", "scores.json", "scores.png"]


def test_both_names_types_and_sizes_may_be_mixed(tmp_path, metadata):
    folder = tmp_path / "maps"
    save(folder, "a/one.jpg", (BY_HAND * 255).astype(np.uint8))
    save(folder, "a/two", BY_HAND.astype(np.float16))
    save(folder, "b/three", np.kron(BY_HAND, np.ones((2, 2))).astype(">f4"))
    evaluated = evaluate_folder(folder, metadata, progress=False)
    assert evaluated.grids == {"5x4": 2, "10x8": 1}
    assert evaluated.result.gt_known_loc == 100
    assert evaluated.result.baselines is None


def test_raw_low_maps_are_enlarged_and_normalised(tmp_path):
    metadata = lists(tmp_path / "metadata", size=(100, 100), box="25,25,75,75")
    raw = np.full((4, 4), -3.0)
    raw[1:3, 1:3] = 7
    for name in IDS:
        save(tmp_path / "maps", name, raw)
    asked = {"normalise": "minmax", "size": 64, "progress": False}
    evaluated = evaluate_folder(tmp_path / "maps", metadata, threshold=0.5, **asked)
    assert evaluated.grids == {"64x64": 3} and evaluated.size == 64
    scoremap = normalise(resize(raw[None], 64))
    direct = WSOLMetrics(threshold=0.5)
    direct.update(scoremap, None, None, [np.array([[16, 16, 48, 48]])], ["x"])
    assert evaluated.result.mean_iou == direct.result().mean_iou > 80
    assert evaluated.result.baselines["full image"].max_box_acc_v2 == 0


def test_the_benchmarks_centre_value_from_files(shared, tmp_path):
    source = shared / "conformance/metadata/CUB/val"
    centre = (centre_map(224)[0].numpy() * 255).astype(np.uint8)
    names = (source / "image_ids.txt").read_text().splitlines()
    for name in names:
        save(tmp_path, name, centre)
    result = evaluate_folder(tmp_path, source, step=0.001, progress=False).result
    right = [round(result.max_box_acc_at[delta].all_contours, 1) for delta in (30, 50, 70)]
    assert right == [87.7, 45.2, 9.4]
    assert result.baselines["centred box"].curve[50] == pytest.approx(45.2)


def test_missing_extra_and_doubled_maps_are_named(maps):
    expected = r"expected c\.jpg\.npy or c\.npy or c\.jpg\.npz or c\.npz \(3 maps there, 4"
    with pytest.raises(UserError, match=rf"image 'c\.jpg' has no map; {expected}"):
        find_maps(maps, (*IDS, "c.jpg"))
    with pytest.raises(UserError, match=r"three\.png\.npy: belongs to no image of the list \(1 such of 3 maps\)"):
        find_maps(maps, IDS[:2])
    save(maps, "a/one", BY_HAND)
    with pytest.raises(UserError, match=r"image 'a/one\.jpg' has two maps, a/one\.jpg\.npy and a/one\.npy"):
        find_maps(maps, IDS)
    (maps / "a/one.npy").unlink()
    np.savez(maps / "a/one.jpg.npz", BY_HAND)
    with pytest.raises(UserError, match=r"image 'a/one\.jpg' has two maps, a/one\.jpg\.npy and a/one\.jpg\.npz"):
        find_maps(maps, IDS)
    with pytest.raises(UserError, match="no such folder of score maps"):
        find_maps(maps / "nowhere", IDS)


def test_maps_behind_links_are_found_and_twins_passed_over(tmp_path, maps):
    maps.rename(tmp_path / "elsewhere")
    maps.mkdir()
    (maps / "a").symlink_to(tmp_path / "elsewhere" / "a")
    (maps / "b").symlink_to("../elsewhere/b")
    (tmp_path / "elsewhere" / "a" / "back").symlink_to(maps)  # would go round for ever
    (tmp_path / "elsewhere" / "a" / "._one.jpg.npy").write_bytes(b"\0\5\26\7")
    assert find_maps(maps, IDS) == [maps / f"{name}.npy" for name in IDS]


@pytest.mark.parametrize(
    "array", [BY_HAND[None], BY_HAND[..., None], (BY_HAND * 65535).round().astype(np.uint16), BY_HAND.astype(">f2")]
)
def test_the_forms_in_which_others_save_a_map(tmp_path, array):
    path = save(tmp_path, "x", array)
    assert np.allclose(load_map(path, "x"), BY_HAND, atol=1e-3)
    np.savez_compressed(tmp_path / "x.npz", cam=array)
    assert np.array_equal(load_map(tmp_path / "x.npz", "x"), load_map(path, "x"))


def test_several_arrays_or_a_broken_archive_are_no_map(tmp_path):
    np.savez(tmp_path / "x.npz", cam=BY_HAND, other=BY_HAND)
    with pytest.raises(UserError, match=r"x\.npz: .* 'x' holds 2 arrays \(cam, other\); expected one"):
        load_map(tmp_path / "x.npz", "x")
    content = (tmp_path / "x.npz").read_bytes()
    for broken in (content[:99], content[:-30]):
        (tmp_path / "x.npz").write_bytes(broken)
        with pytest.raises(UserError, match="cannot be read as an .npy array"):
            load_map(tmp_path / "x.npz", "x")


def test_images_that_differ_in_suffix_only_do_not_share_a_map(tmp_path):
    save(tmp_path, "a", BY_HAND)
    with pytest.raises(UserError, match=r"image 'a\.png' has no map"):
        find_maps(tmp_path, ("a.jpg", "a.png"))


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (BY_HAND * 3, r"'a/one\.jpg' lies between 0 and 3; expected numbers in \[0, 1\].*--normalise minmax"),
        (BY_HAND - 0.1, r"'a/one\.jpg' lies between -0\.1 and 0\.9"),
        (BY_HAND * np.nan, r"'a/one\.jpg' holds NaN"),
        (np.where(BY_HAND == 1, np.inf, 0), r"'a/one\.jpg' holds NaN or an infinity"),
        (np.stack([BY_HAND, BY_HAND]), r"'a/one\.jpg' has shape \(2, 4, 5\); expected \(height, width\)"),
        (BY_HAND.astype(int), r"'a/one\.jpg' is int64"),
        (np.array([[{}]]), r"'a/one\.jpg' cannot be read as an \.npy array \(Object arrays cannot be loaded"),
    ],
)
def test_maps_that_are_none(metadata, maps, array, message):
    np.save(maps / "a/one.jpg.npy", array, allow_pickle=True)
    with pytest.raises(UserError, match=message):
        evaluate_folder(maps, metadata, progress=False)


def test_headers_are_parsed_by_one_thread_at_a_time(tmp_path, monkeypatch):
    """Python 3.11's parser fails when two threads are in it."""
    inside, at_once, load = [], [], np.load

    def slow(*arguments, **options):
        inside.append(1)
        at_once.append(len(inside))
        time.sleep(0.01)
        inside.pop()
        return load(*arguments, **options)

    monkeypatch.setattr(np, "load", slow)
    for i in range(8):
        save(tmp_path, str(i), BY_HAND)
    with ThreadPoolExecutor(8) as pool:
        read = list(pool.map(lambda i: load_map(tmp_path / f"{i}.npy", str(i)), range(8)))
    assert at_once == [1] * 8
    assert all(np.array_equal(array, BY_HAND) for array in read)


def test_a_file_cut_short_is_named(maps):
    path = maps / "a/one.jpg.npy"
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(UserError, match=r"one\.jpg\.npy: the map of image 'a/one\.jpg' cannot be read"):
        load_map(path, "a/one.jpg")
    path.write_bytes(b"")
    with pytest.raises(UserError, match="cannot be read"):
        load_map(path, "a/one.jpg")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--metadata"),
        (["--scoremaps", "s"], "--metadata"),
        (["--scoremaps", "s", "--metadata", "m", "--run", "r"], "--run"),
        (["--scoremaps", "s", "--metadata", "m", "--out", "o.txt"], "ends in .json"),
        (["--scoremaps", "s", "--metadata", "m", "--normalise", "minmix"], "minmix"),
        (["--scoremaps", "s", "--metadata", "m", "--size", "224"], "enlarging overshoots"),
        (["--scoremaps", "s", "--metadata", "m"], "there is no such list file"),
    ],
)
def test_command_line_says_what_is_wrong(arguments, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["score", *arguments])
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


def test_boxes_in_fractions_are_refused(metadata):
    lists(metadata, box="0.1,0.1,0.9,1")
    with pytest.raises(UserError, match="localization.txt: every box lies inside the first pixel .* give pixels"):
        read_lists(metadata)


def test_lists_without_boxes_are_refused(metadata):
    (metadata / "localization.txt").unlink()
    with pytest.raises(UserError, match="there is no box to score maps against"):
        read_lists(metadata)
