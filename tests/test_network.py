"""Eq. 9-13: the map is the class's contribution to its logit, and what the attention leaves at test."""

import pytest
import torch

from cmr.attention import CAAM, SSAM
from cmr.errors import UserError
from cmr.nets.backbones import build_backbone
from cmr.network import Branch, ComplementaryNet, Head


def net(**options):
    torch.manual_seed(0)
    return ComplementaryNet(build_backbone("tiny"), 5, CAAM(), SSAM(128), **options).eval()


def randomise_scalars(model):
    for name, parameter in model.named_parameters():
        if parameter.ndim == 0:
            torch.nn.init.constant_(parameter, 0.3 if "delta" in name else 0.5)


def test_head_by_hand():
    head = Head(channels=2, classes=2)
    head.weight.data = torch.tensor([[1.0, -1.0], [2.0, 0.5]])
    head.bias.data = torch.tensor([0.25, 0.0])
    features = torch.tensor([[[[1.0, 3.0]], [[2.0, 0.0]]]])  # (1, 2, 1, 2)
    logits, maps = head(features)
    # class 0: [1 - 2, 3 - 0]; class 1: [2 + 1, 6 + 0]
    assert maps.tolist() == [[[[-1.0, 3.0]], [[3.0, 6.0]]]]
    assert logits.tolist() == [[1.25, 4.5]]  # their means, and the bias
    summed = Head(2, 2, pooling="sum")
    summed.load_state_dict(head.state_dict())
    assert summed.logits(features).tolist() == [[2.25, 9.0]]


@pytest.mark.parametrize("pooling", ["mean", "sum"])
@pytest.mark.parametrize("branch", ["x", "x_tilde", "mean"])
@pytest.mark.parametrize("modules", ["off", "on"])
def test_map_is_the_contribution_to_the_logit(pooling, branch, modules):
    model = net(pooling=pooling)
    randomise_scalars(model)
    biases = {"x": [model.branch_x.head.bias], "x_tilde": [model.branch_xt.head.bias]}
    biases["mean"] = biases["x"] + biases["x_tilde"]
    for i, bias in enumerate(biases["mean"]):
        bias.data.normal_(generator=torch.Generator().manual_seed(i))
    logits, maps = model.localize(torch.randn(3, 3, 64, 64), modules, branch=branch)
    pooled = maps.mean((2, 3)) if pooling == "mean" else maps.sum((2, 3))
    torch.testing.assert_close(pooled + sum(biases[branch]) / len(biases[branch]), logits, atol=1e-4, rtol=1e-4)


def test_class_map_is_the_chosen_row_of_all_maps():
    head, features, labels = Head(6, 4), torch.randn(3, 6, 5, 5), torch.tensor([2, 0, 3])
    _, maps = head(features)
    torch.testing.assert_close(head.class_map(features, labels), maps[torch.arange(3), labels])
    less_mean = (maps - maps.mean(1, keepdim=True))[torch.arange(3), labels]
    torch.testing.assert_close(head.class_map(features, labels, mean_free=True), less_mean)


def test_modules_off_is_the_network_at_delta_and_alpha_zero():
    model, images = net(), torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(model.localize(images, "off", "double"), model.localize(images, "on"))
    randomise_scalars(model)
    off, on = model.localize(images, "off")[0], model.localize(images, "on")[0]
    assert not torch.allclose(off, on)


def test_conv_of_2f_differs_from_conv_of_f():
    model, images = net(), torch.randn(2, 3, 64, 64)
    model.branch_x.conv.bias.data.fill_(0.5)
    single, double = model.localize(images, "off", "single")[0], model.localize(images, "off", "double")[0]
    assert not torch.allclose(2 * single, double)


@pytest.mark.parametrize(("caam", "ssam"), [(True, False), (False, True), (False, False)])
def test_a_module_taken_out_leaves_the_scale(caam, ssam):
    model = net()
    features = torch.rand(2, 128, 8, 8), torch.rand(2, 128, 8, 8)
    part = ComplementaryNet(model.backbone, 5, CAAM() if caam else None, SSAM(128) if ssam else None)
    for got, want in zip(part.attend(*features), features, strict=True):
        torch.testing.assert_close(got, 2 * want)  # delta and alpha are 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"modules": "On"}, "unknown modules 'On': did you mean 'on'"), ({"branch": "y"}, "unknown branch 'y'")],
)
def test_settings_of_the_test_are_checked(changes, message):
    with pytest.raises(UserError, match=message):
        net().localize(torch.randn(1, 3, 64, 64), **changes)


def test_training_and_test_reach_the_branches_alike():
    model, labels = net().eval(), torch.tensor([2, 0])
    features = torch.rand(2, 128, 8, 8)
    logits, maps = model.branch_x(features)
    again, own = model.branch_x(features, labels)
    torch.testing.assert_close((again, own), (logits, maps[torch.arange(2), labels]))


def test_shared_heads_are_one_branch():
    model = net(share_heads=True)
    assert model.branch_x is model.branch_xt
    assert sum(p.numel() for p in model.parameters()) < sum(p.numel() for p in net().parameters())


def test_both_views_pass_the_backbone_as_one_batch():
    model, sizes = net().train(), []
    model.backbone.register_forward_pre_hook(lambda module, inputs: sizes.append(len(inputs[0])))
    model(torch.randn(2, 3, 64, 64), torch.randn(2, 3, 64, 64), torch.tensor([0, 1]))
    assert sizes == [4]


def test_kernel_rule_and_pooling_name():
    assert Branch(512, 3).conv.kernel_size == (3, 3)
    assert Branch(768, 3).conv.kernel_size == (1, 1)
    assert Branch(64, 3, kernel=5, width=32).conv.weight.shape == (32, 64, 5, 5)
    bare = Branch(64, 3, conv=False)
    assert bare.conv is None and bare.head.weight.shape == (3, 64)
    features = torch.randn(2, 64, 4, 4)
    assert bare.features(features) is features  # the sum itself, with whatever attention made negative
    with pytest.raises(UserError, match="fuse_channels: 32 needs eq. 9's convolution"):
        Branch(64, 3, width=32, conv=False)
    with pytest.raises(UserError, match="unknown pooling 'max'"):
        Head(4, 2, pooling="max")
