"""Measures the book's prose: sentences, paragraphs, names, glossary terms, alt text, captions.

Pages are parsed with the parser that builds them, so that code, formulas and addresses are not taken for words. Each
check returns messages "where: what"; none means that all is well.
"""

import ast
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml
from markdown_it.token import Token
from myst_parser.config.main import MdParserConfig
from myst_parser.mdit_to_docutils.base import DocutilsRenderer
from myst_parser.parsers.mdit import create_md_parser

ROOT = Path(__file__).resolve().parents[2]
LONGEST_SENTENCE = 35  # words
LONGEST_PARAGRAPH = 90  # words
MOST_NUMBERS = 2  # pasted from records into one paragraph
SYNTAX = yaml.safe_load((ROOT / "book" / "_config.yml").read_text(encoding="utf-8"))["parse"]["myst_enable_extensions"]
TEXT_DIRECTIVES = ("exercise", "solution", "note", "admonition", "tip", "warning", "grid", "toggle", "dropdown")
TEXT_DIRECTIVES += ("grid-item-card", "card", "glossary", "margin", "important", "tab-set", "tab-item")
TEXT_DIRECTIVES += ("goals", "take-away")
FIGURES = ("figure", "image", "pasted")
GLUED = "0"  # what a pasted number counts as: one word
NAMES = {  # what the book does not say -> what it says
    r"\b(?:the|an?|this|another|other|two|three|which|literal|first|second)\s+readings?\b(?! is\b)": "interpretation",
    r"\breadings? of (?:the|an?|equation)\b": "interpretation of",
    r"\bread literally\b": "taken literally",
    r"\bread(?:s|ing)? (?:it |them )?out\b": "take a map from, measure",
    r"\bway(?:s)? (?:around|round) the object\b": "shortcut",
    r"\blargest contour": "component",
    r"\b(?:views alone|complementary hiding alone \(\*)": "views only",
    r"\bretest": "re-evaluate",
    r"\bcentred maps?\b": "mean-free maps",
    r"\bat the test\b": "at test",
    r"\b(?:images|numbers|operations|parameters|views|seconds) an? (?:step|branch|image|epoch|class|pixel)\b": "per",
    r"\bas it stands\b": "literally, as printed",
    r"\b[Ww]hoever\b|\b[Ww]ho (?:compares|has|wants)\b": "a direct sentence",
}
KNOWN = {  # abbreviations that are no terms of this field, and names of methods and programs, which have pages
    "API", "CPU", "GPU", "CSV", "JSON", "TOML", "HTML", "JPEG", "PIL", "CUDA", "SLURM", "TLS", "SGD", "FLOP", "SHA",
    "URL", "PNG", "PDF", "RGB", "IEEE", "WACV", "CVPR", "MIT", "GAN", "COCO", "AMD", "EPYC", "NVIDIA", "NOT", "DIR",
    "RUN", "SET", "GRID", "NAME", "CUB", "ILSVRC", "VGG", "VGG16", "ACoL", "SPG", "ADL", "CCAM", "EIL", "MEIL",
    "DANet", "PSOL", "OpenCV", "SVG", "CLI", "ASCII", "README", "ADDRESS", "CUBV2", "DDT", "FLOPs", "CLS", "LOC",
    "DESIGN", "METHODS", "DATASETS", "VERSION", "CONTRIBUTING", "CHANGELOG", "VALUE", "OTHER", "LICENSE", "AND",
    "REPOSITORY", "ISSUE", "XML", "SIGINT", "SIGTERM", "LayerCAM", "LeakyReLU", "GoogLeNet", "MathJax", "CVAT", "VOC",
    "BibTeX", "CJK", "MD5", "UTC", "SPOL", "C2AM", "BAS", "BagCAMs", "SAT", "LOST",
}  # fmt: skip
ABBREVIATION = re.compile(r"\b(?=[A-Za-z0-9]*[A-Z][A-Za-z0-9]*[A-Z][A-Za-z0-9]*[A-Z])[A-Za-z][A-Za-z0-9]{2,}\b")
ENDS = re.compile(r"(?<=[.!?])(?<!\be\.g\.)(?<!\bi\.e\.)(?<!\bal\.)(?<!\bvs\.)(?<!\beq\.)[\"”’*)\]]*\s+")


@dataclass(frozen=True)
class Paragraph:
    """A piece of running text: where it stands, its words as plain text, how many numbers it pastes, what it is."""

    where: str
    text: str
    numbers: int
    kind: str  # paragraph, item, cell, caption, heading

    @property
    def words(self) -> int:
        return len(self.text.split())

    def sentences(self) -> list[str]:
        return [sentence for sentence in ENDS.split(self.text) if sentence.strip()]


@dataclass(frozen=True)
class Figure:
    """A picture, and whether it has a text for those who cannot see it."""

    where: str
    alt: str


@dataclass
class Page:
    """What one page says."""

    paragraphs: list[Paragraph]
    figures: list[Figure]
    tables: list[tuple[str, bool]]  # where, and whether it has a caption
    terms: list[tuple[str, str]]  # where, the term


def parser():
    return create_md_parser(MdParserConfig(enable_extensions=SYNTAX), DocutilsRenderer)


def read_page(file: Path) -> Page:
    """The prose of a Markdown page or of a notebook: its Markdown cells, and the captions of its figures and tables."""
    page = Page([], [], [], [])
    if file.suffix == ".ipynb":
        cells = json.loads(file.read_text(encoding="utf-8"))["cells"]
        for index, cell in enumerate(cells):
            if cell["cell_type"] == "markdown":
                read_text("".join(cell["source"]), f"{file.name}, cell {index}", page, lines=False)
            else:
                read_captions("".join(cell["source"]), f"{file.name}, cell {index}, caption", page)
            read_mystnb(cell, f"{file.name}, cell {index}", page)
    else:
        read_text(file.read_text(encoding="utf-8"), file.name, page)
    return page


def read_mystnb(cell: dict, where: str, page: Page) -> None:
    """Caption and alt text that a notebook's cell gives its picture."""
    render = cell.get("metadata", {}).get("mystnb", {})
    if "figure" in render:
        read_text(render["figure"].get("caption", ""), f"{where}, caption", page, lines=False, kind="caption")
    if "image" in render or "figure" in render:
        page.figures.append(Figure(where, render.get("image", {}).get("alt", "")))


def read_captions(code: str, where: str, page: Page) -> None:
    """The captions that a cell's code gives its tables, what an f-string fills in as one word."""
    calls = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call)]
    for call in (call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "captioned"):
        text = call.args[1]
        parts = text.values if isinstance(text, ast.JoinedStr) else [text]
        words = "".join(str(part.value) if isinstance(part, ast.Constant) else GLUED for part in parts)
        page.paragraphs.append(Paragraph(where, words, 0, "caption"))


def read_text(text: str, where: str, page: Page, lines: bool = True, kind: str = "paragraph", first: int = 0) -> None:
    """Adds what a Markdown text says to `page`."""
    if text.startswith("---\n"):
        text = text.split("\n---\n", 1)[-1]
    stack: list[str] = []
    for token in parser().parse(text):
        at = f"{where}:{token.map[0] + 1 + first}" if lines and token.map else where
        if token.nesting == 1:
            stack.append(token.type.removesuffix("_open"))
        elif token.nesting == -1:
            stack.pop()
        if token.type == "inline":
            this = "heading" if "heading" in stack else "cell" if {"th", "td"} & {*stack} else kind
            this = "item" if this == "paragraph" and "list_item" in stack else this
            read_inline(token, at, page, this)
        elif token.type == "table_open":
            page.tables.append((at, kind == "in table"))
        elif token.type in ("fence", "colon_fence"):
            read_directive(token, at if lines else where, page, lines, first)


def read_directive(token: Token, where: str, page: Page, lines: bool, first: int) -> None:
    name = re.match(r"\s*\{([\w:-]+)\}\s*(.*)", token.info)
    if not name:
        return
    options = dict(re.findall(r"^:([\w-]+):[ ]*(.*)$", token.content, flags=re.MULTILINE))
    body = re.sub(r"\A(?::[\w-]+:.*\n?)*", "", token.content)
    skipped = token.content.count("\n") - body.count("\n")
    begin = first + (token.map[0] if token.map else 0) + 1 + skipped
    base = re.sub(r":\d+$", "", where)
    if name[1] in FIGURES:
        page.figures.append(Figure(where, options.get("alt", "")))
        read_text(body, base, page, lines, "caption", begin)
    elif name[1] in ("table", "list-table"):
        read_text(name[2], base, page, lines, "caption", begin)
        if not name[2]:
            page.tables.append((where, False))
        read_text(body, base, page, lines, "in table", begin)
    elif name[1] in TEXT_DIRECTIVES:
        read_text(options.get("before", ""), where, page, lines=False)
        read_text(body, base, page, lines, "paragraph", begin)


def read_inline(token: Token, where: str, page: Page, kind: str) -> None:
    words, numbers = [], 0
    for child in token.children or []:
        if child.type == "text":
            words.append(child.content)
        elif child.type in ("softbreak", "hardbreak"):
            words.append(" ")
        elif child.type == "code_inline":
            words.append("`" + child.content.replace(" ", "_") + "`")
        elif child.type in ("math_inline", "math_inline_double"):
            words.append("x")
        elif child.type == "image":
            page.figures.append(Figure(where, child.content))
        elif child.type == "myst_role":
            role = child.meta["name"]
            if role.startswith("glue"):
                numbers += 1
                words.append(GLUED)
            elif role == "term":
                page.terms.append((where, child.content))
                words.append(child.content.split("<")[0].strip())
            elif not role.startswith("cite"):
                text = child.content.split("<")[0].strip()
                words.append(f"`{text}`" if role.startswith("py") else text)
    page.paragraphs.append(Paragraph(where, "".join(words), numbers, kind))


def too_long(page: Page) -> Iterator[str]:
    """Sentences and paragraphs beyond their length, and paragraphs with more numbers than can be taken in."""
    for paragraph in page.paragraphs:
        for sentence in paragraph.sentences():
            if (words := len(sentence.split())) > LONGEST_SENTENCE:
                yield f"{paragraph.where}: a sentence of {words} words: {sentence[:60]}..."
        if paragraph.kind != "cell" and paragraph.words > LONGEST_PARAGRAPH:
            yield f"{paragraph.where}: a paragraph of {paragraph.words} words: {paragraph.text[:60]}..."
        if paragraph.kind != "cell" and paragraph.numbers > MOST_NUMBERS:
            yield f"{paragraph.where}: {paragraph.numbers} numbers in one paragraph: {paragraph.text[:60]}..."


def without_code(paragraph: Paragraph) -> str:
    return re.sub(r"`[^`]*`", " ", paragraph.text)


def misnamed(page: Page) -> Iterator[str]:
    """Names that the project does not use for a thing, or no longer."""
    for paragraph in page.paragraphs:
        for pattern, better in NAMES.items():
            if paragraph.kind != "heading" and (found := re.search(pattern, without_code(paragraph))):
                yield f"{paragraph.where}: '{found[0]}'; the book says: {better}"


def glossary(file: Path) -> set[str]:
    """The terms that the glossary explains."""
    body = file.read_text(encoding="utf-8").split("```{glossary}\n", 1)[1]
    heads = [line for line in body.splitlines() if line and not line.startswith((" ", "`"))]
    return {term.strip() for line in heads for term in line.split(",")}


TERMS = glossary(ROOT / "book" / "reference" / "glossary.md")


def unexplained(page: Page, known: set[str]) -> Iterator[str]:
    """Terms that a page links and abbreviations that it uses which the glossary does not have."""
    for where, term in page.terms:
        name = re.sub(r"\A.*<(.*)>\Z", r"\1", term)
        if name not in known:
            yield f"{where}: the glossary has no '{name}'"
    words = {word for term in known for word in term.split()} | KNOWN
    for paragraph in page.paragraphs:
        for found in ABBREVIATION.findall(without_code(paragraph)):
            if found not in words and found.rstrip("s") not in words:
                yield f"{paragraph.where}: '{found}' is neither in the glossary nor generally known"


def bare(page: Page) -> Iterator[str]:
    """Pictures without a text in their place, and tables without a caption."""
    yield from (f"{figure.where}: a picture without alt text" for figure in page.figures if not figure.alt.strip())
    yield from (f"{where}: a table without a caption" for where, captioned in page.tables if not captioned)


def faults(page: Page, known: set[str] = TERMS) -> list[str]:
    """What every check finds in a page."""
    return [*too_long(page), *misnamed(page), *unexplained(page, known), *bare(page)]
