"""The process in which a notebook runs: this interpreter and this library, whatever kernels are installed.

Starting Python and importing torch, timm and seaborn takes seconds, more than many a notebook needs for itself. On
Linux each notebook's process is therefore forked from one that has imported them (`multiprocessing`'s fork server).
"""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ipykernel.kernelspec import get_kernel_dict
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from jupyter_client.provisioning.local_provisioner import LocalProvisioner
from traitlets import default

import cmr

WARM = sys.platform == "linux"  # elsewhere a fork after these imports is not safe
# Not cmr itself: that is the caller's, and each process finds it by the path that it is given.
IMPORTED = (
    "torch", "torchvision", "timm", "pandas", "matplotlib.backends.backend_agg", "nbformat", "ipykernel.kernelapp",
    "ipykernel.ipkernel", "lightning.fabric",
)  # fmt: skip
INLINE = "module://matplotlib_inline.backend_inline"


class Forked:
    """A forked kernel with what jupyter_client asks of a `subprocess.Popen`."""

    stdin = stdout = stderr = None

    def __init__(self, argv: Sequence[str], cwd: str, env: Mapping[str, str]) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(list(IMPORTED))
        self.process = context.Process(target=serve, args=(list(argv), cwd, dict(env)))
        self.process.start()
        self.pid = self.process.pid

    def poll(self) -> int | None:
        """The exit status, or None while it runs."""
        return self.process.exitcode

    def wait(self) -> int | None:
        """Waits for its end and gives the exit status."""
        self.process.join()
        return self.process.exitcode

    def send_signal(self, number: int) -> None:
        """Sends it a signal."""
        if self.pid is not None and self.process.is_alive():
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Ends it at once."""
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        """Asks it to end."""
        self.send_signal(signal.SIGTERM)


def serve(argv: list[str], cwd: str, env: dict[str, str]) -> None:
    """Is the kernel, in the forked process, until it is told to end or the process that asked for it has ended."""
    import matplotlib
    from ipykernel.kernelapp import launch_new_instance

    os.setsid()  # Ctrl-C is for the process that asked, which then ends this one
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    sys.path[:0] = [path for path in env["PYTHONPATH"].split(os.pathsep) if path not in sys.path]
    # Matplotlib was imported before this was known; it looks again when the first figure is drawn.
    matplotlib.rcParams["backend"] = os.environ.setdefault("MPLBACKEND", INLINE)
    threading.Thread(target=_end_with, args=(multiprocessing.parent_process(),), daemon=True).start()
    launch_new_instance(argv)


def _end_with(parent: Any) -> None:
    parent.join()
    os._exit(1)


class Warm(LocalProvisioner):
    """Starts the kernel by a fork."""

    async def launch_kernel(self, cmd: list[str], **options: Any) -> Any:
        """Starts it; the command's Python and module are those of this process."""
        forked: Any = Forked(cmd[3:], options.get("cwd") or os.getcwd(), options["env"])
        self.process, self.pid = forked, forked.pid
        return self.connection_info


def own_kernel(sockets: Path) -> type:
    """A kernel manager that starts this interpreter with this library; installed kernel specs are not looked at.

    Its sockets lie in the given folder. By default they are `kernel-ipc-1` to `-5` in the notebook's, where two kernels
    at a time collide.
    """
    library = str(Path(cmr.__file__).resolve().parent.parent)
    paths = [library, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    # Its log would write a traceback of its own where a notebook is stopped; what fails in a cell comes as a message.
    found = get_kernel_dict(["--log-level=CRITICAL"])
    found["env"] = {"PYTHONPATH": os.pathsep.join(dict.fromkeys(str(Path(p).resolve()) for p in paths))}
    spec = KernelSpec(**found)

    class OwnKernel(AsyncKernelManager):
        kernel_spec = property(lambda self: spec)

        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            if WARM:
                self.provisioner = Warm(kernel_id=self.kernel_id, kernel_spec=spec, parent=self)

        @default("transport")
        def _unreachable_from_outside(self) -> str:
            return "ipc" if os.name == "posix" else "tcp"

        @default("ip")
        def _its_own(self) -> str:
            return str(sockets / "k") if os.name == "posix" else "127.0.0.1"

    return OwnKernel
