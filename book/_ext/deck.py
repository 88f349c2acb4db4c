"""Slides that are a page of the book: every second-level section of a page with `{deck}` is a slide.

    ```{deck} plan-50
    ```
puts a button there which shows the sections one at a time, and names the plan that the slides belong to. The arrow keys
turn the slides, Escape goes back to the page; on paper each section is a sheet. Without JavaScript the page is read as
any other. `_static/deck.js` does the turning, `_static/book.css` the rest.
"""

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

SCRIPT = "deck.js"
BAR = (
    '<p class="cmr-deck-bar" hidden><button type="button" class="cmr-deck-start">Show the slides</button> '
    "→ next, ← back, F whole screen, Escape back to this page. To print: the browser's own print, A4 landscape.</p>"
)


class Deck(SphinxDirective):
    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        box = nodes.container(classes=["cmr-deck"])
        text = f"Each section of this page is a slide. What to say and how long it takes: [](./{self.arguments[0]})."
        box += self.parse_text_to_nodes(text)
        box += nodes.raw("", BAR, format="html")
        return [box]


def add_script(app, pagename, templatename, context, doctree) -> None:
    """Loads the script on the pages that are decks, and on no others."""
    if doctree is not None and any("cmr-deck" in box["classes"] for box in doctree.findall(nodes.container)):
        app.add_js_file(SCRIPT, loading_method="defer")


def setup(app) -> dict:
    app.add_directive("deck", Deck)
    app.connect("html-page-context", add_script)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
