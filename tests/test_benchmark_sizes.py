"""The record of what several sizes add: it agrees with the record that chose the rule where both measured."""

import json
from pathlib import Path

RESULTS = Path(__file__).resolve().parents[1] / "results/benchmarks"


def test_one_and_two_views_are_those_of_the_choice():
    chosen = json.loads((RESULTS / "boxes.json").read_text())["rows"]
    rule = {"map": "positive", "normalise": "pas", "threshold": "0.5"}
    rows = json.loads((RESULTS / "sizes.json").read_text())["rows"]
    assert [(row["network"], row["views"]) for row in rows] == [
        (net, views) for net in ("resnet18", "resnet50") for views in (1, 2, 4)
    ]
    for row in rows:
        same = [other for other in chosen if rule.items() <= other.items() and other["views"] == row["views"]]
        for other in same:
            assert other[f"{row['network']} ILSVRC-20"] == {"right": row["right"], "whole": row["whole"]}
        assert len(same) == (row["views"] <= 2)
