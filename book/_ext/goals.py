"""What frames a page: what one can do after it, what to read before, how long it takes, and what to take away.

    :::{goals}
    :before: [What is WSOL?](wsol.md)

    - Compute an overlap by hand.
    :::
stands under the title. `:before:` holds one to three pages, or *nothing*; the body is a list of one to three goals. The
time is not written but counted when the page is built, see `minutes`. A page with numbers also gets links to where
they come from: the folded box (`cmr.study.provenance`) of each notebook that made them.

    :::{take-away}
    One to three sentences.
    :::
stands before the exercises or at the end. JupyterLab shows both as text when a notebook is opened there.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.util.docutils import SphinxDirective
from sphinx_exercise.nodes import is_exercise_node, is_solution_node

WORDS = 200  # of text per minute
LOOK = 0.5  # minutes for a figure, a table, an equation, or a piece of code
EXERCISE = 3  # minutes for an exercise, with its solution
MOST = 3  # goals of a page
SEEN = (nodes.image, nodes.table, nodes.math_block, nodes.literal_block)
DRAWN = ("<table", "<svg", "<canvas", 'class="cmr-slider', 'class="cmr-play"')  # in HTML that a page brings along
UNSEEN = (nodes.Invisible, nodes.system_message)
TIME = "cmr-time"
BOX = 'class="provenance" id="records"'
# A number or picture of a notebook, not a link to it.
PASTED = re.compile(r"notebooks/(\w+)\.ipynb(?=::|\s*$)", re.MULTILINE)


class Goals(SphinxDirective):
    has_content = True
    option_spec = {"before": directives.unchanged_required}

    def run(self) -> list[nodes.Node]:
        listed = self.parse_content_to_nodes()
        if len(listed) != 1 or not isinstance(listed[0], nodes.bullet_list) or len(listed[0]) > MOST:
            raise self.warning(f"goals: expected one list with one to {MOST} goals")
        if "before" not in self.options:
            raise self.warning("goals: no :before:; name the pages to read before, or say: nothing")
        box = nodes.definition_list(classes=["cmr-goals"])
        box += entry("Goals", listed)
        box += entry("Read before", self.parse_text_to_nodes(self.options["before"]))
        box += entry("Time", [nodes.paragraph("", "", classes=[TIME])])
        return [box]


class TakeAway(SphinxDirective):
    has_content = True

    def run(self) -> list[nodes.Node]:
        self.assert_has_content()
        title = nodes.title("Take-away", "Take-away")
        return [nodes.admonition("", title, *self.parse_content_to_nodes(), classes=["cmr-take-away"])]


def entry(term: str, described: list[nodes.Node]) -> nodes.definition_list_item:
    return nodes.definition_list_item("", nodes.term(term, term), nodes.definition("", *described))


def minutes(node: nodes.Node) -> tuple[float, float]:
    """How long a page takes: minutes for what is read and looked at, and minutes for the exercises.

    Solutions, appendices, folded code, and words in figures, tables and code do not count; nor does running anything.
    """
    if isinstance(node, nodes.Text):
        return len(node.split()) / WORDS, 0
    if is_exercise_node(node):
        return 0, EXERCISE
    if is_solution_node(node) or isinstance(node, UNSEEN) or type(node).__name__ == "HideCodeCellNode":
        return 0, 0
    if isinstance(node, nodes.section) and "cmr-appendix" in node["classes"]:
        return 0, 0
    if isinstance(node, SEEN):
        return LOOK, 0
    if isinstance(node, nodes.raw):
        return LOOK * any(mark in node.astext() for mark in DRAWN), 0
    if isinstance(node, nodes.math):
        return 1 / WORDS, 0
    found = [minutes(child) for child in node.children]
    return sum(read for read, _ in found), sum(done for _, done in found)


def said(read: float, done: float) -> str:
    """The two numbers of `minutes` in words."""
    whole = max(1, round(read))
    text = f"about {whole} minute{'s' * (whole > 1)}"
    return f"{text}, and {done:g} more for the exercise{'s' * (done > EXERCISE)}" if done else text


def write_time(app, doctree, docname) -> None:
    """Counts the page, once all that it pastes is there."""
    for place in [found for found in doctree.findall(nodes.paragraph) if TIME in found["classes"]]:
        place += nodes.Text(said(*minutes(doctree)))


def sources(app, doctree, docname) -> Iterator[tuple[str, str]]:
    """Where the numbers of a page come from: words and an address each, of the page's own box or of the notebooks'."""
    if any(BOX in made.astext() for made in doctree.findall(nodes.raw)):
        yield "the runs behind this page", "#records"
        return
    text = Path(app.env.doc2path(docname)).read_text(encoding="utf-8")
    for name in dict.fromkeys(f"notebooks/{found}" for found in PASTED.findall(text)):
        if name in app.env.titles:
            yield app.env.titles[name].astext(), f"{app.builder.get_relative_uri(docname, name)}#records"


def write_sources(app, doctree, docname) -> None:
    """Adds the row with these links."""
    for box in [found for found in doctree.findall(nodes.definition_list) if "cmr-goals" in found["classes"]]:
        links = [nodes.reference("", words, refuri=address) for words, address in sources(app, doctree, docname)]
        if links:
            commas = [part for link in links for part in (link, nodes.Text(", "))][:-1]
            box += entry("Records", [nodes.paragraph("", "", *commas)])


def setup(app) -> dict:
    app.add_directive("goals", Goals)
    app.add_directive("take-away", TakeAway)
    app.connect("doctree-resolved", write_time)
    app.connect("doctree-resolved", write_sources)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
