"""Drawn pictures on disk: found again, and never trusted where they may be others or damaged."""

import os

import numpy as np
import pytest

from cmr.data import toybirds
from cmr.data.toybirds import drawn as module
from cmr.data.toybirds.drawn import folder, kept

FIRST, OTHER = {"a": np.arange(6).reshape(2, 3)}, {"a": np.zeros(1)}


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("CMR_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "toybirds"


def files(place):
    return sorted(place.iterdir()) if place.is_dir() else []


def test_what_was_drawn_is_not_drawn_again(place):
    assert kept("x", lambda: FIRST) is FIRST
    assert len(files(place)) == 1
    again = kept("x", lambda: OTHER)
    np.testing.assert_array_equal(again["a"], FIRST["a"])
    assert again["a"].dtype == FIRST["a"].dtype
    assert kept("y", lambda: OTHER) is OTHER


@pytest.mark.parametrize("what", ["_code", "__version__"])
def test_other_code_or_another_numpy_draws_anew(what, monkeypatch):
    kept("x", lambda: FIRST)
    if what == "_code":
        monkeypatch.setattr(module, "_code", lambda: "edited")
    else:
        monkeypatch.setattr(np, "__version__", "0")
    assert kept("x", lambda: OTHER) is OTHER


@pytest.mark.parametrize("damage", [lambda b: b"", lambda b: b[:-30], lambda b: b"no archive", lambda b: flipped(b)])
def test_a_damaged_file_is_drawn_anew_and_mended(place, damage):
    kept("x", lambda: {"a": np.random.default_rng(0).integers(9, size=999)})
    (file,) = files(place)
    file.write_bytes(damage(file.read_bytes()))
    np.testing.assert_array_equal(kept("x", lambda: FIRST)["a"], FIRST["a"])
    np.testing.assert_array_equal(kept("x", lambda: OTHER)["a"], FIRST["a"])


def flipped(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 255]) + content[middle + 1 :]


def test_nothing_that_runs_code_is_loaded(place):
    kept("x", lambda: FIRST)
    (file,) = files(place)
    with file.open("wb") as open_file:
        np.savez(open_file, a=np.array([{}], dtype=object))
    assert kept("x", lambda: OTHER) is OTHER


def test_large_sets_and_places_that_cannot_be_written_are_drawn_each_time(place, monkeypatch):
    place.parent.mkdir()
    place.write_text("a file where the folder should be")
    assert kept("x", lambda: FIRST) is FIRST
    assert kept("x", lambda: OTHER) is OTHER
    place.unlink()
    monkeypatch.setattr(module, "MOST", 47)  # the array has 48 bytes
    kept("x", lambda: FIRST)
    assert files(place) == []


def test_the_folder_is_the_users_cache_unless_another_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("CMR_CACHE", "")
    monkeypatch.setattr(module, "user_cache_path", lambda name: tmp_path / name)
    assert folder() == tmp_path / "cmr" / "toybirds"


def test_a_split_from_disk_is_the_split_that_was_drawn(place, monkeypatch):
    settings = toybirds.Settings(train=3, test=2, size=32)
    toybirds._generate.cache_clear()
    drawn = toybirds.load(None, "train", settings)
    toybirds._generate.cache_clear()
    monkeypatch.setattr(toybirds, "_draw", None)
    found = toybirds.load(None, "train", settings)
    toybirds._generate.cache_clear()
    assert found.fingerprint == drawn.fingerprint
    np.testing.assert_array_equal(found.read(2), drawn.read(2))
    assert not found.read.images.flags.writeable
    assert len(files(place)) == 1 and os.stat(files(place)[0]).st_size < 3 * 32 * 32 * 4
