"""The project's own files agree with one another."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

import cmr

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PINS = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line and not line.startswith("#")]


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_pins_are_exact_and_single():
    parts = [re.fullmatch(r"([A-Za-z0-9._-]+)==([0-9][A-Za-z0-9.]*)( ;.*)?", line) for line in PINS]
    assert [line for line, part in zip(PINS, parts, strict=True) if part is None] == []
    names = [plain(part[1]) + (part[3] or "") for part in parts]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    "asked",
    [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["book"], *PROJECT["optional-dependencies"]["dev"]],
)
def test_every_dependency_is_pinned_within_its_range(asked):
    requirement = Requirement(asked)
    pinned = [pin.split("==")[1] for pin in PINS if plain(pin.split("==")[0]) == plain(requirement.name)]
    assert len(pinned) == 1
    assert requirement.specifier.contains(pinned[0])


def test_the_version_is_the_same_everywhere():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert PROJECT["version"] == citation["version"] == cmr.__version__
    assert PROJECT["license"] == citation["license"] == "MIT"


@pytest.mark.slow
def test_make_notes_how_long_setting_up_took_in_all(tmp_path):
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        (tmp_path / name).write_text((ROOT / name).read_text())
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\ncase "$*" in *install*) sleep 1.2;; esac\n')  # stands in for pip
    python.chmod(0o755)
    stamp = tmp_path / ".venv" / ".installed"
    stamp.touch()  # of an older Makefile
    seconds = []
    for _ in range(2):
        os.utime(stamp, (0, 0))
        subprocess.run(["make", ".venv/.installed", f"PYTHON={sys.executable}"], cwd=tmp_path, check=True)
        seconds.append(int(stamp.read_text()))
    assert 1 <= seconds[0] < seconds[1]


def test_make_without_a_target_lists_every_command():
    told = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    listed = re.findall(r"^  make (\w+)", told, flags=re.M)
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), flags=re.M)[1].split()
    assert sorted(listed) == sorted(phony)


@pytest.mark.parametrize(
    ("python", "message"),
    [("", "cmr needs Python 3.11, 3.12 or 3.13, and none was found"), ("false", "is not a Python 3.11, 3.12 or 3.13")],
)
def test_make_says_which_python_it_needs(tmp_path, python, message):
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        (tmp_path / name).write_text((ROOT / name).read_text())
    done = subprocess.run(["make", "test", f"PYTHON={python}"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode != 0
    assert message in done.stderr
    assert not (tmp_path / ".venv").exists()
