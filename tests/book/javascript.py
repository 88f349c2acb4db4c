"""Runs the book's plain JavaScript outside a page: in Node where it is installed, else in a headless Chromium."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from browser import opened


def evaluate(files: list[Path], expression: str) -> Any:
    """The value of an expression after these scripts have run; skips the test where nothing can run them."""
    script = "\n".join(file.read_text(encoding="utf-8") for file in files)
    if node := shutil.which("node"):
        written = f"{script}\nprocess.stdout.write(JSON.stringify({expression}));\n"
        done = subprocess.run([node, "-"], input=written, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)
    with opened() as found:
        return found.run(f"(() => {{ {script}\nreturn {expression}; }})()")
