"""What tests of several commands share."""

import pytest

from cmr import cli
from cmr.study import runs


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs")
    cli.main(["train", "--preset", "tiny", "--device", "cpu", "--epochs", "1", "--out", str(out)])
    [run] = runs.find(out)
    return run
