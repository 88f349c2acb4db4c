"""Parts of pages that are made when the book is built, as Markdown in `book/_made` of the staged tree.

recipes.md     results to make again: the table of study/recipes.toml
commands.md    their commands
repeated.md    how far apart the numbers of trainings are that were made twice
materials.md   data and weights that these results were made with, by their fingerprints
changelog.md   CHANGELOG.md, as a page has it
parameters.md  what can be set in each notebook
status.md      when the notebooks were executed, and what the book took
"""

from collections.abc import Sequence
from pathlib import Path

from book.markdown import duration, table
from cmr.study.notebooks import notebook_parameters
from cmr.study.record import Record
from cmr.study.runs import Run
from cmr.study.tables import NBSP
from study.recipes import SAME, Recipe
from study.repeated import Pair

WIDTH = 84  # columns that a code box of the book holds


def recipes(found: Sequence[Recipe]) -> str:
    """The table of recipes.

    Args:
        found: of `study.recipes.read`.

    Returns:
        Markdown.
    """
    rows = []
    for recipe in found:
        record, (allowed, why) = recipe.run.record, recipe.allowed
        rows.append(
            (
                f"`{recipe.name}`",
                recipe.result,
                f"{recipe.expected:.1f}",
                f"± {allowed:.1f}, {why}",
                f"{duration(record.duration_s).replace(' ', NBSP)}, {processor(recipe.run)}",
                f"{record.peak_memory_mb / 1024:.1f} GiB",
                f"{recipe.again.result.gt_known_loc:.1f}, {processor(recipe.again)}" if recipe.again else "–",
            )
        )
    head = ("recipe", "result", "GT-known Loc", "tolerance", "time", "memory", "made again")
    caption = "Results to make again, from their records: GT-known Loc in percent, tolerance in points."
    return table(caption, "recipes", head, rows)


def processor(run: Run) -> str:
    """The processor or GPU of a record, in short."""
    return run.record.environment.device.replace("(R)", "").removesuffix(" Processor")


def repeated(found: Sequence[Pair]) -> str:
    """What trainings that were made twice say of a number that comes out differently.

    Args:
        found: of `study.repeated.pairs`.

    Returns:
        Two paragraphs in Markdown.
    """
    same = [pair.apart for pair in found if pair.same_processor]
    other = [pair.apart for pair in found if not pair.same_processor]
    return (
        f"**On the same kind of processor**, with one thread, {len(same)} trainings were made twice, and {said(same)}."
        "\n\n**On another kind of processor** sums are rounded otherwise, and a training may end elsewhere, as with "
        f"another seed: {len(other)} were made on two kinds, and {said(other)}."
    )


def said(differences: Sequence[float]) -> str:
    """How many numbers differ, in words.

    Example:
        >>> said([0.0, 0.0]), said([0.0, 3.4, 1.4])
        ('no number differs', '2 numbers differ, by up to 3.4 points')
    """
    different = [apart for apart in differences if apart > SAME]
    if not different:
        return "no number differs"
    count = f"{len(different)} numbers differ" if len(different) > 1 else "one number differs"
    return f"{count}, by up to {max(different):.1f} points"


def commands(found: Sequence[Recipe]) -> str:
    """A box of code for each recipe, under its name.

    Args:
        found: of `study.recipes.read`.

    Returns:
        Markdown.
    """
    return "\n\n".join(f"`{recipe.name}`\n\n```bash\n{wrapped(recipe.printed)}\n```" for recipe in found)


def wrapped(command: str, width: int = WIDTH) -> str:
    """A command in lines that fit the page, broken before options where that is enough.

    Example:
        >>> print(wrapped("cmr train --method cam --seed 1", 26))
        cmr train --method cam \\
            --seed 1
    """
    first, *options = command.split(" --")
    lines = [first]
    for option in options:
        if len(lines[-1]) + len(option) + 5 > width:
            lines.append(f"    --{option}")
        else:
            lines[-1] += f" --{option}"
    return " \\\n".join(lines)


def changelog(text: str) -> str:
    """The changelog without its title, each table with a caption made of its columns' names.

    Args:
        text: of CHANGELOG.md.

    Example:
        >>> print(changelog("# Title\\n\\n- moved:\\n\\n  | before | now |\\n  |---|---|\\n  | a | b |\\n"))
        - moved:
        <BLANKLINE>
          :::{table} Before and now.
        <BLANKLINE>
          | before | now |
          |---|---|
          | a | b |
          :::
    """
    lines: list[str] = []
    before = ""
    for line in [*text.split("\n", 1)[1].strip().splitlines(), ""]:
        indent = line[: len(line) - len(line.lstrip())]
        if line.lstrip().startswith("|") and not before.lstrip().startswith("|"):
            columns = " and ".join(cell.strip() for cell in line.strip().strip("|").split("|"))
            lines += [f"{indent}:::{{table}} {columns.capitalize()}.", ""]
        elif before.lstrip().startswith("|") and not line.lstrip().startswith("|"):
            lines.append(f"{before[: len(before) - len(before.lstrip())]}:::")
        lines.append(line)
        before = line
    return "\n".join(lines).rstrip()


def parameters(notebooks: Sequence[Path]) -> str:
    """The table of the parameters of notebooks.

    Args:
        notebooks: in the order of the book.

    Returns:
        Markdown.
    """
    rows = [
        (f"[{path.stem}](../../notebooks/{path.stem})", ", ".join(f"`{name}`" for name in notebook_parameters(path)))
        for path in notebooks
    ]
    return table("The parameters of each notebook.", "parameters", ("notebook", "parameters"), rows)


def materials(records: Sequence[Record]) -> str:
    """The data and the weights that records were made with: numbers of images, and fingerprints.

    Args:
        records: any.

    Returns:
        Two tables in Markdown, without data and weights that the library makes itself.
    """
    splits, contents, weights = {}, {}, {}
    for record in records:
        config = record.config
        if config.data != "toybirds":
            for split, part in record.data.items():
                splits[part.name, split] = (part.name, split, f"{part.images:,}", part.classes, f"`{part.fingerprint}`")
            if record.content and "test" in record.data:
                contents[record.tested.name] = record.content
        if config.weights not in ("none", "toybirds"):
            weights[Path(config.weights).name] = f"`{record.weights}`"
    rows = list(splits.values())
    rows += [(name, "class names and pixels", "", "", f"`{content}`") for name, content in contents.items()]
    data = table(
        "Data of the recorded results, as `cmr data check` prints it.",
        "data-fingerprints",
        ("data", "of", "images", "classes", "fingerprint"),
        rows,
    )
    files = table(
        "Weights of the recorded results: the first 16 digits that `sha256sum` prints of the file.",
        "weight-fingerprints",
        ("file", "fingerprint"),
        sorted(weights.items()),
    )
    return f"{data}\n\n{files}"
