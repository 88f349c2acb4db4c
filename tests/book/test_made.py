"""Parts of pages that are made with the book: recipes, what was made twice, fingerprints; and their language."""

import re
from pathlib import Path

import pytest
import torchvision.datasets.imagenet as imagenet
from prose import faults, read_page

from book import made
from cmr.study import runs
from study import recipes
from study.repeated import pairs

ROOT = Path(__file__).resolve().parents[2]
FOUND = list(recipes.read().values())


def said_well(text: str, tmp_path: Path) -> None:
    (tmp_path / "part.md").write_text(text, encoding="utf-8")
    assert faults(read_page(tmp_path / "part.md")) == []


def test_the_parameters_of_each_notebook_are_those_of_its_first_cell(tmp_path):
    text = made.parameters([ROOT / "notebooks" / f"{name}.ipynb" for name in ("attention", "ddt")])
    assert "| [attention](../../notebooks/attention) | `preset`, `images`, `epochs`, `fusion_map`, `position`," in text
    assert "| [ddt](../../notebooks/ddt) | `results` |" in text
    said_well(text, tmp_path)


def test_the_table_has_a_row_for_each_recipe_with_what_its_record_says(tmp_path):
    text = made.recipes(FOUND)
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("| `")]
    assert [row[0] for row in rows] == [f"`{recipe.name}`" for recipe in FOUND]
    cam = rows[1]
    record = runs.read(ROOT / "results/toybirds-one-rate/toybirds-cam-tiny-s0-3616b3e6be").record
    assert cam[2] == f"{record.result.gt_known_loc:.1f}"
    assert cam[3].endswith("5 seeds")
    assert cam[4] == f"{record.duration_s:.0f}\u00a0s, AMD EPYC"
    assert cam[6] == f"{FOUND[1].again.result.gt_known_loc:.1f}, AMD EPYC"
    assert all(abs(one.again.result.gt_known_loc - one.expected) <= one.allowed[0] for one in FOUND if one.again)
    assert sum(row[6] == "–" for row in rows) == sum(one.again is None for one in FOUND) < len(FOUND)
    said_well(text, tmp_path)


def test_commands_stand_under_their_names_and_fit_the_page():
    text = made.commands(FOUND)
    assert re.findall(r"^`([^`]+)`$", text, flags=re.M) == [recipe.name for recipe in FOUND]
    assert max(map(len, text.splitlines())) <= 90
    joined = text.replace(" \\\n   ", "")
    for recipe in FOUND:
        assert recipe.printed in joined
    assert "cmr evaluate --run runs/RUN" in joined


def test_trainings_that_were_made_twice_are_found_and_their_numbers_compared(tmp_path):
    folders = [ROOT / "results" / name for name in ("toybirds-one-rate", "toybirds-readings")]
    found = pairs(*folders)
    other = [pair for pair in found if not pair.same_processor]
    assert {pair.second.id for pair in other} >= {"toybirds-cmr-tiny-s2-144cbf5c69", "toybirds-cmr-tiny-s1-63e65a303d"}
    assert {round(pair.apart, 1) for pair in other} == {0.0, 1.4, 3.4}
    assert all(pair.first.config.seed == pair.second.config.seed for pair in found)
    text = made.repeated(found)
    assert f"{len(other)} were made on two kinds, and 2 numbers differ, by up to 3.4 points" in text
    said_well(text, tmp_path)


def test_materials_have_the_fingerprints_of_the_records(tmp_path):
    text = made.materials([recipe.run.record for recipe in FOUND])
    assert "| CUB-50 | test | 1,389 | 50 | `1af95e2645b9a248` |" in text
    assert "| CUB-50 | class names and pixels |  |  | `d1523ee07af292bd` |" in text
    assert "| resnet18_imagenet_pq_fp16.safetensors.xz | `6bce1047cc7a0541` |" in text
    assert "ToyBirds" not in text
    said_well(text, tmp_path)


@pytest.mark.parametrize("split", ["train", "val"])
def test_the_archives_checksums_are_those_that_torchvision_checks(split):
    name, md5 = imagenet.ARCHIVE_META[split]
    assert f"| `{name}` | `{md5}` |" in (ROOT / "book" / "measure" / "datasets.md").read_text(encoding="utf-8")
