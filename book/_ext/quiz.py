"""Questions with choices, from a YAML file: each choice unfolds into a sentence that says why it is right or wrong.

    ```{quiz} start
    ```
shows one group of the questions in `quiz.yml` beside the page; `{quiz-key}` lists the right letters of all groups. The
choices are HTML's own `details`: they work from a file, by keyboard and without JavaScript. `_static/quiz.js` counts
what was right at the first try.

The file is a list of groups, each with a `group`, a `title` and `questions`. A question has an `id`, what it may `ask`,
its `choices` and the page to `read`. A choice is either `right` or `wrong`, and says `why`. Texts are MyST, so numbers
come from records; pages are written as links of the page.
"""

import html
from collections.abc import Iterator
from pathlib import Path

import yaml
from docutils import nodes
from sphinx.util.docutils import SphinxDirective

FILE = "quiz.yml"
SCRIPT = "quiz.js"
LETTERS = "ABCDEF"


def read_groups(file: Path) -> list[dict]:
    """The groups of a quiz, each question with its `number` in the file.

    Args:
        file: the YAML file.

    Returns:
        The groups in their order.

    Raises:
        ValueError: it is no YAML, or a question lacks its text or page, or has not exactly one right choice, or a
            choice without its reason.
    """
    try:
        groups = yaml.safe_load(file.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"{file.name}: {error}") from None
    for number, question in enumerate((q for group in groups for q in group["questions"]), 1):
        question["number"] = number
        if found := next(mistakes(question), None):
            raise ValueError(f"{file.name}, question {question.get('id', number)}: {found}")
    return groups


def mistakes(question: dict) -> Iterator[str]:
    """What a question lacks."""
    yield from (f"no {name}" for name in ("id", "ask", "read", "choices") if not question.get(name))
    choices = question.get("choices") or []
    if not 3 <= len(choices) <= 4:
        yield f"{len(choices)} choices; expected 3 or 4"
    if (right := sum("right" in choice for choice in choices)) != 1:
        yield f"{right} right choices; expected one"
    for letter, choice in zip(LETTERS, choices, strict=False):
        if len(choice.keys() & {"right", "wrong"}) != 1:
            yield f"choice {letter} is neither right nor wrong"
        if not str(choice.get("why", "")).strip():
            yield f"choice {letter} does not say why"


def right_letter(question: dict) -> str:
    """The letter of the right choice."""
    return next(letter for letter, choice in zip(LETTERS, question["choices"], strict=False) if "right" in choice)


class _Groups(SphinxDirective):
    def groups(self) -> list[dict]:
        file = Path(self.env.doc2path(self.env.docname)).with_name(FILE)
        self.env.note_dependency(str(file))
        return read_groups(file)


class Quiz(_Groups):
    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        try:
            groups = {group["group"]: group for group in self.groups()}
        except (OSError, ValueError) as error:
            raise self.warning(f"{self.name}: {error}") from error
        if self.arguments[0] not in groups:
            raise self.warning(f"quiz: no group {self.arguments[0]}; there are {', '.join(groups)}")
        box = nodes.container(classes=["cmr-quiz"])
        for question in groups[self.arguments[0]]["questions"]:
            box += self.question(question)
        return [box]

    def question(self, question: dict) -> list[nodes.Node]:
        name = html.escape(f"quiz-{question['id']}")
        made = [_raw(f'<div class="cmr-question" role="group" id="{name}" aria-labelledby="{name}-ask">')]
        made += [_raw(f'<p class="cmr-ask" id="{name}-ask"><b>{question["number"]}.</b> ')]
        made += [*self.inline(question["ask"]), _raw("</p>")]
        for letter, choice in zip(LETTERS, question["choices"], strict=False):
            kind = "right" if "right" in choice else "wrong"
            made += [_raw(f'<details class="cmr-choice cmr-{kind}"><summary><b>{letter}</b> ')]
            made += [*self.inline(choice[kind]), _raw("</summary><p>")]
            made += [_raw("<b>Right.</b> " if kind == "right" else "<b>No.</b> "), *self.inline(choice["why"])]
            made += [_raw("</p></details>")]
        return [*made, _raw('<p class="cmr-read">Read: '), *self.inline(f"[]({question['read']})"), _raw("</p></div>")]

    def inline(self, text: str) -> list[nodes.Node]:
        """The nodes of one paragraph of MyST."""
        parsed = self.parse_text_to_nodes(str(text))
        return [nodes.inline("", "", *parsed[0].children)]


class QuizKey(_Groups):
    def run(self) -> list[nodes.Node]:
        try:
            groups = self.groups()
        except (OSError, ValueError) as error:
            raise self.warning(f"{self.name}: {error}") from error
        rows = [
            f"<li><b>{html.escape(group['title'])}</b>: "
            + ", ".join(f"{question['number']} {right_letter(question)}" for question in group["questions"])
            for group in groups
        ]
        listed = "</li>".join(rows)
        text = f'<details class="cmr-key"><summary>The right letters</summary><ul>{listed}</li></ul></details>'
        return [_raw(text)]


def _raw(text: str) -> nodes.raw:
    return nodes.raw("", text, format="html")


def add_script(app, pagename, templatename, context, doctree) -> None:
    """Loads the script on the pages that hold a quiz, and on no others."""
    if doctree is not None and any("cmr-quiz" in box["classes"] for box in doctree.findall(nodes.container)):
        app.add_js_file(SCRIPT, loading_method="defer")


def setup(app) -> dict:
    app.add_directive("quiz", Quiz)
    app.add_directive("quiz-key", QuizKey)
    app.connect("html-page-context", add_script)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
