"""Which built pages would fetch something from another address when they are read."""

import filecmp
import re
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path

FETCHING = {"script", "img", "iframe", "source", "video", "audio", "embed"}  # for their src; an <a href> is only a link
FETCHED_LINKS = {"stylesheet", "preload", "prefetch", "modulepreload", "preconnect", "dns-prefetch", "icon", "manifest"}
CSS = re.compile(r"""(?:@import\s+|url\()\s*["']?((?:https?:)?//[^"')\s]+)""")


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._in_style = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        address = values.get("src", "") if tag in FETCHING else ""
        if tag == "link" and FETCHED_LINKS & set(values.get("rel", "").split()):
            address = values.get("href", "")
        if address.startswith(("http:", "https:", "//")):
            self.found.append(address)
        self.found += CSS.findall(values.get("style", ""))
        self._in_style = tag == "style"

    def handle_data(self, data: str) -> None:
        if self._in_style:
            self.found += CSS.findall(data)

    def handle_endtag(self, tag: str) -> None:
        self._in_style = False


def same(one: Path, other: Path) -> bool:
    """Whether two files hold the same; not if the second is missing."""
    return other.is_file() and filecmp.cmp(one, other, shallow=False)


def external(folder: Path, allowed: Sequence[str] = (), checked: Path | None = None) -> list[str]:
    """Looks through all pages and style sheets.

    Args:
        folder: of the built HTML.
        allowed: an address that holds one of these words is let through.
        checked: the folder of a book in which nothing was found; what is the same there is not looked through again.

    Returns:
        One line `page: address` for each address that a browser would fetch by itself.
    """
    lines = []
    for file in sorted(folder.rglob("*")):
        if checked and same(file, checked / file.relative_to(folder)):
            continue
        if file.suffix == ".html":
            page = _Page()
            page.feed(file.read_text(encoding="utf-8"))
            found = page.found
        elif file.suffix == ".css":
            found = CSS.findall(file.read_text(encoding="utf-8"))
        else:
            continue
        name = file.relative_to(folder).as_posix()
        lines += [f"{name}: {address}" for address in dict.fromkeys(found) if not any(a in address for a in allowed)]
    return lines
