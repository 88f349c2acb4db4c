"""Runs a grid: one task per run, on processes of this machine or on the workers of a dask scheduler."""

import gc
import logging
import os
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from math import inf
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from tqdm import tqdm

from cmr.config import Config
from cmr.errors import Diverged, UserError
from cmr.files import alone
from cmr.study import runs
from cmr.study.plan import Item, Plan
from cmr.study.training import train

DIVERGED = "diverged: "  # begins the message of a run that has this outcome; any other message is a failure
RETRIES = 2  # times that a run is tried again when its worker process has died
LOOK_EVERY = 2.0  # seconds between two looks for workers that joined or left
GIVE_UP = 300.0  # seconds without any process before a sweep on this machine ends: dask starts none that dies at once
_ONE_RUN = threading.Lock()  # two runs in one process would draw from one stream of random numbers


def execute(
    planned: Plan, out: str | Path, scheduler: str = "", workers: int = 0, threads: int = 0
) -> list[tuple[Item, str]]:
    """Runs what is not done; a run that fails does not stop the others.

    Args:
        planned: the plan.
        out: where the runs' folders go.
        scheduler: address of a dask scheduler; "" starts worker processes here.
        workers: processes here; 0: one for each GPU, or one on the CPU.
        threads: CPU threads of each run; 0: this machine's shared by the processes here, the workers' own elsewhere.

    Returns:
        The runs that failed or diverged, each with the reason in one line.

    Raises:
        UserError: dask's `distributed` is not installed, no scheduler answers, another sweep of this machine works in
            the folder, or numbers that cannot be.
    """
    todo = planned.todo()
    if workers < 0 or threads < 0:
        raise UserError(f"sweep: workers {workers} and threads {threads} must not be negative; 0 chooses them")
    if scheduler and workers:
        raise UserError("sweep: --workers goes with processes of this machine; with --scheduler, start workers there")
    if not todo:
        return []
    distributed = _distributed()
    # With a scheduler the folder may be on another machine, and a second sweep only finds its runs taken.
    with nullcontext() if scheduler else alone(out), _client(distributed, todo, scheduler, workers) as client:
        if not scheduler:
            count = len(client.nthreads())
            threads = threads or max(1, torch.get_num_threads() // count)
            where = f"{count} process(es) of this machine, {threads} CPU thread(s) each"
        else:
            where = f"{len(client.nthreads())} worker(s) of {scheduler}; data, weights and {out} are paths of theirs"
        print(f"{len(todo)} run(s) on {where}", file=sys.stderr)
        patience = inf if scheduler else GIVE_UP
        return _work_off(distributed, client, planned.preset, todo, str(out), threads, patience)


def summary(planned: Plan, failed: Sequence[tuple[Item, str]]) -> str:
    """What `cmr sweep` prints at its end: how many runs went well, and why the others did not."""
    errors, count = broken(failed), len(planned.todo())
    diverged = len(failed) - len(errors)
    lines = [f"{count - len(failed)} of {count} runs finished, {diverged} diverged, {len(errors)} failed"]
    for item, message in failed:
        kind, reason = (
            ("diverged", message.removeprefix(DIVERGED)) if message.startswith(DIVERGED) else ("failed", message)
        )
        lines += [f"{kind}: {item}", f"    {reason}", f"    alone: {command_of(item.config, planned.preset)}"]
    return "\n".join(lines)


def broken(failed: Sequence[tuple[Item, str]]) -> list[Item]:
    """The runs that failed: a training that diverges has an outcome, which is recorded and not tried again."""
    return [item for item, message in failed if not message.startswith(DIVERGED)]


def command_of(config: Config, preset: str) -> str:
    """The command that a run's record gives."""
    return runs.train_command(runs.portable(config), preset)  # records are shared: no paths of this machine alone


def _work_off(
    distributed: ModuleType, client: Any, preset: str, todo: Sequence[Item], out: str, threads: int, patience: float
) -> list[tuple[Item, str]]:
    waiting = deque(todo)
    running: dict[Any, Item] = {}
    failed: list[tuple[Item, str]] = []
    seen = time.monotonic()  # when there was a worker last
    with tqdm(total=len(todo), desc="sweep", unit="run", smoothing=0) as bar:
        while waiting or running:
            # No more tasks than workers: of several on one worker, all would count as failed when it dies.
            count = len(client.nthreads())
            seen = time.monotonic() if count else seen
            if time.monotonic() - seen > patience:
                lost = "no worker process is left, and none starts; run it alone to see why"
                return failed + [(item, lost) for item in (*running.values(), *waiting)]
            while waiting and len(running) < max(1, count):
                item = waiting.popleft()
                command = command_of(item.config, preset)
                running[client.submit(work, item.config, out, command, threads, pure=False)] = item
            try:
                done = distributed.wait(list(running), timeout=LOOK_EVERY, return_when="FIRST_COMPLETED").done
            except TimeoutError:
                continue
            for future in done:
                item, message = running.pop(future), _message(future)
                future.release()  # a result that is still held would be made again when its worker dies
                if message:
                    failed.append((item, message))
                    errors = len(broken(failed))
                    bar.set_postfix(diverged=len(failed) - errors, failed=errors, refresh=False)
                bar.update()
    return failed


def _message(future: Any) -> str:
    """Why a run failed, in one line; "" where it did not."""
    if future.status == "finished":
        return future.result()
    if future.status != "error":  # cancelled or lost
        return "the scheduler or its connection was lost; call the sweep again"
    error = future.exception()
    if type(error).__name__ == "KilledWorker":
        return f"its worker process died {error.allowed_failures + 1} times; out of memory, perhaps"
    return _one_line(f"{type(error).__name__}: {error}")


def _one_line(text: str) -> str:
    return " ".join(text.split())


def work(config: Config, out: str, command: str, threads: int) -> str:
    """One run, in a worker process.

    Args:
        config: what to run.
        out: where its folder goes.
        command: for its record.
        threads: CPU threads; 0 leaves them.

    Returns:
        "" or the reason for its failure in one line, after `DIVERGED` where the loss diverged: an exception would stop
        at the first worker that cannot read it.
    """
    with _ONE_RUN:
        if threads:
            torch.set_num_threads(threads)
        _forget_peak_memory()
        try:
            train(config, out, resume=True, progress=False, command=command)
        except Diverged as error:
            return DIVERGED + _one_line(str(error))
        except UserError as error:
            return _one_line(str(error))
        except Exception as error:
            *_, (frame, line) = traceback.walk_tb(error.__traceback__)
            place = f"{Path(frame.f_code.co_filename).name}, line {line}"
            return _one_line(f"{type(error).__name__}: {error} ({place})")
        finally:
            gc.collect()
            if torch.cuda.is_initialized():
                torch.cuda.empty_cache()
    return ""


def _forget_peak_memory() -> None:
    """Lets a record's peak memory be that of its own run, not of an earlier one in the same process."""
    if torch.cuda.is_initialized():
        torch.cuda.reset_peak_memory_stats()
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # Linux: the high-water mark starts again


def _distributed() -> ModuleType:
    try:
        import distributed
    except ImportError:
        raise UserError(
            "sweep: dask's `distributed` is not installed; install it in a checkout: pip install -e '.[sweep]'"
        ) from None
    return distributed


@contextmanager
def _client(distributed: ModuleType, todo: Sequence[Item], scheduler: str, workers: int) -> Iterator[Any]:
    """A client of the given scheduler, or of one that lives as long as the sweep, on this machine's loopback only."""
    import dask

    if scheduler:
        try:
            client = distributed.Client(scheduler, timeout=30)  # it may be starting
        except (OSError, ValueError) as error:
            raise UserError(f"sweep: no dask scheduler answers at {scheduler} ({_one_line(str(error))})") from None
        with client:
            yield client
        return
    with (
        dask.config.set(
            {
                "distributed.admin.tick.limit": "1h",  # a training step may hold the interpreter for long
                # A process that died is started again; the default of 15 s gives it up while it still imports torch.
                "distributed.deploy.lost-worker-timeout": GIVE_UP,
                # Its workers would hand every freed page back to the system, and training took 1.7 times as long. Tasks
                # run in a thread, and what threads allocate is kept in the first arena alone: a fifth of the time of a
                # step of VGG16 went into fresh pages without that.
                "distributed.nanny.pre-spawn-environ.MALLOC_ARENA_MAX": 1,
                "distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": 2**31,
                "distributed.nanny.pre-spawn-environ.MALLOC_MMAP_THRESHOLD_": 2**30,
            }
        ),
        distributed.SpecCluster(**_local(distributed, todo, workers), silence_logs=logging.ERROR) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


def _local(distributed: ModuleType, todo: Sequence[Item], workers: int) -> dict[str, Any]:
    """Scheduler and workers as `SpecCluster` wants them: unlike `LocalCluster` it can give each worker a GPU."""
    here = {"host": "127.0.0.1", "dashboard": False}
    gpus = visible_gpus() if any(item.config.device != "cpu" for item in todo) else []
    options = {**here, "nthreads": 1, "memory_limit": 0, "silence_logs": logging.ERROR}
    specs = {}
    for number in range(min(workers or len(gpus) or 1, len(todo))):
        env = {"CUDA_VISIBLE_DEVICES": gpus[number % len(gpus)]} if gpus else {}
        specs[number] = {"cls": distributed.Nanny, "options": {**options, "env": env}}
    started = {**here, "port": 0, "dashboard_address": "127.0.0.1:0", "allowed_failures": RETRIES}
    return {"scheduler": {"cls": distributed.Scheduler, "options": started}, "workers": specs}


def visible_gpus() -> list[str]:
    """The GPUs that this process may use, in the words of CUDA_VISIBLE_DEVICES."""
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    named = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    return named[:count] if named else [str(number) for number in range(count)]
