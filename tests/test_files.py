"""Files are written whole or not at all, and one process at a time has a folder."""

import os
import shutil
import subprocess
import sys
from types import SimpleNamespace

import pytest

from cmr import files
from cmr.errors import UserError
from cmr.files import alone, clear, read_regular, require_room, write_aside


def test_a_write_that_fails_leaves_what_was_there(tmp_path):
    path = tmp_path / "a"
    write_aside(path, b"old")

    def fails(file):
        file.write(b"ne")
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        write_aside(path, fails)
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.name != "posix", reason="links and modes as POSIX has them")
def test_links_modes_and_devices_stay_what_they_are(tmp_path):
    path, link = tmp_path / "a", tmp_path / "link"
    path.write_bytes(b"old")
    path.chmod(0o600)
    link.symlink_to("a")
    write_aside(link, b"new")
    assert link.is_symlink() and path.read_bytes() == b"new" and path.stat().st_mode & 0o777 == 0o600
    write_aside(os.devnull, b"gone")
    assert not os.path.isfile(os.devnull)


def test_the_lock_is_one_though_the_file_comes_and_goes(tmp_path):
    folder = tmp_path / "run"
    hold = "import sys, time\nfrom cmr.files import alone\n"
    hold += "with alone(sys.argv[1]):\n    print('held', flush=True)\n    sys.stdin.read()\n"
    started = [
        subprocess.Popen(
            [sys.executable, "-c", hold, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
    ]
    assert started[0].stdout.readline() == "held\n"
    for _ in range(3):
        with pytest.raises(UserError, match=f"process {started[0].pid} on .* works there"), alone(folder):
            pass
    started[0].communicate()
    folder.mkdir()
    left = folder / ".record.json.1.part"
    left.write_bytes(b"of one that died")
    (folder / ".toys.part").mkdir()  # of `cmr data make`, which works in a folder of its own
    with alone(folder):
        assert not left.exists() and (folder / ".toys.part").is_dir()
        with pytest.raises(UserError, match=f"process {os.getpid()} on"), alone(folder):
            pass
    assert list(tmp_path.iterdir()) == [folder]


def test_the_lock_of_a_killed_process_is_cleared_and_a_held_one_stays(tmp_path):
    folder, lock = tmp_path / "run", tmp_path / ".run.lock"
    clear(folder)
    lock.write_text("process 1 on nowhere")
    clear(folder)
    assert not lock.exists()
    with alone(folder):
        clear(folder)
        assert lock.exists()


def test_the_folder_of_the_call_itself_can_be_locked(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with alone("."):
        assert (tmp_path / ".here.lock").exists()
    assert list(tmp_path.rglob("*")) == [tmp_path / "here"]


@pytest.mark.skipif(os.name != "posix", reason="processes are asked for as POSIX has it")
def test_what_a_dead_process_left_is_swept_once_and_a_living_ones_stays(tmp_path, monkeypatch):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    here = files._HERE
    names = {f".a.{here}{gone.pid}.part": False, f".a.{here}{os.getppid()}.part": True}
    names |= {f".a.00000000-{gone.pid}.part": True, ".a.part": True, f".a.{here}x.part": True, "a.part": True}
    for name in names:
        (tmp_path / name).touch()
    looked = []
    monkeypatch.setattr(files, "_alive", lambda process: looked.append(process) or process != gone.pid)
    for _ in range(3):
        write_aside(tmp_path / "b", b"new")
    assert {name for name in names if (tmp_path / name).exists()} == {name for name, stays in names.items() if stays}
    assert sorted(looked) == sorted([gone.pid, os.getppid()])  # the folder is looked through once


def test_room_is_asked_of_the_first_folder_that_is_there(tmp_path, monkeypatch):
    asked = []

    def usage(place):
        asked.append(place)
        return SimpleNamespace(total=10**9, free=3 * 10**6)

    monkeypatch.setattr(shutil, "disk_usage", usage)
    require_room(tmp_path / "a" / "b", 3 * 10**6, "a run")
    with pytest.raises(UserError, match=r"a/b: 3.0 MB are free there, but a run needs 5 MB; make room, or name"):
        require_room(tmp_path / "a" / "b", 5 * 10**6, "a run")
    assert asked == [tmp_path] * 2
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(total=0, free=0))
    require_room(tmp_path, 10**18, "a run")  # a file system that does not say


@pytest.mark.skipif(os.name != "posix", reason="pipes with names")
def test_a_pipe_is_neither_read_nor_waited_for(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(OSError, match="not a regular file"):
        read_regular(pipe)
    with pytest.raises(OSError, match="No such device"):
        write_aside(pipe, b"nobody reads")
    loop = tmp_path / "loop"
    loop.symlink_to("loop")
    write_aside(loop, b"whole")
    assert read_regular(loop) == b"whole"
