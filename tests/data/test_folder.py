"""One's own images: a folder with a CSV."""

import os
import unicodedata

import numpy as np
import pytest
from PIL import Image

from cmr.data import folder
from cmr.data.check import check
from cmr.errors import UserError

CSV = """path,label,x0,y0,x1,y1,split
heron/a.png,heron,1,2,20,10,test
owl/b.png,"owl, barn",,,,,train
heron/a.png,heron,0.5,0,3,4,test
heron/c.png,heron,,,,,train
"""


ALL = folder.Settings(test_percent=100)


@pytest.fixture
def root(tmp_path):
    path = tmp_path / "garden"
    (path / "heron").mkdir(parents=True)
    (path / "owl").mkdir()
    for i, name in enumerate(("heron/a", "owl/b", "heron/c")):
        Image.new("RGB", (20 + i, 10), (i, 0, 0)).save(path / f"{name}.png")
    (path / "images.csv").write_text(CSV)
    return path


def test_by_hand(root):
    train, test = folder.load(root, "train"), folder.load(root, "test")
    assert train.dataset == "garden"
    assert train.classes == test.classes == ("heron", "owl, barn")
    assert train.ids == ("owl/b.png", "heron/c.png")
    assert train.labels.tolist() == [1, 0]
    assert test.ids == ("heron/a.png",)
    assert test.sizes.tolist() == [[20, 10]]
    assert test.boxes[0].tolist() == [[1, 2, 20, 10], [0.5, 0, 3, 4]]
    assert train.boxes[0].shape == (0, 4)
    assert train.read(1)[0, 0].tolist() == [2, 0, 0]
    assert check(train, progress=False) == []


def test_columns_in_any_order_and_boxes_optional(root):
    (root / "list.csv").write_text("\ufefflabel, path\r\nheron,heron/a.png\r\n\r\nowl,owl/b.png\r\n", encoding="utf-8")
    split = folder.load(root, "test", folder.Settings(csv="list.csv", test_percent=100))
    assert split.ids == ("heron/a.png", "owl/b.png")
    assert split.classes == ("heron", "owl")
    with pytest.raises(UserError, match="list.csv: the list has no image of split train"):
        folder.load(root, "train", folder.Settings(csv="list.csv", test_percent=100))


def test_semicolons_and_decimal_commas(root):
    expected = folder.load(root, "test")
    rows = CSV.replace('"owl, barn"', "owl. barn").replace(",", ";").replace("0.5", "0,5")
    (root / "images.csv").write_text(rows)
    split = folder.load(root, "test")
    assert [box.tolist() for box in split.boxes] == [box.tolist() for box in expected.boxes]
    assert split.ids == expected.ids


def test_a_box_a_hair_outside_is_cut_and_the_check_says_so_once(root):
    (root / "images.csv").write_text(CSV.replace("1,2,20,10", "1,-1e-9,20.0000001,10.5"))
    split = folder.load(root, "test")
    assert split.boxes[0].tolist() == [[1, 0, 20, 10], [0.5, 0, 3, 4]]
    notes = []
    assert check(split, progress=False, notes=notes) == []
    assert notes[0] == f"{root / 'images.csv'}: 1 box was cut at the edge of its image"


def test_a_row_twice_is_noted(root):
    (root / "images.csv").write_text(CSV + "heron/a.png,heron,1,2,20,10,test\n")
    said = (f"{root / 'images.csv'}: 1 line says what an earlier one says, first line 6 (as line 2)",)
    assert folder.load(root, "test").notes == said


def test_boxes_in_fractions_are_found(root):
    rows = CSV.replace("1,2,20,10", "0.1,0.2,1,1").replace("0.5,0,3,4", "0.5,0,0.7,0.4")
    (root / "images.csv").write_text(rows)
    [problem] = check(folder.load(root, "test"), progress=False)
    assert "every box lies inside the first pixel of its image (0.1,0.2,1,1 of" in problem
    assert "images.csv, line 2" in problem and "give pixels" in problem
    (root / "images.csv").write_text(CSV.replace("1,2,20,10", "0.1,0.2,1,1"))
    assert check(folder.load(root, "test"), progress=False) == []


@pytest.mark.parametrize(
    ("stored", "listed", "what"),
    [
        (unicodedata.normalize("NFD", "m\xfcller.png"), "m\xfcller.png", "how its accents are stored"),
        ("UP.PNG", "up.png", "upper and lower case"),
    ],
)
def test_a_name_that_is_almost_there_is_said(root, stored, listed, what):
    (root / "heron" / "a.png").rename(root / "heron" / stored)
    (root / "images.csv").write_text(f"path,label,split\nheron/{listed},heron,test\n", encoding="utf-8")
    with pytest.raises(UserError, match=f"there is no such file .*line 2.; there is '.*{stored}', .* only in {what}"):
        folder.load(root, "test")


@pytest.mark.parametrize(
    ("encoding", "message"),
    [
        ("latin-1", r"text \(line 3: .*\); it may be Latin-1 \(Windows-1252\): save it again as UTF-8"),
        ("utf-16", "text; it looks like UTF-16: save it again as UTF-8"),
        ("utf-16-le", "text; it looks like UTF-16: save it again as UTF-8"),
    ],
)
def test_other_encodings_name_the_remedy(root, encoding, message):
    (root / "images.csv").write_bytes(CSV.replace("owl, barn", "Eisv\xf6gel").encode(encoding))
    with pytest.raises(UserError, match=f"images.csv: cannot be read as UTF-8 {message}"):
        folder.load(root, "test")


def test_without_a_split_column_the_division_is_stable(root):
    names = [f"heron/{i}.png" for i in range(300)]
    for name in names:
        Image.new("L", (2, 2)).save(root / name)
    header = "path,label\n"
    (root / "images.csv").write_text(header + "".join(f"{name},heron\n" for name in names[:200]))
    train, test = (set(folder.load(root, split).ids) for split in ("train", "test"))
    assert train | test == set(names[:200])
    assert not train & test
    assert 20 <= len(test) <= 60
    (root / "images.csv").write_text(header + "".join(f"{name},heron\n" for name in names[::-1]))
    assert test < set(folder.load(root, "test").ids)
    assert train < set(folder.load(root, "train").ids)
    assert test < set(folder.load(root, "test", folder.Settings(test_percent=60)).ids)


def test_classes_txt_gives_the_order(root):
    (root / "classes.txt").write_text("wren\nowl, barn\nheron\n")
    assert folder.load(root, "train").classes == ("wren", "owl, barn", "heron")
    assert folder.load(root, "train").labels.tolist() == [1, 2]
    (root / "classes.txt").write_text("wren\nheron\n")
    with pytest.raises(UserError, match="images.csv, line 3: unknown class 'owl, barn'"):
        folder.load(root, "test")
    (root / "images.csv").unlink()
    with pytest.raises(UserError, match=r"garden, whose classes stand in classes.txt: unknown class 'owl'"):
        folder.load(root, "train")
    (root / "images.csv").write_text(CSV)
    (root / "classes.txt").write_text("wren\nheron\nwren\n")
    with pytest.raises(UserError, match="classes.txt, line 3: class 'wren' is listed twice, first in line 1"):
        folder.load(root, "test")


def test_photographs_are_turned_upright_and_boxes_are_in_what_is_seen(root):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (20, 10)).save(root / "heron" / "a.png", exif=exif)
    with pytest.raises(UserError, match="line 2: box 1,2,20,10 lies outside its image of 10x20 pixels"):
        folder.load(root, "test")
    (root / "images.csv").write_text(CSV.replace("1,2,20,10", "1,2,10,20"))
    split = folder.load(root, "test")
    assert split.sizes.tolist() == [[10, 20]]
    assert split.read(0).shape == (20, 10, 3)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (CSV, "", "images.csv: the list is empty"),
        (CSV, "path,label\n", "images.csv: the list is empty"),
        ("label,", "lable,", "images.csv, line 1 names the columns: unknown column 'lable': did you mean 'label'"),
        ("path,label,", "path,split,", "line 1: the column 'split' is named twice; remove one"),
        ("path,label,x0", "path,label,label", "line 1: the column 'label' is named twice; remove one"),
        ("path,label", "PATH,Label", "line 1: the column 'PATH' is written with capitals; write 'path'"),
        (CSV, CSV.replace(",", "\t"), "line 1: the columns are divided by tabs; save the list with commas"),
        ('"owl, barn"', '"owl\nbarn"', "line 3: unexpected end of data: .*; a quote ends on the line where it begins"),
        (
            "owl/b.png",
            "./heron//a.png",
            "line 3: 'heron/a.png' is owl, barn of train here, but heron of test in line 2",
        ),
        ("heron/c.png", "heron/._c.png", "images.csv, line 5: 'heron/._c.png' is hidden, .* remove the line"),
        ("heron/c.png", "__MACOSX/c.png", "images.csv, line 5: '__MACOSX/c.png' is hidden"),
        ("1,2,20,10", "1,2,20.5000001,10", "line 2: box 1,2,20.5000001,10 lies outside its image of 20x10 pixels"),
        ("y1,split", "split", "images.csv, line 1: a box needs all of the columns x0,y0,x1,y1"),
        ("heron/c.png", "heron/../../c.png", "images.csv, line 5: path 'heron/../../c.png' may lead out"),
        ("heron/c.png", "/c.png", "images.csv, line 5: path '/c.png' may lead out"),
        ("heron/c.png", "", "images.csv, line 5: path '' may lead out"),
        ("heron/c.png,heron", "heron/c.png,", "images.csv, line 5: 'heron/c.png' has no label"),
        ("heron/c.png", "heron/x.png", r"heron.x.png: there is no such file \(.*images.csv, line 5\)"),
        (",,,,train\nheron/a", ",,,,trian\nheron/a", "images.csv, line 3: unknown split 'trian': did you mean 'train'"),
        ("heron,0.5,0", "owl,0.5,0", "line 4: 'heron/a.png' is owl of test here, but heron of test in line 2"),
        ("3,4,test", "3,4,train", "line 4: 'heron/a.png' is heron of train here, but heron of test in line 2"),
        ("1,2,20,10", "1,2,21,10", "images.csv, line 2: box 1,2,21,10 lies outside its image of 20x10 pixels"),
        ("0.5,0,3,4", "0.5,0,3,", "images.csv, line 4: box '0.5,0,3,' is not made of finite numbers"),
        ("0.5,0,3,4", "5,0,3,4", "images.csv, line 4: box 5,0,3,4 has no area"),
        (",,,,train\nheron/a", ",,,train\nheron/a", "images.csv, line 3: 6 fields, expected 7"),
        ('"owl, barn"', '"owl', "images.csv, line 3: unexpected end of data"),
    ],
)
def test_mistakes_name_file_and_line(root, old, new, message):
    assert old in CSV
    (root / "images.csv").write_text(CSV.replace(old, new, 1))
    with pytest.raises(UserError, match=message) as caught:
        [folder.load(root, split) for split in ("train", "test")]
    assert "\n" not in str(caught.value)


def test_other_mistakes(root):
    with pytest.raises(UserError, match="list.csv: there is no such list file"):
        folder.load(root, "train", folder.Settings(csv="list.csv"))
    with pytest.raises(UserError, match="images.csv: the list has no image of split val"):
        folder.load(root, "val")
    with pytest.raises(UserError, match="test_percent: 101 is out of range; give 0 to 100"):
        folder.load(root, "train", folder.Settings(test_percent=101))
    (root / "images.csv").write_bytes(b"path,label\n\xff\xfe,heron\n")
    with pytest.raises(UserError, match="images.csv: cannot be read as UTF-8 text"):
        folder.load(root, "train")


def test_a_path_through_a_link_stays_a_path(root, tmp_path):
    """Images may be linked into the root; only the list may not lead out of it."""
    (tmp_path / "store").mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "store" / "d.png")
    (root / "linked").symlink_to(tmp_path / "store")
    (root / "images.csv").write_text("path,label,split\nlinked/d.png,heron,train\n")
    assert np.array_equal(folder.load(root, "train").sizes, [[4, 4]])


@pytest.fixture
def classes(tmp_path):
    """Eight pictures in two class folders, one of them a level deeper."""
    path = tmp_path / "birds"
    names = [f"heron/{i}.png" for i in range(4)] + [f"owl/{i}.jpg" for i in range(3)] + ["owl/old/3.webp"]
    for i, name in enumerate(names):
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20 + i, 10), (i, 0, 0)).save(path / name)
    return path


def test_folders_are_classes_where_there_is_no_list(classes):
    (classes / "owl" / "notes.txt").write_text("no picture")
    (classes / "owl" / "._2.jpg").write_text("none either")
    parts = [folder.load(classes, split) for split in ("train", "test")]
    names = [name for part in parts for name in part.ids]
    assert len(names) == 8 and {"heron/0.png", "owl/old/3.webp"} < set(names)
    assert all(part.classes == ("heron", "owl") and len(part) for part in parts)
    for part in parts:
        assert part.labels.tolist() == [int(name.startswith("owl")) for name in part.ids]
        assert all(len(boxes) == 0 for boxes in part.boxes)
        assert check(part, progress=False) == []
    alone = folder.load(classes, "test", folder.Settings(test_percent=100))
    assert alone.ids == tuple(sorted(names)) and alone.sizes[0].tolist() == [20, 10]


def test_folders_named_as_splits_hold_the_class_folders(classes, tmp_path):
    root = tmp_path / "divided"
    for split, names in {"train": ("heron", "owl"), "test": ("owl",)}.items():
        for name in names:
            (root / split / name).mkdir(parents=True)
            Image.new("RGB", (9, 9)).save(root / split / name / "a.png")
    train, test = folder.load(root, "train"), folder.load(root, "test")
    assert (train.ids, test.ids) == (("train/heron/a.png", "train/owl/a.png"), ("test/owl/a.png",))
    assert train.classes == test.classes == ("heron", "owl") and test.labels.tolist() == [1]
    with pytest.raises(UserError, match=r"divided: there is no image of split val; put its pictures into val/CLASS"):
        folder.load(root, "val")
    Image.new("RGB", (9, 9)).save(root / "test" / "b.png")
    with pytest.raises(UserError, match=r"test/b.png: lies in no class folder; put it into test/CLASS, as test and tr"):
        folder.load(root, "train")


def test_no_folder_named_is_not_the_working_folder(classes, monkeypatch):
    monkeypatch.chdir(classes)
    with pytest.raises(UserError, match="data_root: no folder of pictures was given"):
        folder.load("", "train")
    assert len(folder.load(".", "test", ALL)) == 8


def test_what_is_no_folder_of_pictures_is_told(classes, tmp_path):
    Image.new("RGB", (9, 9)).save(classes / "loose.png")
    assert folder.load(classes, "train").notes == (f"{classes}: 1 picture beside the class folders, left out",)
    with pytest.raises(UserError, match="nowhere: there is no such folder"):
        folder.load(tmp_path / "nowhere", "train")
    (tmp_path / "empty" / "heron").mkdir(parents=True)
    with pytest.raises(UserError, match=r"empty: there is neither a list images.csv nor a folder with pictures"):
        folder.load(tmp_path / "empty", "train")
    (classes / "wren").mkdir()
    assert "no picture in wren, which makes no class" in folder.load(classes, "train").notes[0]
    (classes / "owl" / "1.jpg").write_text("no picture")
    (classes / "owl" / "2.jpg").write_text("none either")
    said = r"owl/1.jpg: cannot be read as an image \(.*\); replace the file or remove it\n.*owl/2.jpg: cannot be read"
    with pytest.raises(UserError, match=said):
        folder.load(classes, "test", folder.Settings(test_percent=100))


@pytest.mark.parametrize("test_percent", [1, 99])
def test_neither_training_nor_test_is_left_empty(classes, test_percent):
    settings = folder.Settings(test_percent=test_percent)
    sizes = {split: len(folder.load(classes, split, settings)) for split in ("train", "test")}
    assert sizes == ({"train": 6, "test": 2} if test_percent == 1 else {"train": 2, "test": 6})
    assert all(set(folder.load(classes, split, settings).labels) == {0, 1} for split in ("train", "test"))


def test_class_folders_may_be_links_and_none_leads_in_circles(classes, tmp_path):
    linked = tmp_path / "linked"
    linked.mkdir()
    (linked / "heron").symlink_to(classes / "heron")
    (linked / "owl").symlink_to(classes / "owl")
    (classes / "owl" / "up").symlink_to(classes)
    (classes / "heron" / "round").symlink_to(linked)
    part = folder.load(linked, "test", folder.Settings(test_percent=100))
    assert part.classes == ("heron", "owl")
    assert len(part) >= 8 and {"heron/0.png", "owl/old/3.webp"} < set(part.ids)


@pytest.mark.skipif(os.name != "posix", reason="names of files are Unicode")
def test_a_name_that_is_not_utf_8_is_a_name(tmp_path):
    (tmp_path / "wren").mkdir()
    try:
        for name in (b"a", b"caf\xe9"):
            with open(os.fsencode(tmp_path) + b"/wren/" + name + b".png", "wb") as file:
                Image.new("RGB", (4, 4)).save(file, format="PNG")
    except OSError:
        pytest.skip("this file system takes no such name")
    found = [name for split in ("train", "test") for name in folder.load(tmp_path, split).ids]
    assert sorted(found) == ["wren/a.png", "wren/caf\udce9.png"]
