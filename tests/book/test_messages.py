"""The page on messages quotes what the sources say: each quote is found in a text of the code, in its order."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "book" / "reference" / "troubleshooting.md"
OPEN = "…"  # stands for what differs from one message to the next


def texts(source: str) -> Iterator[str]:
    """The texts of a module, with an ellipsis for each value put in; parts of one text are joined."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.JoinedStr):
            parts = [part.value if isinstance(part, ast.Constant) else OPEN for part in node.values]
            yield "".join(map(str, parts))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def quotes(page: str) -> list[str]:
    """What the first column of the page's tables quotes."""
    return re.findall(r"^\| `([^`]+)` \|", page, flags=re.M)


def stands_in(quote: str, said: list[str]) -> bool:
    """Whether one text has all fixed parts of a quote, in order."""
    parts = [re.escape(part.strip()) for part in quote.split(OPEN) if part.strip()]
    return any(re.search(".*".join(parts), text, flags=re.S) for text in said)


SOURCES = [
    path for folder in ("cmr", "book", "study") for path in (ROOT / folder).rglob("*.py") if "_build" not in path.parts
]
SAID = [text for path in SOURCES for text in texts(path.read_text(encoding="utf-8"))]
SAID.append((ROOT / "Makefile").read_text(encoding="utf-8"))
QUOTES = quotes(PAGE.read_text(encoding="utf-8"))


@pytest.mark.parametrize("quote", QUOTES)
def test_each_quoted_message_stands_in_the_sources(quote):
    assert len(max(quote.split(OPEN), key=len).strip()) > 8, "the fixed part says too little"
    assert stands_in(quote, SAID)


def test_the_page_quotes_many_and_a_message_that_is_gone_is_found():
    assert len(QUOTES) > 30
    assert not stands_in("the moon is not on this machine", SAID)
    assert not stands_in("works there … no run of this folder", SAID)


def test_texts_are_put_together_as_python_does():
    assert list(texts("raise E(f'{a}: there is ' f'no {b!r}' '; give one')"))[0] == "…: there is no …; give one"
    assert stands_in("…: there is no …; give", ["…: there is no …; give one"])
    assert not stands_in("give … there is", ["…: there is no …; give one"])
