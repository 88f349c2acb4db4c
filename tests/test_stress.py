"""The attack judges rightly: what it calls right is right, its traps snap, and the book has its last figures."""

import json
import random
from pathlib import Path

import pytest

from stress import __main__ as attack
from stress import traps
from stress.attempt import Case, Outcome, Skipped, wrong
from stress.mutated import mutated

ROOT = Path(__file__).resolve().parents[1]
RECORD = ROOT / "results" / "benchmarks" / "stress.json"


@pytest.mark.parametrize(
    ("outcome", "success", "said"),
    [
        (Outcome(0, "fine", ""), None, ""),
        (Outcome(2, "", "cmr: lr: nan is out of range; give more\n"), None, ""),
        (Outcome(2, "", "a bar 5%\ncmr: full\n"), False, ""),
        (Outcome(2, "", "cmr: 2 problems in all:\na.png: broken\nb.png: broken\n"), None, ""),
        (Outcome(None, "", ""), None, "it hung"),
        (Outcome(-11, "", ""), None, "signal 11"),
        (Outcome(0, "", "Traceback (most recent call last):\nValueError: no\n"), None, "a traceback: ValueError: no"),
        (Outcome(1, "", ""), None, "0 messages: nothing"),
        (Outcome(2, "", "cmr: one\ncmr: two\n"), None, "2 messages"),
        (Outcome(2, "", "cmr: one\nand more\n"), None, "several lines"),
        (Outcome(2, "", "a bar 5%cmr: glued\n"), None, "0 messages"),
        (Outcome(0, "", "a.py:3: UserWarning: odd\n"), None, "a warning"),
        (Outcome(0, "fine", ""), False, "it was taken"),
        (Outcome(2, "", "cmr: no\n"), True, "it was refused: cmr: no"),
    ],
)
def test_the_judge(outcome, success, said):
    found = wrong(outcome, success)
    assert (said in found) if said else found == ""


def test_a_trap_counts_only_what_changes_files_below_its_folder(tmp_path):
    snapped = []
    counter = traps.Counter(tmp_path / "a", 1, lambda: snapped.append(counter.seen))
    counter.hook("open", (str(tmp_path / "a" / "x"), "r", 0))
    counter.hook("open", (str(tmp_path / "b" / "x"), "w", traps.WRITES))
    counter.hook("os.rename", (str(tmp_path / "b"), str(tmp_path / "c"), -1, -1))
    counter.hook("open", (3, None, None))
    assert counter.seen == 0
    counter.hook("open", (str(tmp_path / "a" / "x"), "w", traps.WRITES))
    assert not snapped
    counter.hook("os.remove", (str(tmp_path / "a" / "x"), -1))
    assert snapped == [1] and counter.seen == 2


def test_mutations_are_the_same_for_the_same_seed_and_mostly_change_something():
    content = bytes(range(256)) * 4
    some = [mutated(content, random.Random(str(seed))) for seed in range(200)]
    assert some == [mutated(content, random.Random(str(seed))) for seed in range(200)]
    assert sum(one != content for one in some) > 190 and len({len(one) for one in some}) > 20


def test_a_wrong_case_is_counted_named_and_makes_the_status_1(monkeypatch, capsys, tmp_path):
    def skipped(_):
        raise Skipped("no disk may be mounted here")

    def broken(_):
        raise KeyError("the case")

    cases = [
        Case("good", "good 1", lambda folder: "" if list(folder.iterdir()) == [] else "no empty folder"),
        Case("bad", "bad 1", lambda _: "it hung"),
        Case("bad", "bad 2", broken),
        Case("away", "away 1", skipped),
    ]
    monkeypatch.setattr(attack, "PARTS", {"all": lambda seed: cases})
    monkeypatch.setattr(attack, "prepare", lambda: None)
    monkeypatch.setattr(attack, "reference", lambda: None)
    assert attack.main(["--jobs", "1", "--out", str(tmp_path / "a.json")]) == 1
    said = capsys.readouterr().out
    assert 'WRONG bad: bad 1: it hung\n      again: python -m stress all --seed 0 --case "bad 1"' in said
    assert "left out: away: no disk may be mounted here" in said and "1 of 3 right" in said
    record = json.loads((tmp_path / "a.json").read_text())
    assert record["rows"] == [{"what": "good", "tried": 1, "right": 1}, {"what": "bad", "tried": 2, "right": 0}]
    assert attack.main(["--jobs", "1", "--case", "good*"]) == 0
    assert attack.main(["--jobs", "1", "--every", "2", "--case", "bad*"]) == 1
    assert "0 of 1 right" in capsys.readouterr().out


@pytest.mark.skipif(not RECORD.is_file(), reason="no figures are recorded")
def test_the_page_has_the_figures_of_the_record():
    record, page = json.loads(RECORD.read_text()), (ROOT / "book" / "reference" / "stress.md").read_text()
    assert attack.markdown(record["rows"]) in page
    assert record["finished"][:10] in page and record["environment"]["device"] in page
    tried, right = (sum(row[name] for row in record["rows"]) for name in ("tried", "right"))
    assert f"{right:,} of {tried:,}" in page
    assert len(record["wrong"]) == tried - right and all(one.split(": ")[1] in page for one in record["wrong"])
