"""Code on the pages: comments that would stick out of the box go above their lines; nothing else changes."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def source(extension):
    return extension("source")


def test_a_long_comment_goes_above_and_a_short_one_stays(source):
    long = "# " + "why " * 20
    code = f"def f(a):\n    b = a  {long}\n    c = '# no comment {'x' * 80}'\n    return b  # short\n{long}"
    assert source.narrow(code) == (
        f"def f(a):\n    {long}\n    b = a\n    c = '# no comment {'x' * 80}'\n    return b  # short\n{long}"
    )


@pytest.mark.parametrize("code", ["return torch.where(", "x = (\n  1", "    indented\nless", "a = 1"])
def test_a_cut_piece_of_code_stays_as_it_is(source, code):
    assert source.narrow(code) == code


def test_a_table_of_settings_has_the_fields_of_the_class_that_they_are_built_on_behind_its_own(source):
    lines = [
        "class A(Elsewhere):",
        "    x: int = 1  # one",
        "    y: int = 2",
        "class B(A):",
        "    # three",
        "    z: float = 3.0",
        "    x: int = 4  # four",
    ]
    found = source.all_fields(lines, source.find(ast.parse("\n".join(lines)), "B"))
    assert found == [("z", "float", "3.0", "three"), ("x", "int", "4", "four"), ("y", "int", "2", "")]
