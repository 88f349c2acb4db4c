"""Which pages are written again after an edit: the edited ones, or all if others may show something of them.

Sphinx by itself writes the edited page and leaves titles, numbers and links on the others as they were.
"""

import re
from collections.abc import Iterable
from typing import Any

from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

ADDRESS = re.compile(r" at 0x[0-9a-f]+")  # of an object in memory
before: list[str] = []  # what pages showed of one another at the last build


def remember(app: Sphinx, env: BuildEnvironment, *changes: set[str]) -> list[str]:
    """Keeps what the last build had, before pages are read."""
    before[:] = [shown(env)]
    return []


def all_or_changed(app: Sphinx, env: BuildEnvironment) -> Iterable[str]:
    """Has all pages written again when a page changed in what others may show of it."""
    return env.found_docs if before != [shown(env)] else []


def shown(env: BuildEnvironment) -> str:
    """What pages show of one another: titles, targets, terms, numbers, citations, what is in the index."""
    titles = {name: title.astext() for name, title in env.titles.items()}
    exercises = {
        label: {name: value for name, value in entry.items() if name != "node"}
        for label, entry in getattr(env, "sphinx_exercise_registry", {}).items()
    }
    known = [titles, env.toctree_includes, env.toc_fignumbers, env.toc_secnumbers, exercises]
    return ADDRESS.sub("", "\n".join(in_order(one) for one in [*known, *env.domaindata.values()]))


def in_order(value: Any) -> str:
    """The same text for the same content, in whatever order pages were read."""
    if isinstance(value, dict):
        return str(sorted(f"{key!r}: {in_order(inner)}" for key, inner in value.items()))
    return str(sorted(map(repr, value))) if isinstance(value, list | set | frozenset) else repr(value)


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("env-get-outdated", remember)
    app.connect("env-get-updated", all_or_changed, priority=900)  # once figures and tables have their numbers
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
