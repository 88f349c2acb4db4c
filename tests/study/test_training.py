"""Algorithm 1 end to end: learns, resumes exactly, stops at NaN, leaves a record; in one process and in two."""

import dataclasses
import math
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from cmr import assemble, cli, optim
from cmr.data.images import normalise
from cmr.errors import Diverged, UserError
from cmr.evaluate import evaluate
from cmr.maps import of_labels
from cmr.methods import METHODS
from cmr.metrics.result import Result
from cmr.presets import make
from cmr.study import models, records, runs, training
from cmr.study.reevaluate import reevaluate
from cmr.study.splits import splits
from cmr.train import reestimate_batch_norm

pytestmark = pytest.mark.slow

TINY = {"device": "cpu"}


def run(tmp_path, **arguments):
    return training.train(make("tiny", **(TINY | arguments)), tmp_path, progress=False)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return training.train(make("tiny", **TINY), tmp_path_factory.mktemp("runs"), progress=False)


def test_record_holds_what_it_should(finished):
    record = finished.record
    assert record.id == finished.path.name
    assert {"train", "test"} == set(record.data)
    assert record.seeds == {"seed": 0}
    assert [row["epoch"] for row in record.history] == [1, 2]
    assert record.environment.precision == "32-true" and record.environment.processes == 1
    assert set(record.result.baselines) == {"centred box", "full image"}
    assert set(record.result.parts) == {"head", "beak", "body", "wing", "tail", "legs", "background"}
    assert record.duration_s > 0
    assert record.peak_memory_mb > 100
    assert not list(finished.path.glob("*.p*t"))  # no checkpoint and no half-written file


def test_outcomes_agree_with_the_result(finished):
    outcomes, result = finished.outcomes(), finished.result
    right = outcomes["iou"] >= 0.5
    assert 100 * right.mean() == pytest.approx(result.gt_known_loc)
    assert 100 * (outcomes["top5"][:, 0] == outcomes["label"]).mean() == pytest.approx(result.top1_clas)
    assert 100 * (right & (outcomes["top5"][:, 0] == outcomes["label"])).mean() == pytest.approx(result.top1_loc)
    assert outcomes["iou"].dtype == np.float32  # in half precision an IoU of 0.4999 would count as 0.5
    assert outcomes["maps"].shape == (32, 4, 4)
    assert len(finished.record.maps_of) == 32


def test_a_committed_run_is_small(finished):
    assert sum((finished.path / name).stat().st_size for name in (runs.RECORD, records.OUTCOMES)) < 200_000


def test_a_finished_run_is_not_run_again(finished, monkeypatch):
    monkeypatch.setattr(training, "build", lambda *_: pytest.fail("trained again"))
    again = training.train(finished.config, finished.path.parent, progress=False)
    assert again.record == finished.record


def test_evaluating_the_saved_model_gives_the_recorded_result(finished):
    _, split = splits(finished.config)
    method = models.load_method(finished, len(split.classes))
    batches = training.batches_for_test(split, finished.config, torch.device("cpu"), progress=False)
    result, outcomes = evaluate(of_labels(method.localize), split, batches, finished.config, progress=False)
    assert np.array_equal(outcomes["maps"], finished.outcomes()["maps"])  # to the last bit, or a box might move
    assert records.rounded(result) == finished.result


def test_the_same_seed_gives_the_same_run_and_another_does_not(finished, tmp_path):
    assert run(tmp_path).result == finished.result
    assert run(tmp_path, seed=1).history != finished.history


@pytest.mark.parametrize("method", sorted(METHODS))
def test_learns_its_training_images(method, tmp_path):
    lr = 0.03 if method == "tscam" else 0.1  # at which a transformer from random weights overshoots
    done = run(tmp_path, method=method, epochs=24, settings={"beta": 1.0} if method == "cmr" else {}, lr=lr)
    first, last = done.history[0], done.history[-1]
    assert last["total"] < 0.9 * first["total"]


@pytest.mark.parametrize(("precision", "dtype"), [("32-true", torch.float32), ("bf16-mixed", torch.bfloat16)])
def test_precision_is_that_of_training_and_tests_are_in_float32(precision, dtype, tmp_path, monkeypatch):
    seen = {True: set(), False: set()}
    build = assemble.build

    def watched(*arguments):
        method = build(*arguments)
        method.backbone.register_forward_hook(lambda module, _, output: seen[module.training].add(output.dtype))
        return method

    monkeypatch.setattr(training, "build", watched)
    run(tmp_path, method="cmr", epochs=1, precision=precision)
    assert seen == {True: {dtype}, False: {torch.float32}}


class Stop(Exception):
    pass


@pytest.mark.parametrize("schedule", ["onecycle", "step"])
def test_resume_continues_exactly(tmp_path, monkeypatch, schedule):
    config = make("tiny", epochs=4, schedule=schedule, lr_step=1, **TINY)
    whole = training.train(config, tmp_path / "whole", progress=False)
    save = training.save_checkpoint

    def save_twice(path, *arguments):
        save(path, *arguments)
        if len(arguments[2]) == 2:
            raise Stop

    monkeypatch.setattr(training, "save_checkpoint", save_twice)
    with pytest.raises(Stop):
        training.train(config, tmp_path / "halves", progress=False)
    monkeypatch.undo()
    with pytest.raises(UserError, match="an unfinished run is there; go on with --resume"):
        training.train(config, tmp_path / "halves", progress=False)
    halves = training.train(config, tmp_path / "halves", resume=True, progress=False)
    assert halves.result == whole.result
    keys = [key for key in whole.history[0] if key != "seconds"]
    assert [[row[key] for key in keys] for row in halves.history] == [
        [row[key] for key in keys] for row in whole.history
    ]
    model = (whole.path / runs.MODEL).read_bytes()
    assert (halves.path / runs.MODEL).read_bytes() == model


def test_nan_stops_and_keeps_the_last_good_checkpoint(tmp_path, monkeypatch):
    config = make("tiny", epochs=3, **TINY)
    losses = METHODS["cmr"].losses
    calls = []

    def broken(self, images, labels):
        calls.append(1)
        result = losses(self, images, labels)
        return {name: value * math.nan for name, value in result.items()} if len(calls) == 4 else result

    monkeypatch.setattr(METHODS["cmr"], "losses", broken)
    with pytest.raises(
        Diverged, match=r"became nan at step 4 \(epoch 2, step 2 of 2\); the checkpoint after epoch 1 is kept"
    ):
        training.train(config, tmp_path, progress=False)
    monkeypatch.undo()
    [folder] = tmp_path.iterdir()
    assert not (folder / runs.RECORD).exists()
    state = torch.load(folder / runs.CHECKPOINT, weights_only=True)
    assert len(state["history"]) == 1
    [fallen] = runs.find_diverged(tmp_path)
    assert fallen.diverged == "the loss became nan at step 4 (epoch 2, step 2 of 2)"
    assert (fallen.id, fallen.config, fallen.result, len(fallen.history)) == (folder.name, config, Result(), 1)
    with pytest.raises(Diverged, match=r"at step 4 .*; this was found when it ran before. Run it again with --rerun"):
        training.train(config, tmp_path, resume=True, progress=False)
    again = training.train(config, tmp_path, rerun=True, progress=False)
    assert (len(again.history), again.diverged) == (3, "")
    assert runs.find_diverged(tmp_path) == []


@pytest.mark.parametrize("begun", [False, True])
def test_a_run_made_again_leaves_the_old_one_until_it_is_whole(tmp_path, monkeypatch, begun):
    config = make("tiny", epochs=2, **TINY)
    old = training.train(config, tmp_path, progress=False)
    model = (old.path / runs.MODEL).read_bytes()

    def stop(*arguments):
        if begun:
            save(*arguments)
        raise Stop

    save = training.save_checkpoint
    monkeypatch.setattr(training, "save_checkpoint", stop)
    with pytest.raises(Stop):
        training.train(config, tmp_path, rerun=True, progress=False)
    monkeypatch.undo()
    assert [run.record for run in runs.find(tmp_path)] == [old.record]
    assert training.train(config, tmp_path, resume=True, progress=False).record == old.record
    assert (old.path / runs.MODEL).read_bytes() == model
    new = training.train(config, tmp_path, rerun=True, resume=begun, progress=False)
    assert (new.result, new.path) == (old.result, old.path)
    assert [path.name for path in tmp_path.iterdir()] == [old.id]
    assert {path.name for path in old.path.iterdir()} == {runs.RECORD, records.OUTCOMES, runs.MODEL}


@pytest.mark.parametrize("moved", range(4))
def test_a_swap_that_was_cut_short_is_finished_by_the_next_call(finished, tmp_path, moved):
    """After none, one, two or three of its steps; what else lies in the folder stays there."""
    old, new = tmp_path / finished.id, tmp_path / f"{finished.id}{runs.RERUN}"
    for folder in (old, new):
        shutil.copytree(finished.path, folder)
    (old / "notes").mkdir()
    (new / runs.CHECKPOINT).write_bytes(b"left over")
    for name in ("", runs.RECORD, runs.MODEL, records.OUTCOMES)[1 : moved + 1]:
        (old / name).unlink()
        if name != runs.RECORD:
            (new / name).replace(old / name)
    assert [run.record for run in runs.find(tmp_path)] == [finished.record]  # at every point
    again = training.train(finished.config, tmp_path, rerun=False, progress=False)
    assert again.record == finished.record
    training.train(finished.config, tmp_path, rerun=True, progress=False)
    assert [path.name for path in tmp_path.iterdir()] == [finished.id]
    assert {path.name for path in old.iterdir()} == {runs.RECORD, records.OUTCOMES, runs.MODEL, "notes"}


def test_one_process_at_a_time_in_a_folder(finished, tmp_path):
    config = dataclasses.replace(finished.config, seed=5)
    run = training.train(config, tmp_path, progress=False)
    hold = "import sys, time\nfrom cmr.files import alone\n"
    hold += "with alone(sys.argv[1]):\n    print('held', flush=True)\n    time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", hold, str(run.path)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(UserError, match=f"process {other.pid} on .* works there; wait until it has ended"):
            training.train(config, tmp_path, rerun=True, progress=False)
        other.kill()
    assert training.train(config, tmp_path, rerun=True, progress=False).result == run.result  # a dead one holds nothing


def test_a_damaged_model_and_a_damaged_checkpoint_are_named(finished, tmp_path):
    folder = tmp_path / finished.id
    shutil.copytree(finished.path, folder)
    for name in (runs.MODEL, runs.CHECKPOINT):
        (folder / name).write_bytes(b"not that")
    with pytest.raises(UserError, match="the model cannot be read"):
        models.load_method(runs.read(folder), 4)
    (folder / runs.RECORD).unlink()
    with pytest.raises(UserError, match="the checkpoint cannot be read"):
        training.train(finished.config, tmp_path, resume=True, progress=False)


@pytest.mark.parametrize("holdout", [0.0, 0.25])
@pytest.mark.parametrize("edit", ["a class renamed", "a pixel", "nothing"])
def test_relabelled_or_edited_data_never_return_an_old_run(tmp_path, edit, holdout):
    root = tmp_path / "birds"
    cli.main(["data", "make", "--train", "32", "--test", "8", "--classes", "2", "--size", "36", "--out", str(root)])
    for path in root.glob("*/*.png"):  # not compressed: an edited pixel leaves the file's size as it is
        Image.open(path).convert("RGB").save(path, compress_level=0)
    config = make("tiny", data="folder", data_root=str(root), method="cam", epochs=1, batch_size=8, **TINY)
    config = dataclasses.replace(config, holdout=holdout)
    old = training.train(config, tmp_path / "runs", progress=False)
    table = root / "images.csv"
    if edit == "a class renamed":
        name = sorted({line.split(",")[1] for line in table.read_text().splitlines()[1:]})[-1]
        table.write_text(table.read_text().replace(name, f"{name} the second"))
    elif edit == "a pixel":
        path = next(root.glob("train/*.png"))
        picture, size = Image.open(path).convert("RGB"), path.stat().st_size
        picture.putpixel((0, 0), (1, 2, 3))
        picture.save(path, compress_level=0)
        assert path.stat().st_size == size
    again = training.train(config, tmp_path / "runs", progress=False)
    assert (again.id == old.id) is (edit == "nothing")


def test_parameter_groups():
    config = make("tiny", lr=0.1, lr_new=10.0, weight_decay=0.01)
    method = assemble.build(config, 4)
    optimizer = optim.make_optimizer(method, config)
    old = {id(p) for p in method.backbone.parameters()}
    seen = set()
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            seen.add(id(parameter))
            assert group["lr"] == pytest.approx(0.1 if id(parameter) in old else 1.0)
            assert group["weight_decay"] == (0.0 if parameter.ndim == 0 else 0.01)
        assert group["nesterov"]
    assert seen == {id(p) for p in method.parameters()}


def test_one_cycle_rises_and_falls():
    config = make("tiny", epochs=10)
    factors = [optim.lr_factor(config, step, 10) for step in range(100)]
    top = int(np.argmax(factors))
    assert 25 <= top <= 35
    assert max(factors) == pytest.approx(1, abs=1e-2)
    assert factors[0] < 0.05
    assert factors[-1] < 0.001
    assert np.all(np.diff(factors[:top]) > 0)
    assert np.all(np.diff(factors[top:]) < 0)


def test_holdout_takes_from_training_only():
    config = make("tiny", holdout=0.25, **TINY)
    kept, held = splits(config)
    whole, _ = splits(dataclasses.replace(config, holdout=0.0))
    assert set(kept.ids) | set(held.ids) == set(whole.ids)
    assert not set(kept.ids) & set(held.ids)
    share = [(held.labels == label).sum() / (whole.labels == label).sum() for label in range(4)]
    assert all(0.15 < part < 0.35 for part in share)


def test_precise_bn_is_the_plain_average_over_all_images():
    class Norm(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = torch.nn.BatchNorm2d(3)

        def localize(self, images):
            return self.norm(images)

    generator, method = torch.Generator().manual_seed(0), Norm()
    tops = {9: 4, 80: 4, 256: 2, 2: 1}  # highest pixel of a batch, and how many images it has; the last is left out
    batches = [torch.randint(0, top, (n, 3, 8, 8), dtype=torch.uint8, generator=generator) for top, n in tops.items()]
    images = SimpleNamespace(epoch=lambda: [(batch, None, None) for batch in batches])
    reestimate_batch_norm(method, images, SimpleNamespace(seed=0, epochs=1, image_size=8))
    seen = [normalise(batch) for batch in batches[:3]]  # a crop of the whole; a flip changes no statistics
    shares = torch.tensor([0.4, 0.4, 0.2])
    mean, var = (shares @ torch.stack([of(batch) for batch in seen]) for of in (channel_means, channel_variances))
    torch.testing.assert_close(method.norm.running_mean, mean)
    torch.testing.assert_close(method.norm.running_var, var)


def channel_means(images):
    return images.mean((0, 2, 3))


def channel_variances(images):
    return images.var((0, 2, 3))


def test_precise_bn_changes_no_weight(tmp_path):
    plain, precise = run(tmp_path), run(tmp_path, precise_bn=True)
    names = [name for name in safetensors_of(plain) if "running_mean" in name]
    assert any(not torch.equal(safetensors_of(plain)[name], safetensors_of(precise)[name]) for name in names)
    weights = [name for name in safetensors_of(plain) if name.endswith("weight")]
    assert all(torch.equal(safetensors_of(plain)[name], safetensors_of(precise)[name]) for name in weights)


def safetensors_of(finished):
    import safetensors.torch

    return safetensors.torch.load_file(finished.path / runs.MODEL)


def test_clip_bounds_the_step(tmp_path):
    config = make("tiny", epochs=1, weight_decay=0.0, **TINY)
    torch.manual_seed(config.seed)
    start = {name: value.clone() for name, value in assemble.build(config, 4).named_parameters()}
    still = safetensors_of(run(tmp_path, epochs=1, weight_decay=0.0, clip=1e-9))
    moved = safetensors_of(run(tmp_path, epochs=1, weight_decay=0.0))
    distance = [sum((end[name] - value).norm() for name, value in start.items()) for end in (still, moved)]
    assert distance[0] < 1e-6
    assert distance[1] > 0.01


def test_evaluates_on_the_way(tmp_path):
    history = run(tmp_path, epochs=3, eval_every=1).history
    assert ["GT-known Loc" in row for row in history] == [True, True, False]  # the last is the record's result
    parts = {"head", "beak", "body", "wing", "tail", "legs", "background"}
    assert {name for name in history[0] if name.startswith("part ")} == {f"part {part}" for part in parts}


def test_errors_of_the_place(tmp_path):
    with pytest.raises(UserError, match="device: 'tpu' is not one of auto, cpu, cuda"):
        training.train(make("tiny", device="tpu"), tmp_path)
    if not torch.cuda.is_available():
        with pytest.raises(UserError, match="torch sees no GPU"):
            training.train(make("tiny", device="cuda"), tmp_path)
    with pytest.raises(UserError, match="batch_size: 100 is more than the 64 training images"):
        run(tmp_path, batch_size=100)


def test_a_record_without_model_says_how_to_train(finished, tmp_path):
    copy = tmp_path / finished.id
    copy.mkdir()
    (copy / runs.RECORD).write_text((finished.path / runs.RECORD).read_text())
    with pytest.raises(UserError, match="only the record was kept. Train it again with"):
        models.load_method(runs.read(copy), 4)


@pytest.mark.parametrize(
    "around",
    [{"SLURM_NTASKS": "4", "SLURM_JOB_NAME": "train"}, {"OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_RANK": "0"}],
)
def test_a_schedulers_variables_do_not_break_a_single_process(tmp_path, monkeypatch, around):
    for name, value in around.items():
        monkeypatch.setenv(name, value)
    assert run(tmp_path, epochs=1).record.environment.processes == 1


def test_absolute_paths_do_not_enter_the_record():
    config = make("tiny", data_root="/data/CUB_200_2011", weights="/w/resnet18.safetensors")
    assert (runs.portable(config).data_root, runs.portable(config).weights) == (
        "CUB_200_2011",
        "resnet18.safetensors",
    )


def test_two_processes_train_and_agree(tmp_path):
    """Under torchrun each process takes half of every batch, and both score all test images between them."""
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "cmr"]
    asked = ["train", "--preset", "tiny", "--device", "cpu", "--data-settings.test", "33", "--out", str(tmp_path)]
    asked += ["--precision", "bf16-mixed"]
    place = os.environ | {"PYTHONPATH": str(Path(training.__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*launch, *asked], capture_output=True, text=True, env=place, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    [finished] = runs.find(tmp_path)
    assert finished.record.environment.processes == 2
    assert finished.result.images == 33
    outcomes = finished.outcomes()
    assert len(outcomes["iou"]) == 33
    assert 100 * (outcomes["iou"] >= 0.5).mean() == pytest.approx(finished.result.gt_known_loc, abs=1e-3)
    assert len(re.findall("record: ", done.stdout)) == 1  # one process reports
    reevaluate(finished, finished.config, tmp_path / "again", progress=False)
    [again] = runs.find(tmp_path / "again")
    np.testing.assert_allclose(outcomes["maps"], again.outcomes()["maps"], atol=2e-5)  # tests are in float32


def test_more_processes_than_test_images(tmp_path):
    """The second process has none to score, and the record is that of one process."""
    asked = {"data_settings": {"train": 32, "test": 1, "classes": 2}, "epochs": 1, "batch_size": 32}
    config = make("tiny", method="cam", device="cpu", **asked)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "cmr"]
    words = shlex.split(runs.train_command(config, "tiny"))[1:] + ["--device", "cpu", "--out", str(tmp_path / "two")]
    place = os.environ | {"PYTHONPATH": str(Path(training.__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*launch, *words], capture_output=True, text=True, env=place, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    [shared] = runs.find(tmp_path / "two")
    assert shared.record.environment.processes == 2
    assert shared.result.images == 1 and len(shared.outcomes()["iou"]) == 1
    assert "Warning" not in done.stderr.replace("FutureWarning", "")
