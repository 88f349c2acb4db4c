"""The whole study, from nothing: every grid file of a folder in order, then the tests that need no training.

python -m study.run study/cpu             what `make study` does: two CPU cores, hours; finished runs are skipped
python -m study.run study/gpu             ResNet50 and VGG16 at 224 pixels, on a GPU (make study SET=gpu)
python -m study.run study/full            on the full CUB-200-2011 and ILSVRC 2012, which a reader must have

The records of FOLDER/4-cub50.toml go to results/cub50. A file with a table [reevaluate] names trained runs, and
settings of the test under which they are tested again; one with a table [ddt] or [boxes] asks for measurements on
frozen networks.
"""

import argparse
import sys
import tempfile
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from cmr import cli
from cmr.errors import UserError, require_known
from cmr.maps.layers import KINDS
from cmr.methods import METHODS
from cmr.presets import make
from cmr.study import ddt, frozen, regressor, runs
from cmr.study.grid import load
from cmr.study.identity import essence
from cmr.study.reevaluate import changed, reevaluate

MEASURED: dict[str, tuple[Any, Any]] = {  # table of a file -> settings, and what measures them
    ddt.KIND: (ddt.DDT, ddt.measure),
    regressor.KIND: (regressor.Regressor, regressor.measure),
}
REEVALUATE = ("runs", "methods", "match", "device")


def results_of(file: Path, root: Path = Path("results")) -> Path:
    """Where a grid file's records go: the file's name without its number."""
    return root / file.stem.split("-", 1)[-1]


def run(folder: Path, root: Path = Path("results")) -> None:
    """Works through the grid files of a folder.

    Args:
        folder: holds TOML files whose names begin with a number.
        root: where the records' folders are.

    Raises:
        UserError: no such files, or a mistake in one, before anything runs; a run that failed, after all others.
    """
    files = sorted(folder.glob("[0-9]*-*.toml"), key=lambda file: int(file.name.split("-")[0]))
    if not files:
        raise UserError(f"{folder}: holds no grid file (*.toml); give study/cpu, study/gpu or study/full")
    special = {file: content for file in files if (content := check(file))}
    failed = []
    for i, file in enumerate(files):
        print(f"[{i + 1}/{len(files)}] {file}", flush=True)
        try:
            if kind_of(special.get(file, {})):
                measure_all(special[file], file, results_of(file, root))
            elif file in special:
                test_again(special[file], file, results_of(file, root))
            else:
                cli.run(["sweep", str(file), "--out", str(results_of(file, root))])
        except UserError as error:
            print(f"study: {error}", file=sys.stderr)
            failed.append(file.name)
        except SystemExit as end:  # the sweep has listed what failed; the files after it may still be run
            if end.code == 130:
                raise KeyboardInterrupt from None
            failed.append(file.name)
    if failed:
        raise UserError(
            f"{', '.join(failed)}: not all of it ran; what is missing stands above, the same command goes on"
        )


def check(file: Path) -> dict[str, Any]:
    """Reads a file of the study; the content of one with [reevaluate], [ddt] or [boxes], of a grid an empty one.

    Raises:
        UserError: a mistake in it.
    """
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        content = {}  # `load` says what is wrong
    if kind := kind_of(content):
        frozen.expand(content, kind, MEASURED[kind][0], str(file))
        return content
    if "reevaluate" not in content:
        load(file)
        return {}
    where, tests = content["reevaluate"], content.get("tests")
    for name in content:
        require_known(name, f"key in {file}", ("reevaluate", "tests"))
    for name in where:
        require_known(name, f"key of [reevaluate] in {file}", REEVALUATE)
    if not isinstance(where.get("runs"), str):
        raise UserError(f'{file}: [reevaluate] names no runs; add runs = "results/FOLDER"')
    if not isinstance(tests, list) or not all(isinstance(test, dict) for test in tests):
        raise UserError(f"{file}: there is no test; add a [[tests]] with settings of the test")
    for method in where.get("methods", METHODS):
        require_known(method, f"method in {file}", METHODS)
        for test in tests:
            _check_test(dict(test), method, str(file))
    return content


def _check_test(test: dict[str, Any], method: str, file: str) -> None:
    """Raises `UserError` where a test names a setting or a value that a method does not have."""
    maps = test.pop("maps", "")
    try:
        if maps:
            require_known(maps, "maps", KINDS)
        changed(make("tiny", method=method), test)
    except UserError as error:
        raise UserError(f"{file}: [[tests]] of {method}: {error}") from error


def test_again(content: dict[str, Any], file: Path, out: Path) -> None:
    """Tests trained runs under every entry of `[[tests]]`, leaving out what is done."""
    where = content["reevaluate"]
    methods = where.get("methods", list(METHODS))
    match = where.get("match", {})  # the method's own settings that a run must have
    found = [
        item
        for item in runs.find(where["runs"])
        if item.config.method in methods and all(getattr(item.config.settings, k, None) == v for k, v in match.items())
    ]
    if not found:
        raise UserError(f"{file}: {where['runs']} holds no run of {', '.join(methods)}; run the grids before it")
    done = {(item.record.trained.id, essence(item.config), item.record.maps or "") for item in runs.find(out)}
    todo = [(trained, dict(test)) for trained in found for test in content.get("tests", [])]
    for trained, test in tqdm(todo, desc=out.name, unit="test"):
        maps = test.pop("maps", "")
        config = replace(changed(trained.config, test), device=where.get("device", trained.config.device))
        # Not by id: that changes when a setting with a default is added, and models are not kept with the records.
        if (trained.id, essence(config), maps) not in done:
            reevaluate(trained, config, out, progress=False, maps=maps)


def kind_of(content: dict[str, Any]) -> str:
    """What a file measures on frozen networks; "" where it is of another sort."""
    return next((kind for kind in MEASURED if kind in content), "")


def measure_all(content: dict[str, Any], file: Path, out: Path) -> None:
    """Makes the measurements that are not done; those of one network share its features while the file runs."""
    kind = kind_of(content)
    settings, measure = MEASURED[kind]
    with tempfile.TemporaryDirectory() as features:
        for one in tqdm(frozen.expand(content, kind, settings, str(file)), desc=out.name, unit="measurement"):
            measure(one, out, features, progress=False)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m study.run", description="Runs the study's grids in order.")
    parser.add_argument("folder", nargs="?", type=Path, default=Path("study/cpu"))
    try:
        run(parser.parse_args().folder)
    except UserError as error:
        print(f"study: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("study: stopped; the same command goes on", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
