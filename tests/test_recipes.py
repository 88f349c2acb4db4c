"""The recipes agree with the records, and the check tells right from wrong by running one."""

import dataclasses
import shlex
import statistics

import pytest

from cmr.errors import UserError
from cmr.study import runs
from study import recipes
from study.recipes import Check, check, in_order, main, read

pytestmark = pytest.mark.slow

RECIPES = read()


def test_numbers_and_tolerances_come_from_the_records():
    cam = RECIPES["toybirds-cam"]
    seeds = [run.result.gt_known_loc for run in runs.find(cam.run.path.parent, method="cam")]
    assert len(seeds) == 5
    # Student's t at 97.5 % for 4 degrees of freedom, from a table
    assert cam.allowed == (pytest.approx(2.776 * 2**0.5 * statistics.stdev(seeds), rel=1e-3), "5 seeds")
    assert cam.expected == pytest.approx(seeds[0])
    assert RECIPES["toybirds-ddt"].allowed == (0.5, "rounding; nothing is drawn")
    tiny = RECIPES["tiny"]
    assert tiny.allowed == (100 / 32, "3 seeds")  # all three find two of 32 birds: one image, then
    longer = RECIPES["cub50-cmr-24"]
    assert longer.allowed[1] == "3 seeds of CMR, no fusion loss, resnet18, 6 epochs"


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_every_recipe_has_its_record_a_tolerance_and_a_command_without_places(recipe):
    assert 0 < recipe.expected < 100
    assert 0 < recipe.allowed[0] < 25
    assert shlex.split(recipe.command)[0] == "cmr"
    assert not {"--out", "--record", "--resume"} & set(shlex.split(recipe.command))
    assert not recipe.needs or RECIPES[recipe.needs].run.path.name in recipe.command


def test_a_recipe_comes_after_the_one_that_it_needs():
    assert [one.name for one in in_order(["toybirds-layercam", "tiny"], RECIPES)] == [
        "toybirds-cam",
        "toybirds-layercam",
        "tiny",
    ]
    with pytest.raises(UserError, match="unknown recipe 'toybird-cam': did you mean 'toybirds-cam'"):
        in_order(["toybird-cam"], RECIPES)


def test_a_check_runs_the_command_and_tells_right_from_wrong(tmp_path, capfd, monkeypatch):
    [done] = check(["tiny"], RECIPES, tmp_path)
    assert done.right
    assert "tiny: cmr train --preset tiny" in (said := capfd.readouterr().out)
    assert "right  tiny:" in said
    off = dataclasses.replace(done, found=done.recipe.expected + done.recipe.allowed[0] + 0.1)
    assert not off.right
    assert str(off).startswith("WRONG  tiny: ")
    monkeypatch.setattr(recipes, "check", lambda *_: [done, off])
    assert main([]) == 1
    assert "1 of 2 right; wrong: tiny" in capfd.readouterr().out


def test_a_number_at_the_edge_is_right():
    cam = RECIPES["toybirds-cam"]
    for sign in (-1, 1):
        assert Check(cam, cam.expected + sign * cam.allowed[0], 1.0, 1.0, "here").right
        assert not Check(cam, cam.expected + sign * (cam.allowed[0] + 0.2), 1.0, 1.0, "here").right


def test_what_is_not_on_this_machine_is_left_out(tmp_path, capsys):
    lost = dataclasses.replace(RECIPES["cub50-cam"], root=RECIPES["cub50-cam"].root)
    vars(lost)["run"] = lost.run  # read while the records are there
    object.__setattr__(lost, "root", tmp_path)
    assert check(["cub50-cam"], {"cub50-cam": lost}, tmp_path) == []
    assert "left out  cub50-cam: not on this machine: ../shared/data/CUB_200_2011_first50" in capsys.readouterr().out


def test_a_failing_command_is_named(tmp_path):
    broken = dataclasses.replace(RECIPES["tiny"])
    record = dataclasses.replace(broken.run.record, command="cmr train --preset tinny")
    vars(broken)["run"] = dataclasses.replace(broken.run, record=record)
    with pytest.raises(UserError, match="tiny: its command failed: cmr train --preset tinny"):
        check(["tiny"], {"tiny": broken}, tmp_path)


def test_the_list_and_a_mistake(capsys):
    assert main(["--list"]) == 0
    assert "toybirds-cam           CAM on ToyBirds: 53.4 ± 5.0, 14 s" in capsys.readouterr().out
    assert main(["no-such"]) == 2
    assert "recipes: unknown recipe 'no-such'" in capsys.readouterr().err
