"""Builds the book: runs the notebooks, makes the pages, and swaps them in.

python -m book            what `make book` does; warnings are errors, and nothing is replaced until all is well
python -m book --draft    pages only, into book/_build/draft: notebooks as they last ran (or not run), what is missing
                          left out, warnings allowed
"""

import argparse
import sys
from pathlib import Path

from book import seen
from cmr.errors import UserError

ROOT = Path(__file__).resolve().parent.parent


def main(arguments: list[str] | None = None, root: Path = ROOT) -> int:
    parser = argparse.ArgumentParser(prog="python -m book", description="Runs the notebooks and builds the book.")
    parser.add_argument("--draft", action="store_true", help="pages only, as they are, into book/_build/draft")
    draft = parser.parse_args(arguments).draft
    if html := None if draft else seen.current(root):
        print("book: current")
    else:
        # nbformat would have it compile grammars of web addresses for seconds; jsonschema does without it.
        sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]  # None: an import fails
        from book.build import build  # it takes seconds to load

        try:
            html = build(root, draft)
        except UserError as error:
            print(f"book: {error}", file=sys.stderr)
            return 1
    print(f"open {html.relative_to(root)}/index.html in a browser: {(html / 'index.html').as_uri()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
