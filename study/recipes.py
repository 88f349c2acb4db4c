"""Results made again, one at a time: what the record says, how far another number may lie from it, and a check.

python -m study.recipes                    runs the quick recipes, minutes on two CPU cores, and says right or wrong
python -m study.recipes cub50-cam tiny     runs these, whatever they take
python -m study.recipes --list             prints what there is

The recipes are those of recipes.toml. What is made goes to a folder that is removed, or to --out, where finished runs
are taken as they are.
"""

import argparse
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from scipy import stats

from cmr.errors import UserError, require_known
from cmr.study import frozen, runs
from cmr.study.groups import interpretation, same_setting
from cmr.study.runs import Run

ROOT = Path(__file__).resolve().parent.parent
FEWEST = 3  # seeds that give a tolerance
ALIKE = 0.95  # share of pairs of trainings that lie no further apart than the tolerance
PLACES = {"--out": 1, "--record": 1, "--resume": 0}  # options that say where, with the number of their values
AGAIN = "results/recipes"  # what was made again, and is kept
SAME = 1e-4  # records hold four decimals


@dataclass(frozen=True)
class Recipe:
    """One result to make again.

    Attributes:
        name: what the command line calls it.
        result: what a table calls it.
        record: folder of its record, from the root.
        quick: run where no recipe is named.
        needs: the recipe whose trained run it tests again.
        seeds: folders with further seeds of the setting; empty for the record's own.
        like: record of a related setting, whose seeds give the tolerance.
        tolerance: in points, where nothing is drawn at random.
        root: the repository's folder.
    """

    name: str
    result: str
    record: str
    quick: bool = False
    needs: str = ""
    seeds: tuple[str, ...] = ()
    like: str = ""
    tolerance: float | None = None
    root: Path = ROOT

    @cached_property
    def run(self) -> Run:
        """What was recorded: a run, a re-evaluation, or a measurement on a frozen network."""
        return _read(self.root / self.record)

    @property
    def again(self) -> Run | None:
        """A record of the same that `python -m study.recipes --out results/recipes` left, where there is one."""
        found = [file.parent for file in sorted((self.root / AGAIN / self.name).glob("*/*.json"))]
        return _read(found[0]) if found else None

    @property
    def expected(self) -> float:
        """GT-known Loc of the record, in percent."""
        return float(self.run.result.gt_known_loc or 0.0)

    @cached_property
    def allowed(self) -> tuple[float, str]:
        """How far another number may lie from the expected one, in points, and what says so.

        Of two trainings that differ in their seed, 95 of 100 pairs lie no further apart, as far as the recorded seeds
        tell: t times the square root of 2 times their standard deviation. A processor that rounds otherwise is at most
        another draw. It is never less than one test image.

        Raises:
            UserError: the records hold too few seeds.
        """
        if self.tolerance is not None:
            return self.tolerance, "rounding; nothing is drawn"
        told = self.root / (self.like or self.record)
        folders = [self.root / folder for folder in self.seeds] or [told.parent]
        wanted = runs.read(told).id
        [group] = [g for g in same_setting(runs.find(*folders)) if wanted in [run.id for run in g.runs]]
        numbers = [float(run.result.gt_known_loc or 0.0) for run in group.runs]
        if len(numbers) < FEWEST:
            raise UserError(f"{self.name}: {len(numbers)} seeds in {told.parent}; {FEWEST} give a tolerance")
        t = float(stats.t.ppf((1 + ALIKE) / 2, len(numbers) - 1))
        first = group.runs[0]
        about = f"{interpretation(first).title}, {first.config.backbone}, {first.config.epochs} epochs"
        apart = max(t * 2**0.5 * statistics.stdev(numbers), 100 / self.run.record.tested.images)
        return apart, f"{len(numbers)} seeds" + (f" of {about}" if self.like else "")

    @property
    def command(self) -> str:
        """The command as the record has it, but for where the result goes."""
        words, kept = shlex.split(self.run.record.command), []
        while words:
            word = words.pop(0)
            if word in PLACES:
                del words[: PLACES[word]]
            else:
                kept.append(word)
        return shlex.join(kept)

    @property
    def printed(self) -> str:
        """The command as a page prints it: a run that is tested again is one of the reader's own."""
        words = shlex.split(self.command)
        if self.needs:
            words[words.index("--run") + 1] = "runs/RUN"
        return shlex.join(words)

    @property
    def missing(self) -> list[str]:
        """Files and folders of its command that are not on this machine."""
        words = shlex.split(self.command)
        given = [words[words.index(name) + 1] for name in ("--data-root", "--weights") if name in words]
        return [place for place in given if "/" in place and not (self.root / place).exists()]


@dataclass(frozen=True)
class Check:
    """A recipe that was run: what came out, in percent, and what it took."""

    recipe: Recipe
    found: float
    seconds: float
    memory_mb: float
    device: str

    @property
    def right(self) -> bool:
        """Whether it lies within the tolerance."""
        return abs(self.found - self.recipe.expected) <= self.recipe.allowed[0] + SAME

    def __str__(self) -> str:
        allowed, why = self.recipe.allowed
        same = " (the same)" if abs(self.found - self.recipe.expected) < SAME else ""
        return (
            f"{'right' if self.right else 'WRONG'}  {self.recipe.name}: {self.found:.2f}{same}, expected "
            f"{self.recipe.expected:.2f} ± {allowed:.1f} ({why}); {self.seconds:.0f} s, {self.memory_mb:.0f} MB, "
            f"{self.device}"
        )


def _read(folder: Path) -> Run:
    return frozen.read(folder) if (folder / frozen.RECORD).is_file() else runs.read(folder)


def read(root: Path = ROOT) -> dict[str, Recipe]:
    """The recipes by name, in the order of their file.

    Args:
        root: the repository, which holds `study/recipes.toml` and `results/`.
    """
    content = tomllib.loads((root / "study" / "recipes.toml").read_text(encoding="utf-8"))
    made = [
        Recipe(**{**values, "seeds": tuple(values.get("seeds", ())), "root": root}) for values in content["recipes"]
    ]
    return {recipe.name: recipe for recipe in made}


def in_order(names: Iterable[str], recipes: dict[str, Recipe]) -> list[Recipe]:
    """The recipes of these names, each behind the one that it needs.

    Raises:
        UserError: a name that is none.
    """
    wanted: dict[str, Recipe] = {}
    for name in names:
        require_known(name, "recipe", recipes)
        if recipes[name].needs:
            wanted |= {one.name: one for one in in_order([recipes[name].needs], recipes)}
        wanted[name] = recipes[name]
    return list(wanted.values())


def make_again(recipe: Recipe, out: Path, trained: Path | None = None) -> tuple[Check, Path]:
    """Runs a recipe's command as its record has it, with as many threads, and reads what came out.

    Args:
        recipe: what to run.
        out: folder for the run's folder.
        trained: folder of the run that is tested again.

    Returns:
        What came out, and the folder that the command left.

    Raises:
        UserError: the command failed; its output has been shown.
    """
    words = shlex.split(recipe.command)
    where = "--out"
    if trained:
        words[words.index("--run") + 1] = str(trained)
        where = "--record"
    threads = {"OMP_NUM_THREADS": str(recipe.run.record.environment.threads)}
    own = out / recipe.name  # one folder each, so that what a command left is known
    done = subprocess.run(
        [sys.executable, "-m", *words, where, str(own)],
        cwd=recipe.root,
        env=os.environ | threads,
        stdout=subprocess.DEVNULL,
    )
    if done.returncode:
        raise UserError(f"{recipe.name}: its command failed: {recipe.command}")
    [made] = [*runs.find(own), *frozen.find(own)]
    record, score = made.record, float(made.result.gt_known_loc or 0.0)
    return Check(recipe, score, record.duration_s, record.peak_memory_mb, record.environment.device), made.path


def check(names: Sequence[str], recipes: dict[str, Recipe], out: Path) -> list[Check]:
    """Makes results again and prints a line for each; what cannot be run here is left out with a line.

    Args:
        names: recipes; none for the quick ones.
        recipes: of `read`.
        out: folder for what is made.

    Returns:
        One check for each recipe that was run.
    """
    asked = in_order(names or [name for name, recipe in recipes.items() if recipe.quick], recipes)
    done: list[Check] = []
    made: dict[str, Path] = {}
    for recipe in asked:
        if recipe.missing:
            print(f"left out  {recipe.name}: not on this machine: {', '.join(recipe.missing)}", flush=True)
            continue
        print(f"{recipe.name}: {recipe.command}", flush=True)
        checked, made[recipe.name] = make_again(recipe, out, made.get(recipe.needs))
        done.append(checked)
        print(checked, flush=True)
    return done


def listed(recipes: dict[str, Recipe]) -> str:
    """The recipes in print: name, result, expected number, recorded time."""
    rows = [
        f"{name:22} {one.result}: {one.expected:.1f} ± {one.allowed[0]:.1f}, {one.run.record.duration_s:.0f} s"
        for name, one in recipes.items()
    ]
    return "\n".join(rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Reads the command line; the exit status is 1 where a number came out wrong, 2 for a mistake of the user's."""
    parser = argparse.ArgumentParser(prog="python -m study.recipes", description="Makes recorded results again.")
    parser.add_argument("names", nargs="*", help="recipes; none for the quick ones")
    parser.add_argument("--list", action="store_true", help="print the recipes and run none")
    parser.add_argument("--out", type=Path, help="folder for what is made; finished runs in it are not run again")
    asked = parser.parse_args(arguments)
    try:
        recipes = read()
        if asked.list:
            print(listed(recipes))
            return 0
        with tempfile.TemporaryDirectory(prefix="cmr-recipes-") as aside:
            done = check(asked.names, recipes, asked.out or Path(aside))
    except UserError as error:
        print(f"recipes: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("recipes: stopped", file=sys.stderr)
        return 130
    wrong = [one.recipe.name for one in done if not one.right]
    print(f"{len(done) - len(wrong)} of {len(done)} right" + (f"; wrong: {', '.join(wrong)}" if wrong else ""))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
