"""Pages as a headless Chromium shows them: what hangs over, cannot be read, cannot be seen, or asks for a network.

Chromium is driven by its DevTools protocol over one websocket; nothing is fetched, and pages are opened as files.
"""

import json
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import websocket

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-extensions", "--remote-debugging-port=0",
    "--remote-allow-origins=*", "--force-color-profile=srgb", "--hide-scrollbars",
)  # fmt: skip
WIDTHS = {1280: 900, 390: 844}  # pixels: a laptop's window, a phone
THEMES = ("light", "dark")
PROBE = Path(__file__).with_name("probe.js")


def executable() -> str | None:
    """The path of a Chromium on this machine, or None."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Browser:
    """One Chromium with one page. Use it in a `with` statement, so that it ends."""

    def __init__(self, path: str) -> None:
        self.profile = tempfile.TemporaryDirectory(prefix="cmr-browser-", ignore_cleanup_errors=True)
        self.process = subprocess.Popen(
            [path, *FLAGS, f"--user-data-dir={self.profile.name}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.events: list[dict[str, Any]] = []
        self.last = 0
        try:
            self.socket = websocket.create_connection(self._address(), timeout=60, suppress_origin=True)
            target = next(t for t in self.call("Target.getTargets")["targetInfos"] if t["type"] == "page")
            attach = {"targetId": target["targetId"], "flatten": True}
            self.session = self.call("Target.attachToTarget", **attach)["sessionId"]
            for domain in ("Page", "Runtime", "Network", "Log"):
                self.call(f"{domain}.enable")
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "Browser":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _address(self, patience: float = 60.0) -> str:
        """The websocket's address, which Chromium writes into its profile once it listens."""
        file, end = Path(self.profile.name) / "DevToolsActivePort", time.monotonic() + patience
        while not (file.is_file() and len(lines := file.read_text().split()) == 2):
            if self.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"Chromium did not start (exit status {self.process.poll()})")
            time.sleep(0.05)
        return f"ws://127.0.0.1:{lines[0]}{lines[1]}"

    def close(self) -> None:
        if hasattr(self, "socket"):
            self.socket.close()
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.profile.cleanup()

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """One command of the DevTools protocol; events that come meanwhile are kept."""
        self.last += 1
        message = {"id": self.last, "method": method, "params": params}
        self.socket.send(json.dumps(message | ({"sessionId": self.session} if hasattr(self, "session") else {})))
        while True:
            answer = json.loads(self.socket.recv())
            if answer.get("id") == self.last:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return answer["result"]
            self.events.append(answer)

    def wait_for(self, event: str) -> None:
        while not any(found.get("method") == event for found in self.events):
            self.events.append(json.loads(self.socket.recv()))

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression; a promise is waited for."""
        found = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in found:
            raise RuntimeError(found["exceptionDetails"].get("exception", {}).get("description", str(found)))
        return found["result"].get("value")

    def look(self, width: int, theme: str) -> None:
        """Sets the window's width and the page's theme, and lets it lay itself out."""
        size = {"width": width, "height": WIDTHS.get(width, 900), "deviceScaleFactor": 1, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        self.run(f"document.documentElement.dataset.theme = document.documentElement.dataset.mode = '{theme}'")

    def open(self, page: Path) -> None:
        """Opens a page, waits until its formulas are drawn, and unfolds what is folded."""
        self.events.clear()
        self.call("Page.navigate", url=page.as_uri())
        self.wait_for("Page.loadEventFired")
        self.run("window.MathJax && MathJax.startup ? MathJax.startup.promise.then(() => 1) : 1")
        self.run(PROBE.read_text(encoding="utf-8"))
        self.run("cmrProbe.unfold()")

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
            elif method == "Network.requestWillBeSent":
                url = params["request"]["url"]
                if not url.startswith(("file:", "data:", "blob:", "about:", "chrome:")):
                    found.append(f"asks the network for {url}")
        return found


def defects(browser: Browser, page: Path) -> list[str]:
    """Everything wrong with a page, in both widths and both themes; without those of its links."""
    browser.open(page)
    found: list[str] = []
    for width in WIDTHS:
        for theme in THEMES:
            browser.look(width, theme)
            checks = ["overflow", "cut"] if theme == "light" else []
            checks += ["alt", "captions"] if (width, theme) == (max(WIDTHS), "light") else []
            for check in [*checks, "contrast"]:
                found += [f"{width} px, {theme}: {what}" for what in browser.run(f"cmrProbe.{check}()")]
    return found + browser.complaints()


def links(browser: Browser, page: Path) -> tuple[set[str], list[str]]:
    """The page's ids, and the addresses of its links to files."""
    browser.open(page)
    return set(browser.run("cmrProbe.ids()")), browser.run("cmrProbe.hrefs()")
