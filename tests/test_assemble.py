"""What a configuration stands for: the arithmetic that "auto" chooses."""

import pytest
import torch

from cmr import assemble
from cmr.presets import make

INTEL = "vendor_id : GenuineIntel\nflags : fpu sse avx512_bf16\n"
AMX = "vendor_id : GenuineIntel\nflags : fpu amx_bf16 amx_tile\n"
AMD = "vendor_id : AuthenticAMD\nflags : fpu avx512_bf16\n"
OLD = "vendor_id : AuthenticAMD\nflags : fpu avx2\n"


@pytest.mark.parametrize(("text", "fast"), [(INTEL, False), (AMX, True), (AMD, True), (OLD, False), ("", False)])
def test_processors_made_for_bfloat16(tmp_path, text, fast):
    file = tmp_path / "cpuinfo"
    file.write_text(text)
    assert assemble.fast_bfloat16(str(file)) is fast


def test_without_such_a_file_it_is_not(tmp_path):
    assert assemble.fast_bfloat16(str(tmp_path / "none")) is False


@pytest.mark.parametrize("fast", [True, False])
def test_auto_takes_bfloat16_where_it_is_fast_but_not_for_tiny(monkeypatch, fast):
    monkeypatch.setattr(assemble, "fast_bfloat16", lambda: fast)
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    tiny, resnet = make("tiny"), make("tiny", backbone="resnet18")
    assert assemble.precision(tiny, cpu) == "32-true"
    assert assemble.precision(resnet, cpu) == ("bf16-mixed" if fast else "32-true")
    assert assemble.precision(tiny, gpu) == assemble.precision(resnet, gpu) == "bf16-mixed"
    assert assemble.precision(make("tiny", precision="32-true"), gpu) == "32-true"
