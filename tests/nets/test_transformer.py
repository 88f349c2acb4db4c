"""The transformer behind a stem: attention by hand and against numpy, positions, maps of any size, what is refused."""

import math

import numpy as np
import pytest
import torch
from scipy.special import erf

from cmr.nets.transformer import Transformer, class_attention


def build(channels=6, width=8, depth=2, heads=2):
    torch.manual_seed(0)
    net = Transformer(channels, width, depth, heads).eval()
    for parameter in net.parameters():  # away from a start at which attention is nearly even
        torch.nn.init.normal_(parameter, std=0.5)
    return net


def features(side=(3, 4), channels=6):
    return torch.randn(2, channels, *side, generator=torch.Generator().manual_seed(1))


def by_numpy(net, x):
    """The same network, one image and one head at a time; tokens (1 + N, D), the class token's attention (L, N)."""
    weight = {name: value.detach().double().numpy() for name, value in net.state_dict().items()}
    width, heads = weight["norm.weight"].size, net.blocks[0].attn.num_heads

    def norm(tokens, name, eps):
        centred = tokens - tokens.mean(1, keepdims=True)
        return (
            centred / np.sqrt(centred.var(1, keepdims=True) + eps) * weight[f"{name}.weight"] + weight[f"{name}.bias"]
        )

    def linear(tokens, name):
        return tokens @ weight[f"{name}.weight"].T + weight[f"{name}.bias"]

    channels, rows, columns = x.shape
    row, column = np.divmod(np.arange(rows * columns), columns)
    slow = 10000 ** -(np.arange(width // 4) / (width // 4))
    place = [wave(axis[:, None] * slow) for wave in (np.sin, np.cos) for axis in (row, column)]
    cells = x.reshape(channels, -1).T @ weight["embed.weight"][:, :, 0, 0].T + weight["embed.bias"]
    tokens = np.concatenate((weight["class_token"][0], cells + np.concatenate(place, 1)))
    seen = []
    for i in range(len(net.blocks)):
        block = f"blocks.{i}"
        q, k, v = np.split(linear(norm(tokens, f"{block}.norm1", 1e-5), f"{block}.attn.qkv"), 3, axis=1)
        gathered, shares = [], []
        for part in np.split(np.arange(width), heads):
            share = np.exp(q[:, part] @ k[:, part].T / math.sqrt(width / heads))
            share /= share.sum(1, keepdims=True)
            gathered.append(share @ v[:, part])
            shares.append(share[0, 1:])
        seen.append(np.mean(shares, 0))
        tokens = tokens + linear(np.concatenate(gathered, 1), f"{block}.attn.proj")
        hidden = linear(norm(tokens, f"{block}.norm2", 1e-5), f"{block}.mlp.fc1")
        tokens = tokens + linear(hidden * (1 + erf(hidden / math.sqrt(2))) / 2, f"{block}.mlp.fc2")
    return norm(tokens, "norm", 1e-5), np.stack(seen)


def test_tokens_and_attention_are_those_of_a_transformer_in_numpy():
    net, x = build(), features()
    with torch.no_grad():
        patches, class_token = net(x)
        _, attention = net.look(x)
    assert patches.shape == (2, 8, 3, 4) and class_token.shape == (2, 8) and attention.shape == (2, 2, 3, 4)
    for image in range(2):
        want_tokens, want_attention = by_numpy(net, x[image].double().numpy())
        np.testing.assert_allclose(patches[image].flatten(1).T, want_tokens[1:], atol=1e-4)
        np.testing.assert_allclose(class_token[image], want_tokens[0], atol=1e-4)
        np.testing.assert_allclose(attention[image].flatten(1), want_attention, atol=1e-5)
        assert want_attention.max() > 3 * want_attention.min()  # nothing that an even share would pass


def test_attention_of_one_head_by_hand():
    # Tokens of mean 0 and variance 1 pass the norm unchanged. Keys are tokens, every query is (2 ln 3, 0, 0, 0); with
    # d = 4 the energies are ln 3 where a token begins with 1 and -ln 3 where it begins with -1.
    block = build(width=4, depth=1, heads=1).blocks[0]
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.zero_()
        block.norm1.weight.fill_(1)
        block.attn.qkv.weight[4:8] = torch.eye(4)
        block.attn.qkv.bias[0] = 2 * math.log(3)
    bright = torch.tensor([1.0, -1.0, 1.0, -1.0])
    tokens = torch.stack([bright, bright, -bright, -bright, -bright])[None]  # class token, four patches
    want = torch.tensor([[3, 1 / 3, 1 / 3, 1 / 3]]) / 7
    torch.testing.assert_close(class_attention(block, tokens), want, atol=1e-4, rtol=0)


@pytest.mark.parametrize("heads", [1, 2, 4])
def test_attention_is_the_row_that_the_block_itself_uses(heads):
    block, tokens, seen = build(heads=heads).blocks[0], torch.randn(3, 10, 8), []
    block.attn.fused_attn = False  # a fused kernel never holds the weights
    block.attn.attn_drop.register_forward_hook(lambda _module, _args, output: seen.append(output))
    with torch.no_grad():
        block(tokens)
        torch.testing.assert_close(class_attention(block, tokens), seen[0].mean(1)[:, 0, 1:])


def test_looking_changes_no_token():
    net = build()
    with torch.no_grad():
        torch.testing.assert_close(net.look(features())[0], net(features())[0], atol=0, rtol=0)


@pytest.mark.parametrize("side", [(1, 1), (2, 2), (8, 8), (14, 14), (3, 5)])
def test_a_map_of_any_size_will_do(side):
    tokens, attention = build().look(features(side))
    assert tokens.shape[2:] == attention.shape[2:] == side
    assert (attention > 0).all() and (attention.sum((2, 3)) < 1).all()


def test_places_tell_equal_cells_apart():
    tokens = build()(torch.ones(1, 6, 4, 4))[0][0].flatten(1).T
    assert len(tokens.unique(dim=0)) == 16


def test_under_autocast_the_attention_is_nearly_the_same():
    net = build()
    with torch.no_grad():
        _, want = net.look(features())
        with torch.autocast("cpu", torch.bfloat16):
            _, attention = net.look(features())
    assert attention.dtype == torch.float32
    torch.testing.assert_close(attention, want, atol=5e-3, rtol=0.05)


def test_every_parameter_learns():
    net = build().train()
    net(features())[0].square().sum().backward()
    assert all(parameter.grad is not None for parameter in net.parameters())
    assert net.class_token.grad.abs().sum() > 0  # the patches read it, though nothing else does
