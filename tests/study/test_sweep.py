"""Sweeps: what is skipped, what fails, what goes on; once with a worker process, else with workers in this process."""

import os
import platform
import re
import shlex
import sys
import threading
import time
from pathlib import Path

import pytest

from cmr import cli
from cmr.errors import UserError
from cmr.files import alone
from cmr.metrics.result import Result
from cmr.presets import make
from cmr.study import grid, runs, search, sweep, training
from cmr.study.identity import identity
from cmr.study.plan import plan
from cmr.study.splits import splits
from tests.study.records import said

pytestmark = pytest.mark.slow

GRID = """
preset = "tiny"
seeds = [0, 1]
[common]
device = "cpu"
epochs = 1
[[runs]]
method = "cam"
[[runs]]
method = "cmr"
sizes = [8]
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "grid.toml").write_text(GRID)
    return tmp_path


def call(capsys, *arguments, status=None):
    if status is not None:
        with pytest.raises(SystemExit) as stopped:
            cli.main(["sweep", *arguments])
        assert stopped.value.code == status
    else:
        cli.main(["sweep", *arguments])
    said = capsys.readouterr()
    return said.out if status != 2 else said.err


def finish(config, root):
    """A record of this run on its real data, without training it."""
    train_split, test_split = splits(config)
    prints = {"train": train_split.fingerprint, "test": test_split.fingerprint, "weights": "none"}
    name = identity(config, prints)
    runs.write(root / name, said(name, config, data=runs.data_of(train_split, test_split), result=Result()), {})
    return name


def test_dry_run_lists_the_runs_and_trains_nothing(place, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)  # to look, dask is not needed
    name = finish(make("tiny", method="cam", epochs=1, seed=1, workers=7), place / "out")
    lines = call(capsys, "grid.toml", "--out", "out", "--dry-run").splitlines()
    assert lines[-1] == "4 runs: 1 done, 3 to do"
    assert [line[:7] for line in lines[:4]] == ["to do  ", "to do  ", "done   ", "to do  "]
    assert lines[2] == f"done      {name}"
    assert re.fullmatch(r"to do     toybirds-cmr-tiny-s1-[0-9a-f]{10}", lines[3])
    assert [path.name for path in (place / "out").iterdir()] == [name]
    assert "0 done, 4 to do" in call(capsys, "grid.toml", "--dry-run")


def test_dry_run_says_what_differs_and_what_was_chosen(place, capsys, monkeypatch):
    (place / "grid.toml").write_text(GRID + "grid = {beta = [0, 1]}")
    note = "method=cam: lr=0.1 from a search"
    monkeypatch.setattr("cmr.study.plan.chosen", lambda grid: (search.chosen(grid)[0], [note]))
    said = call(capsys, "grid.toml", "--dry-run").splitlines()
    assert said[0] == note
    assert [line.split()[3:] for line in said[1:4]] == [[], ["beta=0.0"], ["beta=1.0"]]


def test_two_folders_with_the_same_data_make_one_run(place):
    runs_of_both = '[[runs]]\nmethod = "cam"\n[[runs]]\nmethod = "cam"\ndata_root = "unused"'  # ToyBirds has no folder
    (place / "grid.toml").write_text(f'preset = "tiny"\n{runs_of_both}')
    assert len(plan("grid.toml", "out").items) == 1


def test_data_elsewhere_do_not_stop_the_plan(place):
    (place / "grid.toml").write_text(
        'preset = "tiny"\n[[runs]]\ndata = "cub"\ndata_root = "elsewhere"\n[[runs]]\nweights = "no.pth"'
    )
    assert [str(item) for item in plan("grid.toml", "out").items] == [
        "cub-cmr-tiny-s0 (its data or weights are not at hand here)  data_root=elsewhere weights=none",
        "toybirds-cmr-tiny-s0 (its data or weights are not at hand here)  weights=no.pth",
    ]


def test_the_grids_of_the_book_are_read(place):
    page = Path(__file__).resolve().parents[2] / "book/reference/rerun.md"
    first, final = re.findall(r"```toml\n# (search|grid)\.toml\n(.*?)```", page.read_text(), re.S)
    for name, text in (first, final):
        (place / f"{name}.toml").write_text(text)
    assert len(grid.load("search.toml").configs) == 8
    assert len(grid.load("grid.toml").configs) == 12
    with pytest.raises(UserError, match="8 of the 8 runs of search.toml are not finished in results/search"):
        search.chosen(grid.load("grid.toml"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no.toml"], "cmr: no.toml: there is no such grid file"),
        (["grid.toml", "--workers", "-1"], "workers -1 and threads 0 must not be negative"),
        (["grid.toml", "--workers", "2", "--scheduler", "tcp://127.0.0.1:9"], "--workers goes with processes of this"),
    ],
)
def test_mistakes(place, capsys, arguments, message):
    assert message in call(capsys, *arguments, status=2)


def test_without_dask_the_message_names_the_command_that_installs_it(place, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    said = call(capsys, "grid.toml", status=2)
    assert said == (
        "cmr: sweep: dask's `distributed` is not installed; install it in a checkout: pip install -e '.[sweep]'\n"
    )


def test_when_all_is_done_nothing_is_started(place, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    for item in plan("grid.toml", "out").items:
        finish(item.config, place / "out")
    said = call(capsys, "grid.toml", "--out", "out").splitlines()
    assert said[-2:] == ["4 runs: 4 done, 0 to do", "0 of 0 runs finished, 0 diverged, 0 failed"]


def test_no_scheduler_answers(place, capsys, monkeypatch):
    import distributed

    def refuse(*_, **__):
        raise OSError("Timed out trying to connect")

    monkeypatch.setattr(distributed, "Client", refuse)
    said = call(capsys, "grid.toml", "--scheduler", "tcp://127.0.0.1:9", status=2)
    assert said == "cmr: sweep: no dask scheduler answers at tcp://127.0.0.1:9 (Timed out trying to connect)\n"


def test_a_worker_process_trains_what_is_left_and_lists_what_diverged(place, capsys):
    (place / "grid.toml").write_text(GRID.replace("seeds = [0, 1]", "") + '[[runs]]\nmethod = "cam"\nlr = 1e30')
    kept = finish(make("tiny", method="cam", epochs=1, device="cpu"), place / "out")
    said = call(capsys, "grid.toml", "--out", "out", "--threads", "1")
    assert "3 runs: 1 done, 2 to do" in said
    assert "1 of 2 runs finished, 1 diverged, 0 failed" in said
    diverged, reason, alone = said.splitlines()[-3:]
    assert re.fullmatch(r"diverged: toybirds-cam-tiny-s0-[0-9a-f]{10}  lr=1e\+30", diverged)
    assert "stopped being finite" in reason or "the loss became" in reason
    assert alone == (
        "    alone: cmr train --preset tiny --method cam --data toybirds --epochs 1 --lr 1e+30 --device cpu"
    )
    [run] = [run for run in runs.find("out") if run.id != kept]
    assert run.config.settings.sizes == (8,)
    assert run.record.command == (
        "cmr train --preset tiny --method cmr --data toybirds --epochs 1 --device cpu --sizes 8"
    )
    assert run.record.environment.threads == 1
    said = call(capsys, "grid.toml", "--out", "out")  # the outcome is known: it is not tried again
    assert re.search(r"^diverged  toybirds-cam-tiny-s0-\w+  lr=1e\+30$", said, re.MULTILINE)
    assert "3 runs: 3 done, 0 to do" in said


def test_a_second_sweep_of_a_folder_is_told_who_is_there(place, capsys):
    with alone("out"):
        said = call(capsys, "grid.toml", "--out", "out", status=2)
        assert f"cmr: out: process {os.getpid()} on " in said and "works there; wait until it has ended" in said
        assert "4 to do" in call(capsys, "grid.toml", "--out", "out", "--dry-run")  # a look is free
    assert not list(place.glob(".*.lock"))


@pytest.fixture
def scheduler():
    """A scheduler with two workers that are threads of this process."""
    import distributed

    cluster = distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=False, protocol="tcp", dashboard_address="127.0.0.1:0"
    )
    with cluster:
        yield cluster.scheduler_address


SEEN, AT_ONCE, INSIDE = [], [], []


def note(config, out, command, threads):
    """Stands for `sweep.work`; the workers are threads of this process, so that they see these lists."""
    INSIDE.append(1)
    AT_ONCE.append(len(INSIDE))
    time.sleep(0.05)
    INSIDE.pop()
    SEEN.append((config.method, config.seed, out, shlex.split(command)[:2], threads))
    return "no luck" if config.seed == 1 and config.method == "cam" else ""


def test_a_given_scheduler_gets_every_run_and_one_failure_stops_no_other(place, capsys, monkeypatch, scheduler):
    (place / "grid.toml").write_text(GRID.replace("[0, 1]", "[0, 1, 2]"))
    monkeypatch.setattr(sweep, "work", note)
    said = call(capsys, "grid.toml", "--out", "out", "--scheduler", scheduler, "--threads", "3", status=1)
    assert "5 of 6 runs finished, 0 diverged, 1 failed" in said
    assert "    no luck" in said
    assert sorted(SEEN) == [
        (method, seed, "out", ["cmr", "train"], 3) for method in ("cam", "cmr") for seed in (0, 1, 2)
    ]
    assert max(AT_ONCE) <= 2


def test_what_a_run_that_did_not_return_says():
    class Future:
        def __init__(self, status, error=None):
            self.status, self.error = status, error

        def exception(self):
            return self.error

    class KilledWorker(Exception):
        allowed_failures = 2

    assert sweep._message(Future("error", KilledWorker())) == "its worker process died 3 times; out of memory, perhaps"
    assert sweep._message(Future("error", ImportError("no\nmodule"))) == "ImportError: no module"
    assert sweep._message(Future("cancelled")) == "the scheduler or its connection was lost; call the sweep again"


def test_a_stopped_run_goes_on_from_its_checkpoint(tmp_path, monkeypatch):
    config = make("tiny", method="cam", epochs=2, device="cpu")
    save = training.save_checkpoint

    def save_once(*arguments):
        save(*arguments)
        raise RuntimeError("the power\nwent")

    monkeypatch.setattr(training, "save_checkpoint", save_once)
    said = sweep.work(config, str(tmp_path), "first", 0)
    assert re.fullmatch(r"RuntimeError: the power went \(test_sweep.py, line \d+\)", said)
    monkeypatch.undo()
    monkeypatch.setattr(
        training, "save_checkpoint", lambda *a: pytest.fail("began anew") if len(a[3]) < 2 else save(*a)
    )
    assert sweep.work(config, str(tmp_path), "second", 0) == ""
    [run] = runs.find(tmp_path)
    assert [row["epoch"] for row in run.history] == [1, 2]
    assert run.record.command == "second"


def test_a_process_does_one_run_at_a_time(monkeypatch):
    inside = []

    def slow(*_, **__):
        inside.append(1)
        assert len(inside) == 1
        time.sleep(0.05)
        inside.pop()

    monkeypatch.setattr(sweep, "train", slow)
    said = []
    threads = [threading.Thread(target=lambda: said.append(sweep.work(None, "", "", 0))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert said == ["", ""]


def test_an_interrupt_says_how_to_go_on(place, capsys, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(sweep, "execute", interrupt)
    with pytest.raises(SystemExit) as stopped:
        cli.main(["sweep", "grid.toml"])
    assert stopped.value.code == 130
    assert "stopped; the same command goes on with the runs that are not finished" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "expected"), [("", ["0", "1"]), ("3,5", ["3", "5"]), ("GPU-ab, GPU-cd", ["GPU-ab", "GPU-cd"])]
)
def test_each_worker_gets_a_gpu(place, monkeypatch, given, expected):
    import distributed

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    (place / "grid.toml").write_text(GRID.replace('device = "cpu"', ""))
    todo = plan("grid.toml", "out").todo()

    def gpus(todo, workers):
        return [
            spec["options"]["env"].get("CUDA_VISIBLE_DEVICES")
            for spec in sweep._local(distributed, todo, workers)["workers"].values()
        ]

    assert gpus(todo, 0) == expected
    assert gpus(todo, 3) == [*expected, expected[0]]
    assert gpus(todo[:1], 0) == expected[:1]  # no more workers than runs
    (place / "grid.toml").write_text(GRID)
    assert gpus(plan("grid.toml", "out").todo(), 0) == [None]  # device = "cpu": one worker


def test_a_sweep_does_not_wait_for_ever_for_a_process(place, monkeypatch):
    class Client:
        def nthreads(self):
            return {}

        def submit(self, *_, **__):
            return object()

    class Distributed:
        def wait(*_, **__):
            raise TimeoutError

    todo = plan("grid.toml", "out").todo()
    failed = sweep._work_off(Distributed, Client(), "tiny", todo, "out", 1, patience=0.01)
    assert [item for item, _ in failed] == todo
    assert {message for _, message in failed} == {"no worker process is left, and none starts; run it alone to see why"}


def fresh_pages():
    """How many pages a thread gets from the system while it takes and frees 100 MB eight times, after four first."""
    import resource

    import torch

    counts = []
    for _ in range(12):
        torch.zeros(100, 2**18)
        counts.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
    return counts[-1] - counts[3]


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="settings of glibc")
def test_worker_processes_keep_the_memory_that_a_step_frees(place):
    """dask's own setting has them hand it back at once; the page faults took 43 % of a training's time."""
    import distributed

    todo = plan("grid.toml", "out").todo()[:1]
    with sweep._client(distributed, todo, "", 1) as client:
        assert client.submit(fresh_pages).result() < 5_000  # 25,600 pages hold it once
