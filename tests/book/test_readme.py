"""The README's example runs as it is printed, and takes what CAM libraries return."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from cmr.maps.locate import normalise, resize
from cmr.metrics import WSOLMetrics, gt_boxes
from cmr.study import frozen, runs
from cmr.study.groups import interpretation

README = Path(__file__).resolve().parents[2] / "README.md"


def test_the_example_runs_and_has_five_lines(capsys):
    section = README.read_text().split("## In Python")[1].split("\n## ")[0]
    lines, before = re.findall(r"```python\n(.*?)```", section, re.S)
    assert len(lines.splitlines()) == 5
    exec(before + lines, {})
    assert "'MaxBoxAccV2':" in capsys.readouterr().out


def test_the_numbers_in_its_table_are_those_of_the_records():
    section = README.read_text().split("## What came out so far")[1].split("\n## ")[0]
    head, _, *rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in section.splitlines() if "|" in line]
    folders = {  # with the seeds of the text: more that somebody runs change no number in it
        "ToyBirds, 6 epochs": (("toybirds-one-rate",), (0, 1, 2, 3, 4)),
        "ToyBirds, 24 epochs": (("toybirds-length", "toybirds-length-seeds"), (0, 1, 2)),
        "CUB-50, 6 epochs": (("cub50-confirm",), (3, 4, 5)),
        "CUB-50, 24 epochs": (("cub50-24", "cub50-24-seeds"), (0, 1, 2)),
        "ILSVRC-20, 3 epochs": (("ilsvrc20-confirm",), (3, 4, 5)),
    }
    assert set(head[1:]) == set(folders)
    for column, title in enumerate(head[1:], start=1):
        names, seeds = folders[title]
        found = [run for name in names for run in runs.find(README.parent / "results" / name)]
        scores = {"full image": [found[0].result.baselines["full image"].gt_known_loc] * len(seeds)}
        for run in found:
            wider = run.config.method == "cam" and run.config.settings.conv_channels > 0  # no row here
            if run.config.seed in seeds and not wider and run.config.epochs == int(title.split()[-2]):
                scores.setdefault(interpretation(run).title, []).append(run.result.gt_known_loc)
        scores = {name: members for name, members in scores.items() if len(members) == len(seeds)}  # else not in it
        said = {row[0]: row[column] for row in rows}
        assert said == {name: f"{np.mean(scores[name]):.1f}" if name in scores else "" for name in said}


def test_the_numbers_of_ddt_are_those_of_the_records():
    found = frozen.find(README.parent / "results" / "cub50-ddt", backbone="resnet50", image_size=224, images=0)
    loc = {run.record.title: run.result.gt_known_loc for run in found}
    said = README.read_text().split("**Without training.**")[1].split("\n\n")[0]
    assert (
        f"localizes {loc['DDT']:.1f} %" in said and f"{loc['DDT per class']:.1f} % with one component per class" in said
    )
    assert f"it has {loc['DDT, minmax, tau 0.2']:.1f}," in " ".join(said.split())


def test_the_numbers_of_sentences_are_those_of_the_records():
    def loc(name, *folders):
        found = runs.find(*(README.parent / "results" / folder for folder in folders))
        return np.mean([run.result.gt_known_loc for run in found if interpretation(run).key == name])

    said = " ".join(README.read_text().split())
    folders = ("cub50-resnet50", "cub50-resnet50-seeds")
    assert f"in GT-known Loc, {loc('cmr_relu', 'cub50-resnet50'):.1f} against {loc('cam', *folders):.1f}," in said
    gap = loc("cam", "ilsvrc20-confirm") - loc("cmr_relu", "ilsvrc20-confirm")
    assert f"positive parts are {gap:.1f} below CAM" in said


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_a_batch_of_arrays_scores_like_the_same_tensor(kind):
    maps = np.random.default_rng(0).normal(size=(3, 14, 14)).astype(kind)  # raw, of any sign, as a CAM library gives
    boxes = gt_boxes([np.array([[20, 30, 150, 90]])] * 3, np.array([[200, 100]] * 3), 224)
    results = []
    for batch in (maps, torch.from_numpy(maps)):
        metrics = WSOLMetrics()
        metrics.update(normalise(resize(batch, 224)), None, None, boxes, ["a", "b", "c"])
        results.append(metrics.result())
    assert results[0] == results[1]
    assert results[0].images == 3 and results[0].max_box_acc_v2 > 0


def test_a_batch_of_arrays_in_range_needs_no_preparation():
    maps = np.zeros((2, 8, 8), np.float32)
    maps[:, 2:6, 2:6] = 1
    outcomes = WSOLMetrics().score(maps, None, None, [np.array([[2, 2, 6, 6]])] * 2, ["a", "b"])
    assert outcomes.iou.tolist() == [1, 1]
