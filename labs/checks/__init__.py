"""What the labs ask of an answer: each check says in one plain sentence what is wrong, or that the step is done.

A module per lab holds the checks of its steps. All of them work alike: they take what a student wrote, raise `Wrong`
where it does not hold, name the mistake where it is a usual one, and print a line where it holds.
"""

from collections.abc import Sequence
from typing import Any

import torch

Mistake = tuple[Any, str]  # what a usual mistake gives, and the sentence that names it


class Wrong(Exception):
    """An answer does not hold; a notebook shows the sentence alone, without a traceback."""

    def _render_traceback_(self) -> list[str]:
        return [f"Not yet: {self}"]


def check(condition: object, message: str) -> None:
    """Stops with a sentence where a condition does not hold.

    Args:
        condition: what must hold.
        message: one sentence that says what is wrong.

    Raises:
        Wrong: the condition does not hold.

    Example:
        >>> check(1 + 1 == 2, "sums are broken")
        >>> check(1 + 1 == 3, "your sum is one too small")
        Traceback (most recent call last):
        labs.checks.Wrong: your sum is one too small
    """
    if not condition:
        raise Wrong(message)


def same(one: Any, other: Any) -> bool:
    """Whether two answers are equal up to rounding: numbers, lists, arrays or tensors of one shape.

    Args:
        one, other: what is compared; anything that is no number is not the same.

    Returns:
        True where shapes agree and no entry differs by more than one part in ten thousand.

    Example:
        >>> same([1, 2], torch.tensor([1.0, 2.0])), same([1, 2], [1, 3]), same(None, 1)
        (True, False, False)
    """
    try:
        one, other = (torch.as_tensor(x).detach().double() for x in (one, other))
    except (TypeError, ValueError, RuntimeError):
        return False
    return one.shape == other.shape and torch.allclose(one, other, rtol=1e-4, atol=1e-5)


def compare(given: Any, right: Any, mistakes: Sequence[Mistake] = (), what: str = "your function") -> None:
    """Compares an answer with the right one, and names the mistake where it is a usual one.

    Args:
        given: the answer.
        right: what it should be.
        mistakes: pairs of a wrong answer and the sentence that says what went wrong.
        what: the subject of the sentence where the mistake is none of these.

    Raises:
        Wrong: the answer is another one.

    Example:
        >>> compare(6, 6)
        >>> compare(5, 6, [(5, "you left out the last pixel")])
        Traceback (most recent call last):
        labs.checks.Wrong: you left out the last pixel
        >>> compare(4, 6)
        Traceback (most recent call last):
        labs.checks.Wrong: your function gives 4; expected 6
    """
    if same(given, right):
        return
    check(given is not None, f"{what} gives None; is there a return?")
    for wrong, sentence in mistakes:
        check(not same(given, wrong), sentence)
    shapes = [tuple(x.shape) if hasattr(x, "shape") else None for x in (given, right)]
    check(
        None in shapes or shapes[0] == shapes[1],
        f"{what} gives a tensor of shape {shapes[0]}; expected {shapes[1]}",
    )
    raise Wrong(f"{what} gives {shown(given)}; expected {shown(right)}")


def shown(value: Any) -> str:
    """An answer in few characters.

    Example:
        >>> shown(torch.tensor([1.0, 0.33333])), shown(0.5), shown("x" * 300)[-4:]
        ('[1.0, 0.333]', '0.5', 'x...')
    """
    if hasattr(value, "detach"):
        value = value.detach().double().round(decimals=3)
    text = str(value.tolist() if hasattr(value, "tolist") else value)
    return text if len(text) <= 200 else f"{text[:200]}..."


def done(step: int, remark: str) -> None:
    """Says that a step is done.

    Args:
        step: its number.
        remark: what now holds.

    Example:
        >>> done(1, "your map is a weighted sum.")
        Step 1 is done: your map is a weighted sum.
    """
    print(f"Step {step} is done: {remark}")


def reveal(prediction: Any, found: str, why: str) -> None:
    """Holds a prediction against what the run gave, and only then says why.

    Args:
        prediction: the letter that was chosen.
        found: the letter that the run gave.
        why: the explanation.

    Raises:
        Wrong: the prediction is none of the letters.

    Example:
        >>> reveal("b", "a", "The mean knows no places.")
        You predicted b; the run says a. The mean knows no places.
        >>> reveal(2, "a", "")
        Traceback (most recent call last):
        labs.checks.Wrong: your prediction is 2; expected one of the letters a, b, c in quotes
    """
    check(
        isinstance(prediction, str) and prediction in ("a", "b", "c"),
        f"your prediction is {prediction!r}; expected one of the letters a, b, c in quotes",
    )
    agree = f"You predicted {prediction}, and so it is." if prediction == found else ""
    print(agree or f"You predicted {prediction}; the run says {found}.", why)
