"""Folds the appendices of a page: what few readers need stands closed at its end, one click away.

    ## Appendix: every run
begins one; its heading is what the reader clicks on, and it holds all up to the next heading of its level, or to a rule
(`---`): a notebook's last cell, which says where the numbers come from, stays in sight. A link to a place in an
appendix opens it, and on paper all are open (`_static/folded.js`). In JupyterLab it is a section as any other.
"""

from collections.abc import Iterator

from docutils import nodes

BEGINS = "Appendix: "
CLASS = "cmr-appendix"
SCRIPT = "folded.js"


def appendices(doctree: nodes.document) -> Iterator[nodes.section]:
    """The sections that are appendices; a page that is one by its title is not folded."""
    for section in doctree.findall(nodes.section):
        title = section.children[0] if section.children else None
        if isinstance(title, nodes.title) and title.astext().startswith(BEGINS) and section.parent is not doctree:
            yield section


def mark(app, doctree) -> None:
    """Names them before the reading time of the page is counted, which leaves them out."""
    for section in appendices(doctree):
        section["classes"].append(CLASS)


def fold(app, doctree, docname) -> None:
    """Makes each one a closed box whose summary is its heading."""
    if app.builder.format != "html":
        return
    for section in appendices(doctree):
        rule = section.first_child_matching_class(nodes.transition)
        end = len(section) if rule is None else rule
        title, within, after = section[0], section[1:end], section[end + 1 :]
        box = [raw("<details><summary>"), title, raw("</summary>"), *within, raw("</details>"), *after]
        section.clear()
        section.extend(box)


def raw(html: str) -> nodes.raw:
    return nodes.raw("", html, format="html")


def setup(app) -> dict:
    app.connect("doctree-read", mark)
    app.connect("doctree-resolved", fold, priority=900)  # after the sections have been counted
    app.add_js_file(SCRIPT, loading_method="defer")
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
