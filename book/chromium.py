"""One headless Chromium and its one page, driven by the DevTools protocol over a websocket.

Pages are opened as files; Chromium itself asks for nothing on the network.
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
WITHIN = ("file:", "data:", "blob:", "about:", "chrome:")  # addresses that need no network


def executable() -> str | None:
    """The path of a Chromium on this machine, or None."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Browser:
    """One Chromium with one page. Use it in a `with` statement, so that it ends.

    Args:
        path: of the program.

    Raises:
        RuntimeError: it did not start.
    """

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
        """Ends Chromium and removes its profile."""
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

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression; a promise is waited for."""
        found = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in found:
            raise RuntimeError(found["exceptionDetails"].get("exception", {}).get("description", str(found)))
        return found["result"].get("value")

    def open(self, page: Path, place: str = "") -> None:
        """Opens a page, at a place of it, and waits until it is there and its formulas are drawn."""
        self.events.clear()
        self.call("Page.navigate", url=page.as_uri() + (place and f"#{place}"))
        loaded = "new Promise((done) => { const look = () => done(1); addEventListener('load', look);"
        self.run(loaded + "if (document.readyState === 'complete') look(); })")  # the event may be another page's
        self.run("window.MathJax && MathJax.startup ? MathJax.startup.promise.then(() => 1) : 1")

    def asked(self) -> list[str]:
        """The addresses on a network that the page has asked for since it was opened."""
        requests = [event["params"] for event in self.events if event.get("method") == "Network.requestWillBeSent"]
        return [url for asked in requests if not (url := asked["request"]["url"]).startswith(WITHIN)]
