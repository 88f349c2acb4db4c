"""What the tests share: the same seeds every time, few threads, and the way to the material beside the project."""

import ctypes
import gc
import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("HF_HUB_OFFLINE", "1")  # no test waits for a network that may not be there
if "PYTEST_XDIST_WORKER" in os.environ:  # two workers, and what they start, share two cores
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
import torch

torch.set_num_threads(min(2, torch.get_num_threads()))
gc.set_threshold(20_000, 20, 50)  # looking through all of torch for garbage was a tenth of the time
EXTENSIONS = Path(__file__).resolve().parents[1] / "book" / "_ext"


@pytest.fixture(autouse=True, scope="session")
def _drawn_pictures(tmp_path_factory) -> None:
    """Kept for this run of the tests, in one folder for all its workers, and not beside the user's."""
    base = tmp_path_factory.getbasetemp()
    os.environ["CMR_CACHE"] = str((base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "drawn")


@pytest.fixture(autouse=True)
def _seeds() -> None:
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002  libraries that still draw from the global state


@pytest.fixture(autouse=True, scope="module")
def _give_memory_back() -> Iterator[None]:
    """After the large float64 references of one module, the next may start processes of its own."""
    before = _resident()
    yield
    if _resident() < before + 2**27:
        return  # nothing large was left: looking through all objects takes half a second
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc alone has it
    if trim is not None:
        trim(0)


def _resident() -> int:
    """Bytes of memory that this process has now; 0 where the system does not say."""
    pages = Path("/proc/self/statm")
    return int(pages.read_text().split()[1]) * 4096 if pages.is_file() else 0


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of the shared material: real images, weights, the benchmark's own lists."""
    path = Path(os.environ.get("CMR_SHARED") or Path(__file__).resolve().parents[2] / "shared")
    if not (path / "data").is_dir():
        pytest.skip("the shared material (data, weights, lists) is not here; CMR_SHARED names its folder")
    return path


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory):
    """A recorded run: CAM, trained for one epoch with the tiny preset. Copy it before you change it."""
    from cmr import cli  # here, as not every worker needs it
    from cmr.study import runs

    out = tmp_path_factory.mktemp("runs")
    cli.main(["train", "--preset", "tiny", "--method", "cam", "--device", "cpu", "--epochs", "1", "--out", str(out)])
    [run] = runs.find(out)
    return run


@pytest.fixture(scope="session")
def four_runs(tmp_path_factory):
    """Trained for one epoch with the tiny preset: CAM with two seeds, CMR without its fusion loss and with it."""
    from cmr.presets import make
    from cmr.study.training import train

    out = tmp_path_factory.mktemp("runs")
    asked = [("cam", {}, 0), ("cam", {}, 1), ("cmr", {"beta": 0.0}, 0), ("cmr", {}, 0)]
    return [train(make("tiny", method=m, settings=s, seed=seed, epochs=1), out, progress=False) for m, s, seed in asked]


@pytest.fixture(scope="module")
def browser():
    """A browser for the pages of tests/book; skips the test where there is no Chromium."""
    from browser import opened  # of that folder

    with opened() as found:
        yield found


@pytest.fixture(scope="session")
def extension():
    """Loads an extension of the book by its name, as Sphinx does: book/_ext is no package."""

    def load(name):
        spec = importlib.util.spec_from_file_location(name, EXTENSIONS / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load
