"""What the book's pages take from the library's source, so that they cannot drift away from it.

    ```{source} cmr/views.py::complementary_views
    ```
shows a function, method or class without its docstrings; comments that would stick out of the box go above their lines.
`:from:` and `:to:` cut it at the first lines that contain these texts. Code that has outgrown the book's 40 lines is a
warning.

    ```{settings} cmr/methods/settings.py::CMRSettings
    ```
makes a table of a dataclass, with its place as the caption: each field with a default, its comment, default and type.
Fields of a class that it is built on are there too, if that stands in the same file.

    {mark}`paper`
marks where a number comes from: paper, ours, other or not run.

Paths are relative to the root of the staged tree, which mirrors the repository. A name that is gone is a warning, and
warnings fail the build.
"""

import abc
import ast
import contextlib
import io
import textwrap
import tokenize
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.util.docutils import SphinxDirective, SphinxRole

LONGEST = 40
WIDTH = 84  # columns that a code box of the book holds; a comment behind a longer line goes above it
MARKS = {"paper": "paper", "ours": "ours", "other": "other", "not run": "notrun"}


def find(tree: ast.AST, name: str) -> ast.AST | None:
    """The node of a dotted name (`hide_masks`, `CAAM.forward`), or None."""
    for part in name.split("."):
        tree = next((node for node in ast.iter_child_nodes(tree) if getattr(node, "name", None) == part), None)
        if tree is None:
            return None
    return tree


def without_docstrings(lines: list[str], node: ast.AST) -> list[tuple[int, str]]:
    """The node's (line number, text) pairs, less its docstrings and the blank lines that follow them."""
    dropped: set[int] = set()
    for inner in ast.walk(node):
        documented = isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        if documented and ast.get_docstring(inner, clean=False) is not None:
            doc = inner.body[0]
            after = doc.end_lineno + 1
            dropped.update(range(doc.lineno, after))
            if after <= node.end_lineno and not lines[after - 1].strip():
                dropped.add(after)
    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    return [(i, lines[i - 1]) for i in range(first, node.end_lineno + 1) if i not in dropped]


def narrow(code: str) -> str:
    """The code with each comment that makes its line wider than the book put on a line of its own, above."""
    comments = {}
    with contextlib.suppress(tokenize.TokenError, IndentationError):  # a cut may end inside a bracket
        for token in tokenize.generate_tokens(io.StringIO(code).readline):
            if token.type == tokenize.COMMENT:
                comments[token.start[0]] = token.start[1]
    lines = []
    for number, line in enumerate(code.splitlines(), 1):
        at = comments.get(number, 0)
        before = line[:at].rstrip()
        if len(line) > WIDTH and before:
            lines += [before[: len(before) - len(before.lstrip())] + line[at:], before]
        else:
            lines.append(line)
    return "\n".join(lines)


def dataclass_fields(lines: list[str], node: ast.ClassDef) -> list[tuple[str, str, str, str]]:
    """(name, type, default, comment) of each annotated field; the comment stands behind it or on the lines above it."""
    rows = []
    for item in node.body:
        if isinstance(item, ast.AnnAssign) and not ast.unparse(item.annotation).startswith("ClassVar"):
            behind = lines[item.end_lineno - 1].encode()[item.end_col_offset :].decode().strip()
            above, line = [], item.lineno - 1
            while not behind and lines[line - 1].strip().startswith("#"):
                above.insert(0, lines[line - 1].strip().lstrip("# "))
                line -= 1
            default = "" if item.value is None else ast.unparse(item.value)
            rows.append((item.target.id, ast.unparse(item.annotation), default, behind.lstrip("# ") or " ".join(above)))
    return rows


def all_fields(lines: list[str], node: ast.ClassDef) -> list[tuple[str, str, str, str]]:
    """As `dataclass_fields`, and behind the class's own those of the classes of the same file that it is built on."""
    rows = {row[0]: row for row in dataclass_fields(lines, node)}
    tree = ast.parse("\n".join(lines))
    for base in filter(None, (find(tree, ast.unparse(base)) for base in node.bases)):
        for row in all_fields(lines, base):
            rows.setdefault(row[0], row)
    return list(rows.values())


class FromSource(SphinxDirective, abc.ABC):
    """Finds `path::name` in the staged tree; what is made of it is for the subclasses."""

    required_arguments = 1
    final_argument_whitespace = False

    def run(self) -> list[nodes.Node]:
        path, _, name = self.arguments[0].partition("::")
        file = Path(self.env.srcdir) / path
        if not file.is_file():
            raise self.warning(f"{self.name}: no file {path}")
        self.env.note_dependency(str(file))
        lines = file.read_text(encoding="utf-8").splitlines()
        node = find(ast.parse("\n".join(lines)), name)
        if node is None:
            raise self.warning(f"{self.name}: no {name} in {path}")
        return self.show(path, name, lines, node)

    @abc.abstractmethod
    def show(self, path: str, name: str, lines: list[str], node: ast.AST) -> list[nodes.Node]:
        """The nodes made of the definition `node` of the file's `lines`."""


class Source(FromSource):
    option_spec = {"from": directives.unchanged_required, "to": directives.unchanged_required}

    def show(self, path: str, name: str, lines: list[str], node: ast.AST) -> list[nodes.Node]:
        kept = without_docstrings(lines, node)
        for option in ("from", "to"):
            if option in self.options:
                at = next((i for i, (_, text) in enumerate(kept) if self.options[option] in text), None)
                if at is None:
                    raise self.warning(f"{self.name}: no line with {self.options[option]!r} in {path}::{name}")
                kept = kept[at:] if option == "from" else kept[: at + 1]
        if len(kept) > LONGEST:
            raise self.warning(
                f"{self.name}: {path}::{name} has {len(kept)} lines without docstrings, more than {LONGEST}"
            )
        code = narrow(textwrap.dedent("\n".join(text for _, text in kept)))
        label = f"{path}, lines {kept[0][0]} to {kept[-1][0]}, without docstrings"
        return [
            nodes.paragraph(label, label, classes=["cmr-source-path"]),
            nodes.literal_block(code, code, language="python", classes=["cmr-source"]),
        ]


class Settings(FromSource):
    def show(self, path: str, name: str, lines: list[str], node: ast.AST) -> list[nodes.Node]:
        rows = [row for row in all_fields(lines, node) if row[2]]
        if not rows:
            raise self.warning(f"{self.name}: {path}::{name} has no field with a default")
        group = nodes.tgroup("", *(nodes.colspec("", colwidth=width) for width in (30, 70)), cols=2)
        group += nodes.thead("", _row(_text("field"), _text("what it says")))
        body = nodes.tbody("")
        for field, kind, default, comment in rows:
            facts = nodes.paragraph("", "", nodes.Text("default "), nodes.literal(default, default))
            facts += [nodes.Text(", type "), nodes.literal(kind, kind)]
            facts["classes"].append("cmr-facts")
            body += _row([nodes.paragraph("", "", nodes.literal(field, field))], [*_text(comment), facts])
        group += body
        title = nodes.title("", "Settings: ", nodes.literal(name, name), nodes.Text(" in "), nodes.literal(path, path))
        return [nodes.table("", title, group, classes=["settings-table"])]


def _text(text: str) -> list[nodes.Node]:
    return [nodes.paragraph(text, text)]


def _row(*cells: list[nodes.Node]) -> nodes.row:
    return nodes.row("", *(nodes.entry("", *cell) for cell in cells))


class Mark(SphinxRole):
    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        if self.text not in MARKS:
            message = self.inliner.reporter.warning(
                f"mark: {self.text!r} is not one of {', '.join(MARKS)}", line=self.lineno
            )
            return [], [message]
        return [nodes.inline(self.text, self.text, classes=["cmr-mark", f"cmr-mark-{MARKS[self.text]}"])], []


def setup(app) -> dict:
    app.add_directive("source", Source)
    app.add_directive("settings", Settings)
    app.add_role("mark", Mark())
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
