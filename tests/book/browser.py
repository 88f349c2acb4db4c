"""Pages as a headless Chromium shows them: what hangs over, cannot be read, cannot be seen, or asks for a network."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import book.chromium
from book.chromium import executable

WIDTHS = {1280: 900, 390: 844}  # pixels: a laptop's window, a phone
THEMES = ("light", "dark")
PROBE = Path(__file__).with_name("probe.js")


class Browser(book.chromium.Browser):
    """A Chromium that looks at pages.

    Attributes:
        screens: how many screens of a laptop the page takes as a reader finds it, with all that is folded closed.
    """

    screens = 0.0

    def look(self, width: int, theme: str) -> None:
        """Sets the window's width and the page's theme, and lets it lay itself out."""
        size = {"width": width, "height": WIDTHS.get(width, 900), "deviceScaleFactor": 1, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        self.run(f"document.documentElement.dataset.theme = document.documentElement.dataset.mode = '{theme}'")

    def open(self, page: Path) -> None:
        """Opens a page in a laptop's window, waits until its formulas are drawn, measures it, and unfolds it."""
        self.look(max(WIDTHS), "light")
        super().open(page)
        self.screens = self.run("(document.querySelector('.bd-article') || document.body).scrollHeight / innerHeight")
        self.run(PROBE.read_text(encoding="utf-8"))
        self.run("cmrProbe.unfold()")

    def open_folded(self, page: Path, place: str = "") -> None:
        """Opens a page as a reader finds it, at a place of it; nothing of the page before stays."""
        self.call("Page.navigate", url="about:blank")  # or only the place might be new
        super().open(page, place)

    def press(self, key: str, code: int, text: str = "") -> None:
        """Presses a key, lets it go, and waits for what the page makes of it."""
        for kind in ("keyDown", "keyUp"):
            said = {"text": text} if text and kind == "keyDown" else {}
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, **said)
        self.run("new Promise((done) => setTimeout(done, 50))")

    def complaints(self) -> list[str]:
        """What the page said or asked for since it was opened: errors, and requests that leave the machine."""
        found = []
        for event in self.events:
            params, method = event.get("params", {}), event.get("method")
            if method == "Runtime.exceptionThrown":
                details = params["exceptionDetails"]
                found.append(f"script error: {details.get('exception', {}).get('description', details['text'])}")
            elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "assert"):
                found.append(f"console: {' '.join(str(a.get('value', a.get('description'))) for a in params['args'])}")
            elif method == "Log.entryAdded" and params["entry"]["level"] == "error":
                found.append(f"log: {params['entry']['text']} {params['entry'].get('url', '')}")
        return found + [f"asks the network for {url}" for url in self.asked()]


def chromium() -> str:
    """The path of a Chromium; skips the test where none is on this machine."""
    if (path := executable()) is None:
        pytest.skip("no Chromium on this machine; nothing is opened in it")
    return path


@contextmanager
def opened() -> Iterator[Browser]:
    """A browser; skips the test where there is none."""
    with Browser(chromium()) as found:
        yield found


def defects(browser: Browser, page: Path) -> list[str]:
    """Everything wrong with a page, in both widths and both themes; without those of its links."""
    browser.open(page)
    found: list[str] = []
    for width in WIDTHS:
        for theme in THEMES:
            browser.look(width, theme)
            checks = ["overflow", "cut"] if theme == "light" else []
            checks += ["alt", "captions", "formulas"] if (width, theme) == (max(WIDTHS), "light") else []
            for check in [*checks, "contrast"]:
                found += [f"{width} px, {theme}: {what}" for what in browser.run(f"cmrProbe.{check}()")]
    return found + browser.complaints()


def links(browser: Browser, page: Path) -> tuple[set[str], list[str]]:
    """The page's ids, and the addresses of its links to files."""
    browser.open(page)
    return set(browser.run("cmrProbe.ids()")), browser.run("cmrProbe.hrefs()")
