"""The command line: cmr train | sweep | evaluate | localize | data | report | notebook."""

import argparse
import dataclasses
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Generic, Literal, TypeVar

import tyro

from cmr.errors import UserError, unknown

C = TypeVar("C")
Flat = tyro.conf.arg(name="")  # the fields of a nested dataclass, without a prefix


@dataclasses.dataclass(frozen=True)
class Train(Generic[C]):
    """Train a method, test it, and leave one folder with the record, the outcomes and the model."""

    config: Annotated[C, Flat]
    # where the defaults come from: tiny (seconds), toybirds (minutes) or paper
    preset: Literal["tiny", "toybirds", "paper"] = "toybirds"
    # folder in which the run gets its folder
    out: str = "runs"
    # go on from the last checkpoint of the same run
    resume: bool = False
    # run again although the run is finished
    rerun: bool = False


@dataclasses.dataclass(frozen=True)
class Sweep:
    """Run a grid of trainings, those that are not finished yet, on this machine or on a dask cluster."""

    # grid file, in TOML
    file: tyro.conf.Positional[str]
    # folder in which the runs get their folders, and whose runs count as done
    out: str = "runs"
    # address of a dask scheduler, tcp://HOST:PORT; data, weights and out are then paths of its workers. None: processes
    # of this machine
    scheduler: str = ""
    # processes of this machine; 0: one for each GPU, or one on the CPU
    workers: int = 0
    # CPU threads of each run; 0: this machine's, shared by its processes; on a cluster as its workers were started
    threads: int = 0
    # list the runs, done and to do, and run none
    dry_run: bool = False


@dataclasses.dataclass(frozen=True)
class Evaluate:
    """Test a trained run again (--run), or score a folder of anybody's maps (--scoremaps, --metadata)."""

    # folder of a trained run
    run: str = ""
    # folder of .npy maps, (height, width) each, float in [0, 1] or uint8; that of image a/b.jpg is a/b.jpg.npy (as the
    # WSOL benchmark writes it) or a/b.npy
    scoremaps: str = ""
    # folder of the maps' list files, in the benchmark's format: image_ids.txt, class_labels.txt, image_sizes.txt,
    # localization.txt
    metadata: str = ""
    # folder of the run's data set; as in the run where it is not given
    data_root: str = ""
    # minmax, max, pas or ivr; not given: as in the run, and none for --scoremaps
    normalise: str = ""
    # tau; not given: as in the run, and 0.2 for --scoremaps
    threshold: float | None = None
    # of --run: another setting of the test, NAME=VALUE, as often as needed: test_scales=[1.0,1.5], test_flip=true,
    # precise_bn=true, test_crop=classic, and the method's own that begin with test_, as test_modules=on
    set: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    # of --run: gradcam, gradcam++ or layercam in place of the method's own maps; needs the extra `posthoc`
    maps: str = ""
    # of --run: folder in which this test gets a run's folder of its own, with record and outcomes
    record: str = ""
    # of --scoremaps: distance of the taus of which the best is chosen (the benchmark's 0.01 or 0.001); none: all levels
    step: float | None = None
    # of --scoremaps: side to which maps are enlarged before they are normalised; 0: scored at their own size
    size: int = 0
    # auto, cpu or cuda, for --run
    device: str = "auto"
    # JSON file for the metrics, and of --scoremaps a picture of the tau curves beside it; none: print only
    out: str = ""


@dataclasses.dataclass(frozen=True)
class Localize:
    """Draw a box on one's own pictures, with a trained run or with an ImageNet classifier and its CAM."""

    # a picture, or a folder of pictures
    path: tyro.conf.Positional[str]
    # folder for the annotated pictures and localizations.json
    out: str = "localized"
    # folder of a trained run; none: an ImageNet classifier
    run: str = ""
    # classifier, where there is no run: resnet50, resnet18 or squeezenet1_1
    backbone: str = "resnet50"
    # its weights: imagenet (fetched by timm) or a file
    weights: str = "imagenet"
    # side of the square image that the network sees, where there is no run
    image_size: int = 224
    # minmax, max, pas or ivr
    normalise: Literal["minmax", "max", "pas", "ivr"] = "minmax"
    # tau: the share of the map's maximum above which a pixel counts as object
    threshold: float = 0.2
    # auto, cpu or cuda
    device: str = "auto"


@dataclasses.dataclass(frozen=True)
class Data(Generic[C]):
    """Make a data set's pictures, check a data set before training, or show some of it."""

    # make: write ToyBirds as image files; check: read every image and box; show: a contact sheet as a picture
    action: tyro.conf.Positional[Literal["make", "check", "show"]]
    settings: Annotated[C, Flat]
    # toybirds, cub, ilsvrc, openimages or folder
    data: str = "toybirds"
    # folder of the data set
    data_root: str = ""
    # train, val or test; check does train and test where it is not given
    split: str = ""
    # make: folder to write; show: picture to write
    out: str = ""


@dataclasses.dataclass(frozen=True)
class Report:
    """Print a table of all recorded runs, with mean and standard deviation over seeds."""

    # folders that hold runs
    roots: tyro.conf.Positional[tuple[str, ...]] = ("results", "runs")
    # text or json
    format: Literal["text", "json"] = "text"


@dataclasses.dataclass(frozen=True)
class Notebook:
    """Run one notebook with other parameters; an unknown parameter is an error."""

    # the notebook
    path: tyro.conf.Positional[str]
    # where the executed notebook goes
    out: tyro.conf.Positional[str]
    # a parameter, NAME=VALUE; as often as needed
    parameter: Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(aliases=["-p"])] = ()


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs one command; a user's mistake ends in one message and exit status 2."""
    try:
        run(list(sys.argv[1:] if arguments is None else arguments))
    except UserError as error:
        print(f"cmr: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("cmr: stopped; a training run goes on with --resume", file=sys.stderr)
        sys.exit(130)


def run(arguments: list[str]) -> None:
    """Finds the command and hands over to it."""
    commands = {
        "train": _train,
        "sweep": _sweep,
        "evaluate": _evaluate,
        "localize": _localize,
        "data": _data,
        "report": _report,
        "notebook": _notebook,
    }
    if not arguments or arguments[0] in ("-h", "--help"):
        print(__doc__ + "\nEach command explains its fields: cmr COMMAND --help")
        return
    if arguments[0] not in commands:
        raise unknown("command", arguments[0], commands)
    commands[arguments[0]](arguments[1:])


def _parse(kind: type, arguments: list[str], command: str, default=None):
    extra = {} if default is None else {"default": default}
    return tyro.cli(kind, args=arguments, prog=f"cmr {command}", **extra)


def _peek(arguments: list[str], **defaults: str) -> dict[str, str]:
    """The values of a few options before the whole line is parsed: they decide which other options there are."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for name, default in defaults.items():
        parser.add_argument(f"--{name}", default=default)
    return vars(parser.parse_known_args([a for a in arguments if a not in ("-h", "--help")])[0])


def _train(arguments: list[str]) -> None:
    from cmr import train
    from cmr.config import PRESETS, Config, known, make
    from cmr.report import summary

    chosen = _peek(arguments, preset="toybirds", method=None, data=None)
    known(chosen["preset"], "preset", PRESETS)
    base = make(chosen["preset"], **{name: chosen[name] for name in ("method", "data") if chosen[name] is not None})
    kind = Train[Config[type(base.settings), type(base.data_settings)]]
    asked = _parse(kind, arguments, "train", Train(base, preset=chosen["preset"]))
    finished = train.train(asked.config, asked.out, asked.resume, asked.rerun)
    if os.environ.get("RANK", "0") == "0":  # under torchrun one process reports
        print(summary(finished))


def _sweep(arguments: list[str]) -> None:
    from cmr import sweep

    asked = _parse(Sweep, arguments, "sweep")
    planned = sweep.plan(asked.file, asked.out)
    print(planned)
    if asked.dry_run:
        return
    try:
        failed = sweep.execute(planned, asked.out, asked.scheduler, asked.workers, asked.threads)
    except KeyboardInterrupt:
        print("cmr: stopped; the same command goes on with the runs that are not finished", file=sys.stderr)
        sys.exit(130)
    print(sweep.summary(planned, failed))
    if sweep.broken(failed):
        sys.exit(1)


def _evaluate(arguments: list[str]) -> None:
    asked = _parse(Evaluate, arguments, "evaluate")
    if bool(asked.run) == bool(asked.scoremaps):
        given = "both are given" if asked.run else "neither is given"
        raise UserError(f"evaluate: {given}; give either --run RUN or --scoremaps DIR --metadata DIR")
    others = (
        {"metadata": "", "step": None, "size": 0}
        if asked.run
        else {"data_root": "", "device": "auto", "set": (), "maps": "", "record": ""}
    )
    for name, default in others.items():
        if getattr(asked, name) != default:
            kind = "--scoremaps" if asked.run else "--run"
            raise UserError(f"evaluate: --{name.replace('_', '-')} goes with {kind} only; leave it out")
    (_evaluate_run if asked.run else _evaluate_maps)(asked)


def _evaluate_maps(asked: Evaluate) -> None:
    from cmr import scoremaps
    from cmr.report import metric_lines

    if not asked.metadata:
        raise UserError("evaluate: --scoremaps needs --metadata, the folder of the list files")
    threshold = 0.2 if asked.threshold is None else asked.threshold
    if asked.out and not asked.out.endswith(".json"):
        raise UserError(f"evaluate: --out {asked.out}: give a name that ends in .json")
    evaluated = scoremaps.evaluate_folder(
        asked.scoremaps, asked.metadata, threshold, asked.step, asked.normalise or "none", asked.size
    )
    grids = ", ".join(f"{count} of {grid}" for grid, count in evaluated["grids"].items())
    print(f"{evaluated['result']['images']} maps: {grids} pixels")
    print(metric_lines(evaluated["result"]))
    if asked.out:
        print("written:", *scoremaps.write(evaluated, asked.out))


def _evaluate_run(asked: Evaluate) -> None:
    from cmr import runs
    from cmr.notebooks import parse_parameters
    from cmr.report import metric_lines
    from cmr.retest import changed, retest

    finished = runs.read(asked.run)
    changes = {
        name: getattr(asked, name) for name in ("normalise", "threshold") if getattr(asked, name) not in ("", None)
    }
    config = changed(finished.config, changes | parse_parameters(asked.set))
    places = {"data_root": asked.data_root} if asked.data_root else {}
    config = dataclasses.replace(config, device=asked.device, **places)
    result = retest(finished, config, asked.record, maps=asked.maps)
    print(metric_lines(result))
    if asked.out:
        runs.write_json(
            Path(asked.out),
            {
                "run": finished.id,
                "maps": asked.maps or "own",
                "normalise": config.normalise,
                "threshold": config.threshold,
                "result": result,
            },
        )


def _localize(arguments: list[str]) -> None:
    from cmr.pictures import localize_pictures

    localize_pictures(**dataclasses.asdict(_parse(Localize, arguments, "localize")))


def _data(arguments: list[str]) -> None:
    from cmr.config import known
    from cmr.data import DATASETS
    from cmr.data import commands as data_commands

    chosen = _peek(arguments, data="toybirds")["data"]
    known(chosen, "data set", DATASETS)
    settings = DATASETS[chosen].Settings
    asked = _parse(Data[settings], arguments, "data")
    action = {"make": data_commands.make, "check": data_commands.check, "show": data_commands.show}[asked.action]
    action(asked.data, asked.data_root, asked.split, asked.settings, asked.out)


def _report(arguments: list[str]) -> None:
    from cmr import report

    asked = _parse(Report, arguments, "report")
    print(report.render(report.table(*asked.roots), asked.format))


def _notebook(arguments: list[str]) -> None:
    from cmr.notebooks import parse_parameters, run_notebook

    asked = _parse(Notebook, arguments, "notebook")
    run_notebook(Path(asked.path), Path(asked.out), parse_parameters(asked.parameter))
