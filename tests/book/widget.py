"""A page with nothing but one of the book's parts to play with, in a browser, and a hand that uses it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from browser import opened

STATIC = Path(__file__).resolve().parents[2] / "book" / "_static"


@dataclass(frozen=True)
class Widget:
    """A page in a browser."""

    browser: Any
    file: Path

    def fresh(self) -> Any:
        """The browser with the page as a reader finds it, whatever was done on it before."""
        self.browser.open(self.file)
        self.browser.look(1280, "light")
        return self.browser


@contextmanager
def shown(folder: Path, name: str, scripts: Sequence[str]) -> Iterator[Widget]:
    """Writes the page into a folder and opens it; skips the test where no browser is. The page must not complain."""
    style = f'<link rel="stylesheet" href="{(STATIC / "book.css").as_uri()}">'
    code = "".join(f'<script src="{(STATIC / "play" / script).as_uri()}"></script>' for script in scripts)
    body = f"<article class='bd-article'><div id='{name}' class='cmr-play'></div></article>"
    file = folder / "page.html"
    file.write_text(f"<!doctype html><meta charset='utf-8'>{style}{body}{code}", encoding="utf-8")
    with opened() as found:
        yield Widget(found, file)
        assert found.complaints() == []


def settle(browser: Any, name: str) -> str:
    """What an output says after the next picture."""
    browser.run("new Promise((done) => requestAnimationFrame(() => setTimeout(done, 0)))")
    return browser.run(f"document.querySelector('[name={name}]').textContent")


def choose(browser: Any, name: str, value: str, event: str = "change") -> None:
    """Sets a control and tells the page of it."""
    browser.run(
        f"(() => {{ const e = document.querySelector('[name={name}]'); e.value = '{value}';"
        f"e.dispatchEvent(new Event('{event}')); }})()"
    )
