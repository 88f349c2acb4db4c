"""What a configuration stands for: the arithmetic that "auto" chooses."""

import pytest
import torch

from cmr import assemble
from cmr.data.images import Batches
from cmr.errors import UserError
from cmr.presets import make
from cmr.study import ddt
from cmr.study.settings import DDT
from cmr.study.training import train

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


def test_what_only_trainings_share_is_refused_to_several_processes(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")  # a scheduler's, without torchrun
    assert assemble.make_lone_fabric(make("tiny", device="cpu")).world_size == 1
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    with pytest.raises(UserError, match="torchrun: this is the work of one process"):
        assemble.make_lone_fabric(make("tiny"))


@pytest.mark.parametrize("work", [train, lambda config, out: ddt.measure(DDT(image_size=60), out)])
def test_a_side_that_cells_do_not_fill_is_told_before_images_are_read(work, monkeypatch, tmp_path):
    monkeypatch.setattr(Batches, "__init__", None)
    with pytest.raises(UserError, match="image_size: 60 is no multiple of 8, the stride of tiny; give 56 or 64"):
        work(make("tiny", image_size=60, resize=64), tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize("name", ["cuda:0", "cuda"])
def test_a_gpu_that_is_not_there_is_named(name, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(UserError, match=f"device: {name} was asked for, but torch sees no GPU of this kind"):
        assemble.make_fabric(make("tiny", device=name))


def test_a_gpu_by_its_number_is_the_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    assert assemble.device_of("cuda:3") == torch.device("cuda", 3)
    with pytest.raises(UserError, match="cuda:4 was asked for, but torch sees 4 GPUs of"):
        assemble.device_of("cuda:4")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    with pytest.raises(UserError, match="cuda:3 is one GPU, and 2 processes want one each; give cuda"):
        assemble.make_fabric(make("tiny", device="cuda:3"))
