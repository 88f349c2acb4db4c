"""Weight files: every format, every way in which one is wrong, ImageNet's weights without a network, fingerprints."""

import hashlib
import lzma
import os
import pickle
import shutil
import urllib.error

import huggingface_hub
import numpy as np
import pytest
import safetensors.torch
import torch
import torchvision
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from cmr.errors import UserError
from cmr.nets.backbones import build_backbone
from cmr.nets.published import HUB_MODELS, TOYBIRDS, weights_fingerprint
from cmr.nets.weights import imagenet_weights, load_weights, read_weights

STATE = {"a.weight": torch.arange(6.0).view(2, 3), "a.bias": torch.ones(2), "n.count": torch.tensor(7)}


def write(path, state=STATE):
    if path.name.endswith(".xz"):
        path.write_bytes(lzma.compress(safetensors.torch.save(state)))
    elif path.suffix == ".safetensors":
        safetensors.torch.save_file(state, path)
    else:
        torch.save(state, path)
    return path


@pytest.mark.parametrize(
    "name", ["w.safetensors", "w.safetensors.xz", "w.pth", "w.pt", "w.pth.tar", "w.ckpt", "w.bin", "W.PTH", "W.Bin"]
)
def test_every_format_gives_the_same_float32_tensors(tmp_path, name):
    half = {key: value.half() if value.is_floating_point() else value for key, value in STATE.items()}
    for state in (STATE, half):
        got = read_weights(write(tmp_path / name, state))
        assert got.keys() == STATE.keys()
        for key, value in got.items():
            assert value.dtype == STATE[key].dtype and torch.equal(value, STATE[key])


def test_the_wrapper_of_a_checkpoint_is_taken_off(tmp_path):
    got = read_weights(write(tmp_path / "w.pth", {"epoch": 3, "state_dict": STATE}))
    assert got.keys() == STATE.keys() and torch.equal(got["a.weight"], STATE["a.weight"])
    torch.save(STATE, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    assert read_weights(tmp_path / "old.pth").keys() == STATE.keys()


@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.module.", "backbone.body."])
@pytest.mark.parametrize("key", ["state_dict", "model_state_dict", "model", "net"])
def test_checkpoints_as_others_save_them(tmp_path, key, prefix):
    saved = {key: {f"{prefix}{name}": tensor for name, tensor in STATE.items()}, "epoch": 3, "optimizer": {}}
    for content in (saved, {"model": saved}, saved[key]):
        got = read_weights(write(tmp_path / "w.pth", content))
        assert got.keys() == STATE.keys() and torch.equal(got["a.weight"], STATE["a.weight"])


@pytest.mark.parametrize("prefix", ["model.", "net.", "model.backbone.", "net._orig_mod."])
def test_a_lightning_checkpoint_gives_its_network_and_nothing_beside_it(tmp_path, prefix):
    beside = {
        "criterion.weight": torch.ones(3),
        "ema.module.a.weight": torch.zeros(2),
        "ema.n_averaged": torch.ones(()),
    }
    saved = {f"{prefix}{name}": tensor for name, tensor in STATE.items()} | beside
    content = {"state_dict": saved, "pytorch-lightning_version": "2.5.0", "callbacks": {}, "global_step": 3}
    got = read_weights(write(tmp_path / "last.ckpt", content))
    assert got.keys() == STATE.keys() and torch.equal(got["a.weight"], STATE["a.weight"])


def test_two_networks_in_one_file_are_not_chosen_from(tmp_path):
    twice = {f"{prefix}{name}": tensor for name, tensor in STATE.items() for prefix in ("model.", "net.")}
    with pytest.raises(UserError, match=r"holds two networks, behind 'model.' and 'net.' \(a.weight\); save one alone"):
        read_weights(write(tmp_path / "w.pth", twice))


@pytest.mark.parametrize(
    ("odd", "kind"),
    [
        (torch.ones(2).to_sparse(), "sparse"),
        (torch.ones(2, device="meta"), "without values"),
        (torch.ones(2, dtype=torch.complex64), "complex"),
    ],
)
def test_tensors_that_no_network_starts_from_are_named(tmp_path, odd, kind):
    with pytest.raises(UserError, match=f"the tensor 'b' is {kind}; save plain ones"):
        read_weights(write(tmp_path / "w.pth", {"a": torch.ones(1), "b": odd}))


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_numbers_that_are_not_finite_are_said_to_be_in_the_weights(value):
    layer = nn.Linear(2, 1)
    state = {"weight": torch.tensor([[1.0, value]]), "bias": torch.zeros(1)}
    with pytest.raises(UserError, match=r"'w.pth' holds NaN or infinity in 1 of its tensors \(weight\)"):
        load_weights(layer, state, "w.pth")


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ({"state_dict": STATE, "best": np.float64(71.3)}, r"numpy\.\w+\.multiarray\.scalar"),
        (nn.Linear(2, 1), r"torch\.nn\.modules\.linear\.Linear"),
    ],
)
def test_more_than_tensors_is_said_and_not_called_damaged(tmp_path, content, what):
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(UserError, match=rf"it holds more than tensors \({what}\), .*save the tensors alone") as caught:
        read_weights(tmp_path / "w.pth")
    assert "damaged" not in str(caught.value) and "weights_only" not in str(caught.value)


def test_a_path_may_be_text(tmp_path):
    assert read_weights(str(write(tmp_path / "w.safetensors"))).keys() == STATE.keys()


@pytest.mark.parametrize("name", ["w.safetensors", "w.safetensors.xz", "w.pth"])
@pytest.mark.parametrize("damage", ["cut", "empty", "garbage"])
def test_damaged_files_are_named_in_one_line(tmp_path, name, damage):
    path = write(tmp_path / name)
    content = path.read_bytes()
    path.write_bytes({"cut": content[: len(content) // 2], "empty": b"", "garbage": b"no weights " * 9}[damage])
    with pytest.raises(UserError, match=r"w\..*cannot be read \(.+\); it is damaged or no weight file") as caught:
        read_weights(path)
    assert "\n" not in str(caught.value)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), name=st.sampled_from(["w.safetensors", "w.safetensors.xz", "w.pth"]))
@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_no_flipped_bytes_raise_anything_but_the_users_error(tmp_path, data, name):
    content = bytearray(write(tmp_path / name).read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    (tmp_path / name).write_bytes(content)
    try:
        state = read_weights(tmp_path / name)
    except UserError:
        return
    assert all(isinstance(value, torch.Tensor) for value in state.values())


def test_missing_files_and_other_endings_are_named(tmp_path):
    said = r"there is no file '.*gone.pth'; give an existing file, imagenet, toybirds or none"
    with pytest.raises(UserError, match=said):
        read_weights(tmp_path / "gone.pth")
    (tmp_path / "folder.pth").mkdir()
    with pytest.raises(UserError, match=r"'.*folder.pth' is a folder; give an existing file, "):
        read_weights(tmp_path / "folder.pth")
    with pytest.raises(UserError, match=r"'imagnet' ends in none of .safetensors, .safetensors.xz, .pth, .pt, "):
        build_backbone("tiny", "imagnet")


@pytest.mark.parametrize("content", [[1, 2], {"a": 3}, {1: torch.ones(2)}, {}, {"state_dict": {}}, torch.ones(2)])
def test_files_without_named_tensors_are_refused(tmp_path, content):
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(UserError, match=r"w.pth' does not hold named tensors"):
        read_weights(tmp_path / "w.pth")


class Touch:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("save", [torch.save, lambda value, path: path.write_bytes(pickle.dumps(value))])
def test_code_in_a_file_is_not_run(tmp_path, save):
    save({"a": Touch(str(tmp_path / "ran"))}, tmp_path / "w.pth")
    with pytest.raises(UserError, match="cannot be read"):
        read_weights(tmp_path / "w.pth")
    assert not (tmp_path / "ran").exists()


def network():
    torch.manual_seed(1)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1))


def test_only_the_count_of_batches_may_be_missing():
    source, target = network(), network()
    nn.init.constant_(source[0].weight, 2.0)
    state = source.state_dict()
    del state["1.num_batches_tracked"]
    load_weights(target, state, "w.pth")
    assert all(torch.equal(target.state_dict()[key], value) for key, value in state.items())
    del state["1.running_mean"]
    with pytest.raises(UserError, match=r"'w.pth' lacks 1 of 8 tensors \(1.running_mean\); training may take a part"):
        load_weights(target, state, "w.pth")


def test_left_over_names_are_refused_unless_they_are_the_classifiers():
    state = {**network().state_dict(), "fc.weight": torch.ones(1)}
    with pytest.raises(UserError, match=r"has 1 tensors that this network has not \(fc.weight\) and lacks 0 of 8"):
        load_weights(network(), state, "w.pth")
    with pytest.raises(UserError, match="another architecture"):
        load_weights(network(), state, "w.pth", partial=True)
    load_weights(network(), state, "w.pth", ignore=("fc.",))


def test_long_lists_of_names_are_cut():
    state = {**network().state_dict(), **{f"x{i}": torch.ones(1) for i in range(9)}}
    with pytest.raises(UserError, match=r"has 9 tensors .*\(x0, x1, x2, x3, \.\.\.\)"):
        load_weights(network(), state, "w.pth")


def test_other_shapes_are_refused_and_nothing_is_changed():
    target = network()
    before = {key: value.clone() for key, value in target.state_dict().items()}
    state = {key: value + 1 for key, value in before.items()}
    state["2.weight"] = torch.ones(2, 5, 1, 1)
    with pytest.raises(
        UserError, match=r"1 tensors of another shape \(2.weight: \(2, 5, 1, 1\), needed is \(2, 4, 1, 1\)\)"
    ):
        load_weights(target, state, "w.pth", partial=True)
    assert all(torch.equal(target.state_dict()[key], value) for key, value in before.items())


def test_a_head_of_other_classes_is_said():
    state = {**network().state_dict(), "2.weight": torch.ones(5, 4, 1, 1), "2.bias": torch.ones(5)}
    with pytest.raises(UserError, match=r"'w.pth' has a head of 5 classes \(2\), this network one of 2; give weights"):
        load_weights(network(), state, "w.pth")


def test_a_partial_start_takes_whole_layers_only():
    source, target = network(), network()
    before = {key: value.clone() for key, value in target.state_dict().items()}
    state = {key: value + 1 for key, value in source.state_dict().items() if key not in ("2.weight", "1.weight")}
    load_weights(target, state, "w.pth", partial=True)
    for key, value in target.state_dict().items():
        assert torch.equal(value, state[key] if key.startswith("0.") else before[key]), key


@pytest.mark.parametrize("partial", [False, True])
def test_a_file_of_another_architecture_is_said_to_be_one(tmp_path, partial):
    path = write(tmp_path / "w.pth", torchvision.models.squeezenet1_1().state_dict())
    with pytest.raises(UserError, match="holds no tensor of this network .*belongs to another architecture"):
        build_backbone("tiny", path, partial=partial)
    with pytest.raises(UserError, match="48 tensors that this network has not .* and lacks 24 of 26; .* another arch"):
        build_backbone("vgg16", path, partial=partial)


def test_deeper_resnets_do_not_pass_for_shallower_ones(tmp_path):
    path = write(tmp_path / "w.pth", torchvision.models.resnet34().state_dict())
    with pytest.raises(UserError, match=r"has 96 tensors that this network has not \(layer1.2.bn1.bias"):
        build_backbone("resnet18", path)


@pytest.fixture
def offline(tmp_path, monkeypatch):
    """An empty hub cache, an empty torch.hub folder, and no network."""

    def refuse(*args, **kwargs):
        raise urllib.error.URLError("no network")

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(torch.hub, "urlopen", refuse)
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path / "torch"))
    return tmp_path


@pytest.mark.parametrize("name", HUB_MODELS)
def test_without_network_the_error_says_what_to_fetch(offline, name):
    with pytest.raises(UserError) as caught:
        build_backbone(name, "imagenet")
    message = str(caught.value)
    assert f"the ImageNet weights of '{name}' are not on this machine" in message
    assert f"model.safetensors of timm/{name}.tv_in1k on the Hugging Face hub" in message
    assert "HF_HOME" in message and "give its path as weights" in message and "\n" not in message


def test_without_network_squeezenet_names_torchvisions_file(offline):
    with pytest.raises(UserError, match=r"bring squeezenet1_1-b8a52dc0.pth of torchvision .* and give its path"):
        build_backbone("squeezenet1_1", "imagenet")


def test_weights_in_the_hubs_cache_need_no_network(offline):
    torch.manual_seed(0)
    state = torchvision.models.resnet18().state_dict()
    folder = offline / "hub" / "models--timm--resnet18.tv_in1k"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("0" * 40)
    (folder / "snapshots" / ("0" * 40)).mkdir(parents=True)
    safetensors.torch.save_file(state, folder / "snapshots" / ("0" * 40) / "model.safetensors")
    body = build_backbone("resnet18", "imagenet").body.state_dict()
    assert all(torch.equal(value, state[key]) for key, value in body.items())


def test_a_damaged_file_in_the_cache_is_said_to_be_damaged(offline):
    folder = offline / "hub" / "models--timm--resnet18.tv_in1k"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("0" * 40)
    (folder / "snapshots" / ("0" * 40)).mkdir(parents=True)
    (folder / "snapshots" / ("0" * 40) / "model.safetensors").write_bytes(b"half a file")
    with pytest.raises(UserError, match=r"model.safetensors' cannot be read .* it is damaged"):
        imagenet_weights("resnet18")


def test_fingerprint_is_of_the_content(tmp_path):
    path = write(tmp_path / "w.pth")
    assert weights_fingerprint(path) == hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    shutil.copy(path, tmp_path / "copy.pt")
    assert weights_fingerprint(str(tmp_path / "copy.pt")) == weights_fingerprint(path)
    with open(path, "ab") as file:
        file.write(b"x")
    assert weights_fingerprint(path) != weights_fingerprint(tmp_path / "copy.pt")


def test_fingerprints_of_names():
    assert weights_fingerprint("none") == "none"
    assert weights_fingerprint("imagenet", "vgg16") == "imagenet:vgg16.tv_in1k"
    assert weights_fingerprint("imagenet", "squeezenet1_1") == "imagenet:squeezenet1_1.IMAGENET1K_V1"
    assert weights_fingerprint("imagenet") == "imagenet"
    with pytest.raises(UserError, match="there is no file 'gone.pt'"):
        weights_fingerprint("gone.pt")


def test_the_toybirds_start_is_the_file_whose_sum_is_committed():
    digest = hashlib.sha256(TOYBIRDS.read_bytes()).hexdigest()
    assert TOYBIRDS.with_name(TOYBIRDS.name + ".sha256").read_text() == f"{digest}  {TOYBIRDS.name}\n"
    assert TOYBIRDS.stat().st_size <= 2**20
    assert weights_fingerprint("toybirds", "tiny") == digest[:16]
    backbone = build_backbone("tiny", "toybirds")
    stored = safetensors.torch.load_file(TOYBIRDS)
    assert {value.dtype for value in stored.values()} == {torch.float16, torch.int64}
    assert all(torch.equal(value, stored[name].to(value.dtype)) for name, value in backbone.body.state_dict().items())


def test_the_toybirds_start_is_for_one_network():
    with pytest.raises(UserError, match="weights: toybirds are for the backbone tiny, not for 'resnet18'"):
        build_backbone("resnet18", "toybirds")
    with pytest.raises(UserError, match="tensors of another shape"):
        build_backbone("tiny", "toybirds", stride=4)
