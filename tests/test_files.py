"""Files are written whole or not at all, and one process at a time has a folder."""

import os
import subprocess
import sys

import pytest

from cmr.errors import UserError
from cmr.files import alone, write_aside


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
    with alone(folder):
        assert not left.exists()
        with pytest.raises(UserError, match=f"process {os.getpid()} on"), alone(folder):
            pass
    assert list(tmp_path.iterdir()) == [folder]
