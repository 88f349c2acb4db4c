"""The pages of the API: every module of the library has one place on them."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WITHOUT = {"cmr", "cmr.__main__", "cmr.pictures"}  # what they hold stands under other modules' names


def test_every_module_stands_on_one_page():
    files = (ROOT / "cmr").rglob("*.py")
    modules = {".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for file in files}
    pages = sorted((ROOT / "book/reference/api").glob("*.md"))
    said = [name for page in pages for name in re.findall(r"automodule:: (\S+)", page.read_text(encoding="utf-8"))]
    assert sorted(said) == sorted(modules - WITHOUT)
