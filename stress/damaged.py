"""Files that are not what they should be: foreign, cut, empty, of another kind."""

import json
import os
import struct
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch

from stress import materials
from stress.attempt import TRAIN, Case, attempt, wrong
from stress.runs import copied

# Contents that no reader expects, by name.
CONTENTS: dict[str, bytes] = {
    "empty": b"",
    "a line": b"hello\n",
    "not UTF-8": b"\xff\xfe{\x00}\x00",
    "zeros": bytes(1000),
    "an object": b"{}",
    "a list": b"[1]",
    "nested": b"[" * 100_000,
    "a number": b"3",
    "NaN": b'{"id": NaN}',
    "long digits": b'{"id": ' + b"9" * 5000 + b"}",
    "a pickle": b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x04true\x85R.",
    "a zip": b"PK\x05\x06" + bytes(18),
    "a gzip": b"\x1f\x8b\x08\x00",
    "an xz": b"\xfd7zXZ\x00\x00\x04",
    "a picture": b"\x89PNG\r\n\x1a\n" + bytes(50),
    "a huge header": struct.pack("<Q", 2**62) + b"{}",
    "a huge array": b"\x93NUMPY\x01\x00\x76\x00{'descr': '<f8', 'fortran_order': False, 'shape': (999999999999,), }"
    + b" " * 40,
    "HTML": b"<!DOCTYPE html><html><body>404</body></html>",
    "a pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
}
CHECKPOINT = 10  # a moment of a training's writing: the first checkpoint is whole, the second is being written
RECORD_KEYS = ("id", "config", "data", "weights", "environment", "history", "result", "classes", "command", "content")


def cases(_seed: int) -> Iterator[Case]:
    """All of them."""
    for name, read in READERS.items():
        for kind in (*CONTENTS, "a folder", "no rights", "a pipe", "missing", "a loop"):
            yield Case(f"foreign content: {name}", f"foreign {name} {kind}", partial(_foreign, read, kind))
    for key in RECORD_KEYS:
        for value in (None, [], {}, 3, "x", "away"):
            yield Case("records with a wrong value", f"record {key} {value!r}", partial(_record, key, value))


def _put(path: Path, kind: str) -> None:
    """Puts something else in the place of a file."""
    content = path.read_bytes()
    path.unlink()
    if kind == "a folder":
        path.mkdir()
    elif kind == "a pipe":
        os.mkfifo(path)
    elif kind == "a loop":
        path.symlink_to(path.name)
    elif kind == "no rights":
        path.write_bytes(content)
        path.chmod(0)
    elif kind != "missing":
        path.write_bytes(CONTENTS[kind])


Reader = Callable[[Path], tuple[Path, list[str]]]


def _run_file(name: str, words: list[str]) -> Reader:
    def read(folder: Path) -> tuple[Path, list[str]]:
        run = copied(folder / "runs")
        command = [str(run) if word == "RUN" else str(folder / "runs") if word == "RUNS" else word for word in words]
        return run / name, command

    return read


def _outcomes(folder: Path) -> tuple[Path, Any]:
    run = copied(folder / "runs")

    def read() -> None:
        from cmr.study import runs

        runs.read(run).outcomes()

    return run / "outcomes.safetensors.xz", read


def _checkpoint(folder: Path) -> tuple[Path, list[str]]:
    from stress.traps import dies

    attempt([*TRAIN, "--out", folder / "runs"], dies(folder / "runs", CHECKPOINT))
    [path] = (folder / "runs").glob("*/checkpoint.pt")
    return path, [*TRAIN, "--out", str(folder / "runs"), "--resume"]


def _diverged(folder: Path) -> tuple[Path, list[str]]:
    run = copied(folder / "runs")
    record = json.loads((run / "record.json").read_text())
    for name in ("record.json", "model.safetensors", "outcomes.safetensors.xz"):
        (run / name).unlink()
    (run / "diverged.json").write_text(json.dumps({"diverged": "the loss became nan", **record}))
    return run / "diverged.json", [*TRAIN, "--out", str(folder / "runs")]


def _list(make: Callable[[Path], Path], name: str, data: str) -> Reader:
    def read(folder: Path) -> tuple[Path, list[str]]:
        root = make(folder / "data")
        return root / name, ["data", "check", "--data", data, "--data-root", str(root)]

    return read


def _scored(name: str) -> Reader:
    def read(folder: Path) -> tuple[Path, list[str]]:
        command = materials.score(folder)
        return folder / "data" / name, command

    return read


def _weight_file(name: str) -> Reader:
    def read(folder: Path) -> tuple[Path, list[str]]:
        path = weight_file(folder / name)
        return path, [*TRAIN, "--epochs", "1", "--weights", str(path), "--out", str(folder / "runs")]

    return read


def weight_file(path: Path) -> Path:
    """A start for `tiny` in the format that the name's ending says."""
    import lzma

    import safetensors.torch

    from cmr.nets.backbones import build_backbone

    torch.manual_seed(1)
    state = build_backbone("tiny").state_dict()
    if path.name.endswith(".pth"):
        torch.save(state, path)
    else:
        content = safetensors.torch.save(state)
        path.write_bytes(lzma.compress(content) if path.name.endswith(".xz") else content)
    return path


def _localized(folder: Path) -> tuple[Path, list[str]]:
    command = materials.localize(folder)
    attempt(command)
    return folder / "out" / "localizations.json", command


def _notebook(folder: Path) -> tuple[Path, list[str]]:
    return materials.notebook(folder), ["notebook", str(folder / "a.ipynb"), str(folder / "out.ipynb")]


def _toml(folder: Path) -> tuple[Path, list[str]]:
    path = materials.grid(folder)
    return path, ["sweep", str(path), "--out", str(folder / "runs"), "--dry-run"]


VAL = "Annotations/CLS-LOC/val/ILSVRC2012_val_00000001.xml"
# For each kind of file: makes it among its own, and gives the command that reads it.
READERS: dict[str, Reader] = {
    "record.json, report": _run_file("record.json", ["report", "RUNS"]),
    "record.json, evaluate": _run_file("record.json", ["evaluate", "--run", "RUN", "--device", "cpu"]),
    "record.json, train": _run_file("record.json", [*TRAIN, "--out", "RUNS"]),
    "model.safetensors": _run_file("model.safetensors", ["evaluate", "--run", "RUN", "--device", "cpu"]),
    "outcomes": _outcomes,
    "checkpoint.pt": _checkpoint,
    "diverged.json": _diverged,
    "weights .pth": _weight_file("w.pth"),
    "weights .safetensors": _weight_file("w.safetensors"),
    "weights .safetensors.xz": _weight_file("w.safetensors.xz"),
    "images.csv": _list(materials.own_folder, "images.csv", "folder"),
    "image_ids.txt": _list(materials.lists, "metadata/test/image_ids.txt", "ilsvrc"),
    "class_labels.txt": _list(materials.lists, "metadata/test/class_labels.txt", "ilsvrc"),
    "image_sizes.txt": _list(materials.lists, "metadata/test/image_sizes.txt", "ilsvrc"),
    "localization.txt": _list(materials.lists, "metadata/test/localization.txt", "ilsvrc"),
    "classes.txt": _list(materials.lists, "metadata/classes.txt", "ilsvrc"),
    "CUB's images.txt": _list(materials.cub, "images.txt", "cub"),
    "CUB's boxes": _list(materials.cub, "bounding_boxes.txt", "cub"),
    "CUB's classes.txt": _list(materials.cub, "classes.txt", "cub"),
    "masks' list": _list(materials.masks, "metadata/test/localization.txt", "openimages"),
    "a mask": _list(materials.masks, "masks/test/cat/0.png", "openimages"),
    "XML": _list(materials.xml, VAL, "ilsvrc"),
    "a picture": _list(materials.own_folder, "4.png", "folder"),
    "a map": _scored("maps/test/0.png.npy"),
    "a grid file": _toml,
    "a notebook": _notebook,
    "localizations.json": _localized,
}


def _foreign(read: Reader, kind: str, folder: Path) -> str:
    from stress.attempt import nobody

    path, command = read(folder)
    _put(path, kind)
    if kind == "no rights":
        for place in (folder, *folder.rglob("*")):
            place.chmod(0o777 if place.is_dir() else 0o666)
        path.chmod(0)
        return wrong(attempt(command, nobody))
    return wrong(attempt(command))


def _record(key: str, value: object, folder: Path) -> str:
    run = copied(folder / "runs")
    record = json.loads((run / "record.json").read_text())
    record[key] = value
    if value == "away":
        del record[key]
    (run / "record.json").write_text(json.dumps(record))
    commands = [["report", folder / "runs"], ["evaluate", "--run", run, "--device", "cpu"]]
    return next(filter(None, (wrong(attempt(command)) for command in commands)), "")
