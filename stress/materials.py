"""What is attacked: small pictures, lists, weights, maps, notebooks, and commands that write."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from stress.attempt import TRAIN
from stress.runs import copied

SEEDS = 3
SIZE = (50, 40)  # width and height of a picture


def picture(path: Path, seed: int = 0, size: tuple[int, int] = SIZE, **how: object) -> Path:
    """A picture of smooth colours, which any format can hold."""
    path.parent.mkdir(parents=True, exist_ok=True)
    small = np.random.default_rng(seed).integers(0, 255, (3, 3, 3), np.uint8)
    image = Image.fromarray(small).resize(size, Image.Resampling.BICUBIC)
    (image.convert("P") if path.suffix == ".gif" else image).save(path, **how)
    return path


def own_folder(root: Path) -> Path:
    """A data set as `--data folder` reads it: six pictures, two classes."""
    rows = ["path,label,x0,y0,x1,y1,split"]
    for i in range(6):
        picture(root / f"{i}.png", i)
        rows.append(f"{i}.png,{'ab'[i % 2]},{i + 1},2,{30 + i},30,{'train' if i < 4 else 'test'}")
    (root / "images.csv").write_text("\n".join(rows) + "\n")
    return root


def lists(root: Path) -> Path:
    """A data set with the benchmark's list files, two classes, and maps of its test images."""
    (root / "metadata").mkdir(parents=True)
    (root / "metadata" / "classes.txt").write_text("0,n01440764,0\n1,n01443537,1\n")
    for split in ("train", "test"):
        ids = [f"{split}/{i}.png" for i in range(4)]
        folder = root / "metadata" / split
        folder.mkdir()
        texts = {
            "image_ids": ids,
            "class_labels": [f"{name},{i % 2}" for i, name in enumerate(ids)],
            "image_sizes": [f"{name},{SIZE[0]},{SIZE[1]}" for name in ids],
            "localization": [f"{name},{i + 1},2,{i + 30},31" for i, name in enumerate(ids)],
        }
        for name, rows in texts.items():
            (folder / f"{name}.txt").write_text("\n".join(rows) + "\n")
        for i, name in enumerate(ids):
            picture(root / name, i)
            if split == "test":
                (root / "maps" / split).mkdir(parents=True, exist_ok=True)
                np.save(root / "maps" / f"{name}.npy", np.random.default_rng(i).random((14, 14), np.float32))
    return root


def cub(root: Path) -> Path:
    """A data set in the layout of CUB."""
    for i in range(6):
        picture(root / "images" / f"{i}.png", i)
    texts = {
        "images": [f"{i + 1} {i}.png" for i in range(6)],
        "image_class_labels": [f"{i + 1} {i % 2 + 1}" for i in range(6)],
        "train_test_split": [f"{i + 1} {int(i < 4)}" for i in range(6)],
        "bounding_boxes": [f"{i + 1} {i}.0 1.0 20.0 30.0" for i in range(6)],
        "classes": ["1 a", "2 b"],
    }
    for name, rows in texts.items():
        (root / f"{name}.txt").write_text("\n".join(rows) + "\n")
    return root


def xml(root: Path) -> Path:
    """A data set in ILSVRC's official layout."""
    (root / "Annotations/CLS-LOC/val").mkdir(parents=True)
    for i, wnid in enumerate(("n01440764", "n01443537")):
        picture(root / f"Data/CLS-LOC/train/{wnid}/{wnid}_1.JPEG", i)
        name = f"ILSVRC2012_val_{i:08d}"
        picture(root / f"Data/CLS-LOC/val/{name}.JPEG", i)
        corners = "<xmin>1</xmin><ymin>2</ymin><xmax>30</xmax><ymax>30</ymax>"
        (root / f"Annotations/CLS-LOC/val/{name}.xml").write_text(
            f"<annotation><size><width>{SIZE[0]}</width><height>{SIZE[1]}</height></size>\n"
            f"<object><name>{wnid}</name><bndbox>{corners}</bndbox></object></annotation>\n"
        )
    return root


def masks(root: Path) -> Path:
    """A data set in the layout of OpenImages30k, its test images with masks."""
    for split in ("train", "test"):
        ids = [f"{split}/{name}/{i}.png" for i, name in enumerate(("cat", "dog"))]
        folder = root / "metadata" / split
        folder.mkdir(parents=True)
        for i, name in enumerate(ids):
            picture(root / name, i)
            square = np.zeros(SIZE[::-1], np.uint8)
            square[5:25, 5:30] = 255
            (root / "masks" / name).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(square).save(root / "masks" / name)
        (folder / "image_ids.txt").write_text("\n".join(ids) + "\n")
        (folder / "class_labels.txt").write_text("".join(f"{name},{i}\n" for i, name in enumerate(ids)))
        (folder / "image_sizes.txt").write_text("".join(f"{name},{SIZE[0]},{SIZE[1]}\n" for name in ids))
        if split == "test":
            (folder / "localization.txt").write_text("".join(f"{name},masks/{name},\n" for name in ids))
    return root


def notebook(folder: Path) -> Path:
    """A notebook with parameters, which says on the disk that it has begun."""
    import nbformat
    from nbformat import v4

    first = v4.new_code_cell("epochs = 1\nname = ''\nlr = 0.1\nseeds = [0]\nflag = False\nseconds = 0.0")
    first.metadata["tags"] = ["parameters"]
    work = "import pathlib, time\npathlib.Path('begun').touch()\ntime.sleep(seconds)\nprint('ran', epochs)"
    nbformat.write(v4.new_notebook(cells=[first, v4.new_code_cell(work)]), folder / "a.ipynb")
    return folder / "a.ipynb"


def grid(folder: Path) -> Path:
    """A grid file of as many seeds as `SEEDS`, the first of which is the undisturbed run."""
    path = folder / "grid.toml"
    path.write_text(
        f'preset = "tiny"\nseeds = {list(range(SEEDS))}\n[common]\ndevice = "cpu"\nepochs = 2\nbatch_size = 8\n'
        'data_settings = { train = 16, test = 8, classes = 2 }\n[[runs]]\nmethod = "cam"\n'
    )
    return path


@cache
def squeezenet() -> dict[str, torch.Tensor]:
    """The parameters of a classifier that knows nothing."""
    from torchvision.models import squeezenet1_1

    torch.manual_seed(0)
    return squeezenet1_1().state_dict()


def weights(path: Path) -> Path:
    """A file of them."""
    torch.save(squeezenet(), path)
    return path


def localize(folder: Path) -> list[str]:
    """A call of `cmr localize` on three pictures."""
    for i in range(3):
        picture(folder / "pictures" / f"{i}.png", i)
    words = ["localize", str(folder / "pictures"), "--out", str(folder / "out"), "--backbone", "squeezenet1_1"]
    return [*words, "--weights", str(weights(folder / "w.pth")), "--device", "cpu"]


def score(folder: Path) -> list[str]:
    """A call of `cmr score`."""
    root = lists(folder / "data")
    words = ["score", "--scoremaps", str(root / "maps"), "--metadata", str(root / "metadata/test")]
    return [*words, "--out", str(folder / "scores.json")]


def evaluate(folder: Path) -> list[str]:
    """A call of `cmr evaluate` that leaves a record."""
    words = ["evaluate", "--run", str(copied(folder / "runs")), "--normalise", "max", "--device", "cpu"]
    return [*words, "--record", str(folder / "record"), "--out", str(folder / "evaluated.json")]


def make(folder: Path) -> list[str]:
    """A call of `cmr data make`."""
    size = ["--train", "4", "--test", "2", "--classes", "2", "--size", "16"]
    return ["data", "make", "--out", str(folder / "made"), *size]


def show(folder: Path) -> list[str]:
    """A call of `cmr data show`."""
    root = own_folder(folder / "data")
    return ["data", "show", "--data", "folder", "--data-root", str(root), "--out", str(folder / "sheet.png")]


# Commands that write, each with its materials in a folder of its own.
WRITERS: dict[str, Callable[[Path], list[str]]] = {
    "localize": localize,
    "score": score,
    "evaluate": evaluate,
    "data make": make,
    "data show": show,
}


def train(folder: Path, *more: str) -> list[str]:
    """A call of `cmr train`."""
    return [*TRAIN, "--out", str(folder / "runs"), *more]


def contents(folder: Path) -> dict[str, object]:
    """What lies below a folder, file by file; of JSON without what differs from call to call."""
    found: dict[str, object] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            found[str(path.relative_to(folder))] = _plain(path)
    return found


def _plain(path: Path) -> object:
    if path.suffix != ".json":
        return path.read_bytes()
    try:
        content = json.loads(path.read_text())
    except ValueError:
        return path.read_bytes()
    for row in content.get("localizations", []):
        row.pop("stamp", None)  # the time of the picture, by which a later call knows it
    return {name: value for name, value in content.items() if name in ("result", "history", "localizations", "id")}
