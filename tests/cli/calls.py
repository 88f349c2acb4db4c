"""A command line, called as a user would, and what it says."""

import pytest

from cmr import cli


def call(capsys, *arguments):
    """What a command prints that ends well."""
    cli.main([str(argument) for argument in arguments])
    return capsys.readouterr().out


def fail(capsys, *arguments):
    """What a command says that ends with a mistake of its user."""
    with pytest.raises(SystemExit) as stopped:
        cli.main([str(argument) for argument in arguments])
    assert stopped.value.code == 2
    said = capsys.readouterr()
    return said.err + said.out
