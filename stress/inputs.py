"""Values that cannot be, wherever a value may be given: options, grids, notebooks' parameters, settings of a test."""

import dataclasses
import json
import math
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from cmr.config import PLACE
from cmr.presets import make
from stress import materials
from stress.attempt import TRAIN, Case, attempt, wrong
from stress.runs import copied

NUMBERS = ["nan", "inf", "-inf", "-1", "-1e300", "1e309", "", "abc", "0x10", "1,5", "--", "٣", "9" * 5000]
WHOLE = ["-1", "1.5", "nan", "99999999999999999999", "-9223372036854775809", "", "abc", "1e3", "true"]
WORDS = ["", "abc", "None", "é", "../..", "a" * 5000]
TOML_VALUES = ["nan", "inf", "-1", "1e300", '"abc"', "[]", "{}", "true", "1979-05-27", "[[1]]", "99999999999999999999"]
# As many epochs, workers or pixels as somebody means are right, if slow; those are not tried.
SLOW = {("epochs", "true"), ("workers", "1e3")}

GRIDS = [
    "",
    "preset",
    "preset = 3",
    'preset = "tyni"',
    "seeds = 0\n[[runs]]",
    "seeds = []\n[[runs]]",
    "seeds = [0.5]\n[[runs]]",
    "seeds = [-1]\n[[runs]]",
    'seeds = ["a"]\n[[runs]]',
    "seeds = [true]\n[[runs]]",
    "seeds = [nan]\n[[runs]]",
    "seeds = [[0]]\n[[runs]]",
    "seeds = [99999999999999999999]\n[[runs]]",
    "runs = 3",
    "runs = [3]",
    "[runs]\nmethod = 'cam'",
    "[[runs]]\nmethod = 3",
    "[[runs]]\nmethod = ['cam']",
    "[[runs]]\nmethod = 'camm'",
    "[[runs]]\nseed = 3",
    "[[runs]]\nepochs = []",
    "[[runs]]\ngrid = 3",
    "[[runs]]\ngrid = []",
    "[[runs]]\n[runs.grid]\nlr = 3",
    "[[runs]]\n[runs.grid]\nlr = []",
    "[[runs]]\n[runs.grid]\nlr = [[]]",
    "[[runs]]\nlr = 0.1\n[runs.grid]\nlr = [0.1]",
    "[common]\nepochs = {}\n[[runs]]",
    "common = 3\n[[runs]]",
    "common = []\n[[runs]]",
    "choose = 3\n[[runs]]",
    "[choose]\n[[runs]]",
    "[choose]\nresults = 3\nsweep = 3\nfield = 3\nby = 3\nmetric = 3\n[[runs]]",
    "[choose]\nresults = 'r'\nsweep = 'grid.toml'\nfield = 'lr'\nby = []\nmetric = 'PxAP'\n[[runs]]",
    "[choose]\nresults = 'r'\nsweep = 'none.toml'\nfield = 'lr'\nby = []\nmetric = 'PxAP'\n[[runs]]",
    "[choose]\nresults = 'r'\nsweep = '..'\nfield = 'lr'\nby = [3]\nmetric = 'PxAP'\n[[runs]]",
    "[[runs]]\n[runs.data_settings]\ntrain = -1",
    "[[runs]]\ndata_settings = 3",
    "[common]\ndata_settings = { trian = 3 }\n[[runs]]",
    "[[runs]]\ndata = 'cub'",
    "[[runs]]\ndata_root = 3",
    "[[runs]]\nweights = 'no/such/file.pth'",
    "a = " + "[" * 3000,
    "a = " + "9" * 5000,
    "\ufeff[[runs]]",
    "[[runs]]\nepochs = 1\nepochs = 2",
    "seeds = [" + "0, " * 100_000 + "]\n[[runs]]",
    "[[runs]]\n[runs.grid]\n" + "".join(f"{n} = {list(range(1, 101))}\n" for n in ("lr", "lr_new", "weight_decay")),
]

# For a notebook whose parameters are epochs = 1, name = '', lr = 0.1, seeds = [0], flag = False.
PARAMETERS = [
    "epochs=1j",
    "epochs=none",
    "epochs=1.5",
    "epochs=" + "9" * 5000,
    "epochs=[1]",
    "epohcs=1",
    "epochs",
    "=1",
    "1=1",
    "name=2011",
    "name={1}",
    "name=b'x'",
    "seeds={1,2}",
    "seeds=3",
    "flag=yes",
    "flag=1",
    "lr=abc",
    "lr=[" * 500,
    "epochs=__import__('os')",
]


def cases(_seed: int) -> Iterator[Case]:
    """All of them."""
    for name, value in _options():
        words = [*TRAIN, name, *([value] if value or name != "--sizes" else [])]
        yield Case("train: values of options", f"option {name} {value[:24]}", partial(_train, words))
    for place in ("data-root", "weights", "out"):
        for value in ("no/such", "/proc/self/mem", "/dev/null", "/dev/full", ".", "a" * 300, "a" * 5000, "a\nb"):
            words = [*TRAIN, f"--{place}", value]
            yield Case("train: paths", f"path {place} {value[:24]!r}", partial(_told, words, place != "out"))
    for number, text in enumerate(GRIDS):
        yield Case("grids", f"grid {number}", partial(_grid, text))
    for name in _fields():
        for value in TOML_VALUES:
            text = f'preset = "tiny"\n[[runs]]\nmethod = "cmr"\n{name} = {value}'
            yield Case("grids: values", f"grid {name} {value}", partial(_grid, text))
    for pair in PARAMETERS:
        yield Case("notebooks: parameters", f"parameter {pair[:24]}", partial(_notebook, pair))
    for name in ("test_scales", "test_flip", "precise_bn", "test_crop", "threshold", "normalise", "lr", "", "1"):
        for value in ("nan", "[]", "[nan]", "abc", "-1", "[0]", "[1e9]", "{}", "1j", "[[1]]", "None", "1" * 5000):
            yield Case("evaluate: --set", f"set {name}={value[:12]}", partial(_set, f"{name}={value}"))
    for words in _other():
        yield Case("other commands: values", f"words {' '.join(words)[:60]}", partial(_words, words))


def _options() -> Iterator[tuple[str, str]]:
    config = make("tiny", method="cmr")
    for kind, prefix in ((config, ""), (config.settings, ""), (config.data_settings, "data-settings.")):
        hints = get_type_hints(type(kind), include_extras=False)
        for item in dataclasses.fields(kind):
            if item.name in ("settings", "data_settings"):
                continue
            hint = hints[item.name]
            inner = get_args(hint)[0] if get_origin(hint) is tuple else hint
            values = NUMBERS if inner is float else WHOLE if inner is int else WORDS
            if hint is bool:
                continue
            if get_origin(hint) is Literal or hint is str:
                values = WORDS
            for value in values:
                if (item.name, value) not in SLOW and item.name != "data_root":
                    yield f"--{prefix}{item.name.replace('_', '-')}", value


def _fields() -> list[str]:
    config = make("tiny", method="cmr")
    general = [item.name for item in dataclasses.fields(config) if item.name not in ("settings", "data_settings")]
    own = [item.name for item in dataclasses.fields(config.settings)]
    return [name for name in (*general, *own) if name not in (*PLACE, "seed")]


def _train(words: list[str], folder: Path) -> str:
    """Refused in one line, or taken; then the record's numbers are numbers."""
    method = ["--method", "cmr"] if "--method" not in words[len(TRAIN) :] else []
    ended = attempt([*words[: len(TRAIN)], *method, *words[len(TRAIN) :], "--out", folder / "runs"])
    said = wrong(ended)
    if said or ended.status:
        return said
    [path] = (folder / "runs").glob("*/record.json")
    return _numbers(json.loads(path.read_text())["result"])


def _numbers(values: Any) -> str:
    """The first number that is none; "" where all are."""
    if isinstance(values, dict | list):
        inner = values.values() if isinstance(values, dict) else values
        return next(filter(None, map(_numbers, inner)), "")
    return f"the result holds {values}" if isinstance(values, float) and not math.isfinite(values) else ""


def _told(words: list[str], inside: bool, folder: Path) -> str:
    return wrong(attempt([*words, "--out", folder / "runs"] if inside else words))


def _grid(text: str, folder: Path) -> str:
    (folder / "grid.toml").write_text(text, encoding="utf-8")
    return wrong(attempt(["sweep", "grid.toml", "--out", "runs", "--dry-run"]))


def _notebook(pair: str, folder: Path) -> str:
    return wrong(attempt(["notebook", materials.notebook(folder), folder / "out.ipynb", "-p", pair]), success=False)


def _set(pair: str, folder: Path) -> str:
    return wrong(attempt(["evaluate", "--run", copied(folder), "--device", "cpu", "--set", pair]))


def _other() -> list[list[str]]:
    """Values of the other commands."""
    score = ["score", "--scoremaps", "data/maps", "--metadata", "data/metadata/test"]
    numbers = ("nan", "inf", "-1", "1", "2", "1e-9", "abc", "")
    found = [[*score, f"--{name}", value] for name in ("threshold", "step", "size") for value in numbers]
    found += [[*score, "--normalise", "minmax", "--size", value] for value in ("100000", "-1", "1", "8193")]
    found += [[*score, "--out", value] for value in ("x", "x.json/y.json", ".json", "data")]
    run = ["evaluate", "--run"]
    found += [[*run, value] for value in ("no/such", ".", "/dev/null", "data", "a" * 300, "")]
    found += [["evaluate", "--run", "RUN", "--device", "cpu", *more] for more in _evaluate()]
    found += [["localize", value, "--backbone", "tiny"] for value in ("no/such", "/dev/zero", "/dev/null", "")]
    found += [["localize", "data/test", "--backbone", value] for value in ("vgg16", "abc", "")]
    found += [["localize", "data/test", "--run", value] for value in ("no/such", "data", "/dev/null")]
    found += [["data", action, "--data", value] for action in ("check", "show", "make") for value in ("abc", "cub", "")]
    found += [["data", "check", "--split", value] for value in ("abc", "val", "")]
    found += [["data", "make", "--train", value, "--out", "made"] for value in ("0", "-1", "nan", "9" * 30)]
    found += [["data", "check", "--data", "folder", "--data-root", value] for value in ("no", "data", "/dev/null", "")]
    found += [["report", value] for value in ("no/such", "/dev/null", "", "a" * 300)]
    found += [["notebook", value, "out.ipynb"] for value in ("no/such.ipynb", "/dev/null", "data", "")]
    found += [["sweep", value, "--dry-run"] for value in ("no/such.toml", "/dev/null", "data", "")]
    found += [["sweep", "grid.toml", "--workers", value] for value in ("-1", "abc", "nan")]
    found += [["sweep", "grid.toml", "--scheduler", value] for value in ("abc", "tcp://127.0.0.1:1", "tcp://::x:::")]
    return [*found, ["abc"], [""], ["--version"], ["train", "abc"], ["train", "--resume=3"], ["train", "--method"]]


def _evaluate() -> list[list[str]]:
    found = [["--threshold", value] for value in ("nan", "-1", "1", "abc")]
    found += [["--normalise", "abc"], ["--maps", "abc"], ["--maps", "gradcam++"], ["--data-root", "no/such"]]
    return [*found, ["--device", "abc"], ["--device", "cuda:0"], ["--set", "a"], ["--set", "=3"]]


def _words(words: list[str], folder: Path) -> str:
    materials.lists(folder / "data")
    materials.grid(folder)
    if "RUN" in words:
        words = [str(copied(folder)) if word == "RUN" else word for word in words]
    return wrong(attempt(words))
