"""`cmr evaluate`: a trained run, tested again."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from cmr.cli.arguments import parse


@dataclass(frozen=True)
class Evaluate:
    """Test a trained run again, as it was or under other settings of the test."""

    # folder of a trained run
    run: str
    # folder of the run's data set; as in the run where it is not given
    data_root: str = ""
    # minmax, max, pas or ivr; as in the run where it is not given
    normalise: str = ""
    # tau; as in the run where it is not given
    threshold: float | None = None
    # another setting of the test, NAME=VALUE, as often as needed: test_scales=[1.0,1.5], test_flip=true,
    # precise_bn=true, test_crop=classic, and the method's own that begin with test_, as test_modules=on
    set: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    # gradcam, gradcam++ or layercam in place of the method's own maps
    maps: str = ""
    # folder in which this test gets a run's folder of its own, with record and outcomes
    record: str = ""
    # auto, cpu, cuda or cuda:N
    device: str = "auto"
    # JSON file for the metrics; none: print only
    out: str = ""


def command(arguments: list[str]) -> None:
    """Reads the command line, tests, and prints the result."""
    asked = parse(Evaluate, arguments, "evaluate")
    from cmr.files import is_json_with, require_place, write_json
    from cmr.study import runs
    from cmr.study.parameters import parse_parameters
    from cmr.study.provenance import metric_lines
    from cmr.study.reevaluate import changed, reevaluate

    if asked.out:
        require_place(asked.out, ".json", is_json_with("run", "normalise", "result"))
    finished = runs.read(asked.run)
    given = {"normalise": asked.normalise or None, "threshold": asked.threshold}
    changes = {name: value for name, value in given.items() if value is not None}
    config = changed(finished.config, changes | parse_parameters(asked.set))
    places: dict[str, Any] = {"data_root": asked.data_root} if asked.data_root else {}
    config = dataclasses.replace(config, device=asked.device, **places)
    result = reevaluate(finished, config, asked.record, maps=asked.maps)
    print(metric_lines(result))
    if asked.out:
        about: dict[str, Any] = {"run": finished.id, "maps": asked.maps or "own"}
        about |= {"normalise": config.normalise, "threshold": config.threshold}
        write_json(Path(asked.out), about | {"result": result.to_dict()})
