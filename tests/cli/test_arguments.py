"""How a command line is read: a folder without its option is told how to give it."""

import pytest

from tests.cli.calls import fail


@pytest.mark.parametrize("command", [["data", "check"], ["train"], ["ddt"], ["boxes"]])
def test_a_folder_without_its_option_is_told_how_to_give_it(command, capsys, tmp_path, monkeypatch):
    (tmp_path / "pictures").mkdir()
    monkeypatch.chdir(tmp_path)
    said = fail(capsys, *command, "pictures")
    assert said.strip().endswith("for the pictures in that folder: --data folder --data-root pictures")


@pytest.mark.parametrize(
    "arguments",
    [["data", "check", "elsewhere"], ["train", "--nothing", "pictures"], ["report", "--nothing", "pictures"]],
)
def test_what_is_no_folder_or_an_options_value_is_not(arguments, capsys, tmp_path, monkeypatch):
    (tmp_path / "pictures").mkdir()
    monkeypatch.chdir(tmp_path)
    assert "--data-root" not in fail(capsys, *arguments)
