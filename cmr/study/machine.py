"""What a record says of the machine: commit, versions, device, memory, and the command, without its own paths."""

import platform
import resource
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

import cmr
from cmr.assemble import precision
from cmr.config import Config
from cmr.study.record import Environment
from cmr.study.runs import portable


def environment(device: torch.device, precision: str | None = None, processes: int | None = None) -> Environment:
    """What a run happens on, for its record.

    Args:
        device: where.
        precision, processes: as `Environment` has them.
    """
    root = Path(cmr.__file__).parent.parent
    on_gpu = device.type == "cuda"
    return Environment(
        commit=_git(root, "rev-parse", "HEAD") or "unknown",
        dirty=bool(_git(root, "status", "--porcelain", "--", "cmr", "pyproject.toml")),
        cmr=cmr.__version__,
        python=platform.python_version(),
        versions={name: metadata.version(name) for name in ("torch", "torchvision", "timm", "numpy")},
        device=_cpu_name() if device.type == "cpu" else torch.cuda.get_device_name(device),
        threads=torch.get_num_threads(),
        system=f"{platform.system()} {platform.machine()}",
        driver=_driver() if on_gpu else None,
        cuda=torch.version.cuda if on_gpu else None,
        precision=precision,
        processes=processes,
    )


def _git(root: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _driver() -> str:
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        said = subprocess.run(query, capture_output=True, text=True, timeout=20).stdout
        return said.split("\n")[0].strip() or "unknown"
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"


def circumstances(config: Config, device: torch.device, processes: int, started: float) -> dict[str, Any]:
    """What every record says beside its subject and its result.

    Args:
        config: what ran.
        device: where.
        processes: how many shared the work.
        started: `time.perf_counter()` when it began.

    Returns:
        Fields of a `Record`: settings without this machine's paths, environment, duration_s and peak_memory_mb.
    """
    return {
        "settings": portable(config).to_dict(),
        "environment": environment(device, precision(config, device), processes),
        "duration_s": round(time.perf_counter() - started, 1),
        "peak_memory_mb": peak_memory_mb(device),
    }


def peak_memory_mb(device: torch.device) -> float:
    """The most memory in use so far: of the GPU's allocator, or of this process."""
    if device.type == "cuda":
        return round(torch.cuda.max_memory_allocated(device) / 2**20, 1)
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, kilobytes here
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20, 1)


def command_line() -> str:
    """The command that started this process, without the machine's own paths."""
    first = Path(sys.argv[0]).name
    if first in ("cmr", "__main__.py"):
        return portable_command(["cmr", *sys.argv[1:]])
    return "notebook" if "ipykernel" in first else first


def portable_command(words: Sequence[str]) -> str:
    """A command as a line for a shell; of an absolute path the last part is kept, since records are shared.

    Example:
        >>> portable_command(["cmr", "train", "--out", "/home/me/my runs", "--weights=/w/a.pth"])
        "cmr train --out 'my runs' --weights=a.pth"
    """
    return shlex.join(map(_without_path, words))


def _without_path(word: str) -> str:
    option, equals, value = word.rpartition("=")
    return f"{option}{equals}{Path(value).name}" if Path(value).is_absolute() else word
