"""CAAM and SSAM (equations 1 to 8): hand-worked numbers, a float64 reference, and what is kept in memory."""

import itertools
import math

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from cmr.attention import AXES, CAAM, SCALES, SSAM
from cmr.errors import UserError

LN2, LN3, LN4 = math.log(2), math.log(3), math.log(4)
READINGS = [
    {"axis": axis, "scale": scale, "invert": invert, "share_q": share_q}
    for axis, scale, invert, share_q in itertools.product(AXES, SCALES, (False, True), (False, True))
]
PLAIN = [{"axis": axis, "share_q": share_q} for axis in AXES for share_q in (False, True)]


# Asked for: 1e-3 and 2e-2. The rounding of weights and results to bfloat16 alone is 2e-3.
LARGEST_ERROR = {torch.float32: 1e-5, torch.bfloat16: 5e-3}


def name(reading: dict) -> str:
    return "-".join(str(key if value is True else value) for key, value in reading.items() if value is not False)


def fusable(reading: dict) -> bool:
    return reading["axis"] != "row" and not reading.get("share_q")


def kernels(reading: dict) -> list[str]:
    return ["shared", "fused"] if fusable(reading) else ["shared"]


def with_kernels(readings: list[dict]) -> list:
    return [
        pytest.param(reading, kernel, id=f"{name(reading)}-{kernel}")
        for reading in readings
        for kernel in kernels(reading)
    ]


def caam(delta: float = 1.0, **reading: object) -> CAAM:
    module = CAAM(**reading)
    torch.nn.init.constant_(module.delta_x, delta)
    torch.nn.init.constant_(module.delta_xt, delta)
    return module


def ssam(*args: object, alpha: float = 1.0, **kwargs: object) -> SSAM:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = SSAM(*args, **kwargs)
    torch.nn.init.constant_(module.alpha_x, alpha)
    torch.nn.init.constant_(module.alpha_xt, alpha)
    return module


def features(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.rand(*shape, generator=generator, dtype=dtype) for _ in range(2))


def real_looking(channels: int, side: int = 14, peak: float = 700.0) -> tuple[Tensor, Tensor]:
    """One pair of (1, C, side, side) ReLU maps of two complementary views, with energies up to `peak`.

    Sixteen blobs of different place and width are mixed into the channels by weights u^4 (few blobs a channel), seen
    at full strength in the shown 4 x 4-cells of the view and at a fifth in the hidden ones, plus noise of 0.4, minus
    0.6, through a ReLU, times a gain e^n a channel with n normal (loud and quiet channels), all scaled so that the
    largest entry of F_x F_x~^T is `peak`. 42 % of the values are positive; the softmax spreads over 1.6 channels at the
    median and over 200 of 2048 on average.
    """
    generator = torch.Generator().manual_seed(0)
    axis = torch.linspace(0, 1, side)
    centre = torch.rand(16, 2, 1, 1, generator=generator)
    width = 0.05 + 0.25 * torch.rand(16, 1, 1, generator=generator)
    distance = (axis[:, None] - centre[:, 0]) ** 2 + (axis - centre[:, 1]) ** 2
    blobs = torch.exp(-distance / (2 * width**2)).flatten(1)  # (16, N)
    mix = 3 * torch.rand(channels, 16, generator=generator) ** 4
    gain = torch.randn(channels, 1, generator=generator).exp()
    cells = (torch.rand(4, 4, generator=generator) < 0.5).float()
    hidden = cells.repeat_interleave(4, 0).repeat_interleave(4, 1)[:side, :side].flatten()
    pair = []
    for shown in (1 - hidden, hidden):
        noise = 0.4 * torch.randn(channels, side * side, generator=generator)
        pair.append(gain * (mix @ (blobs * (0.2 + 0.8 * shown)) + noise - 0.6).relu())
    factor = (peak / (pair[0] @ pair[1].T).max()).sqrt()
    return tuple((factor * f).view(1, channels, side, side) for f in pair)


def reference(f_x: Tensor, f_xt: Tensor, axis: str, scale: str = "none", invert: bool = False, share_q: bool = False):
    """Y_x and Y_x~, (B, C, N) in float64: each sum over k written out by einsum, DANet's max - E as printed there."""
    a, b = f_x.double().flatten(2), f_xt.double().flatten(2)
    n = a.shape[-1]

    def q(one: Tensor, other: Tensor) -> Tensor:
        energies = torch.einsum("bin,bjn->bij", one, other)
        if scale == "cosine":
            energies = torch.cosine_similarity(one[:, :, None], other[:, None], dim=-1)
        energies = energies / {"sqrt_n": math.sqrt(n), "n": n}.get(scale, 1)
        dim = 1 if axis == "column" else 2
        if invert:
            energies = energies.amax(dim, keepdim=True) - energies
        weights = torch.exp(energies - energies.amax(dim, keepdim=True))
        return weights / weights.sum(dim, keepdim=True)

    q_x = q(a, b)
    q_xt = q_x.transpose(1, 2) if share_q else q(b, a)
    # lambda^{ki} F^{kj} of equations 4 and 6; DANet's code has lambda^{ik}
    indices = "bik,bkn->bin" if axis == "cross" else "bki,bkn->bin"
    return torch.einsum(indices, q_x, b), torch.einsum(indices, q_xt, a)


def relative_error(output: Tensor, f: Tensor, y: Tensor) -> float:
    """|| F^c - (F + Y) || / || Y || with the reference's Y, in float64 (delta = 1)."""
    return ((output.double().flatten(2) - f.double().flatten(2) - y).norm() / y.norm()).item()


class Spy(TorchDispatchMode):
    """Counts the operations whose result has so many elements."""

    def __init__(self, elements: int) -> None:
        super().__init__()
        self.elements, self.seen = elements, []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if isinstance(result, Tensor) and result.numel() == self.elements:
            self.seen.append(func.overloadpacket.__name__)
        return result


def kept_for_backward(run) -> list[int]:
    """Elements of each tensor that `run` keeps for the backward pass."""
    kept = []

    def pack(tensor: Tensor) -> Tensor:
        kept.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        run()
    return kept


# F_x = I and F_x~ = [[ln 2, 0], [ln 3, ln 4]], one row per channel: exp(F_x F_x~^T) = [[2, 3], [1, 4]].
F_X = torch.eye(2, dtype=torch.float64).view(1, 2, 1, 2)
F_XT = torch.tensor([[LN2, 0.0], [LN3, LN4]], dtype=torch.float64).view(1, 2, 1, 2)
COLUMNS = [[2 / 3, 3 / 7], [1 / 3, 4 / 7]]  # exp(S), each column divided by its sum
COLUMNS_T = [[2 / 5, 1 / 5], [3 / 5, 4 / 5]]  # exp(S)^T, the same
ROWS = [[2 / 5, 3 / 5], [1 / 5, 4 / 5]]
ROWS_T = [[2 / 3, 1 / 3], [3 / 7, 4 / 7]]
BY_HAND = {
    # (axis, share_q): Q_x, Q_x~, Y_x in multiples of the rows of F_x~, Y_x~ in multiples of the rows of F_x
    ("column", False): (COLUMNS, COLUMNS_T, [[2 / 3, 1 / 3], [3 / 7, 4 / 7]], [[2 / 5, 3 / 5], [1 / 5, 4 / 5]]),
    ("row", False): (ROWS, ROWS_T, [[2 / 5, 1 / 5], [3 / 5, 4 / 5]], [[2 / 3, 3 / 7], [1 / 3, 4 / 7]]),
    ("cross", False): (ROWS, ROWS_T, [[2 / 5, 3 / 5], [1 / 5, 4 / 5]], [[2 / 3, 1 / 3], [3 / 7, 4 / 7]]),
    ("column", True): (COLUMNS, ROWS_T, [[2 / 3, 1 / 3], [3 / 7, 4 / 7]], [[2 / 3, 3 / 7], [1 / 3, 4 / 7]]),
    ("row", True): (ROWS, COLUMNS_T, [[2 / 5, 1 / 5], [3 / 5, 4 / 5]], [[2 / 5, 3 / 5], [1 / 5, 4 / 5]]),
    ("cross", True): (ROWS, COLUMNS_T, [[2 / 5, 3 / 5], [1 / 5, 4 / 5]], [[2 / 5, 1 / 5], [3 / 5, 4 / 5]]),
}


@pytest.mark.parametrize(("reading", "kernel"), with_kernels(PLAIN))
def test_caam_by_hand(reading: dict, kernel: str) -> None:
    q_x, q_xt, y_x, y_xt = (
        torch.tensor(rows, dtype=torch.float64) for rows in BY_HAND[reading["axis"], reading["share_q"]]
    )
    module = caam(kernel=kernel, **reading).double()
    for actual, expected in zip(module.weights(F_X, F_XT), (q_x, q_xt), strict=True):
        torch.testing.assert_close(actual[0], expected)
    with torch.no_grad():
        module.delta_x.fill_(2.0)
        module.delta_xt.fill_(-3.0)
    f_x_c, f_xt_c = module(F_X, F_XT)
    torch.testing.assert_close(f_x_c.view(2, 2), F_X.view(2, 2) + 2 * y_x @ F_XT.view(2, 2))
    torch.testing.assert_close(f_xt_c.view(2, 2), F_XT.view(2, 2) - 3 * y_xt)


@pytest.mark.parametrize(
    ("scale", "invert", "q_x"),
    [
        # energies / sqrt 2 of features whose energies are sqrt 2 times [[ln 2, ln 3], [0, ln 4]]
        ("sqrt_n", False, COLUMNS),
        ("n", False, COLUMNS),
        # exp(-S) = [[1/2, 1/3], [1, 1/4]]
        ("none", True, [[1 / 3, 4 / 7], [2 / 3, 3 / 7]]),
    ],
)
def test_caam_scale_and_invert_by_hand(scale: str, invert: bool, q_x: list) -> None:
    larger = {"none": 1, "sqrt_n": math.sqrt(2), "n": 2}[scale]
    weights, _ = CAAM(scale=scale, invert=invert).weights(F_X * larger, F_XT)
    torch.testing.assert_close(weights[0], torch.tensor(q_x, dtype=torch.float64))


def test_caam_cosine_by_hand() -> None:
    # rows (3, 4) / 5 and (0, 2) / 2 against (1, 0) and (6, 8) / 10: cosines [[.6, 1], [0, .8]]
    f_x = torch.tensor([[3.0, 4.0], [0.0, 2.0]]).view(1, 2, 1, 2)
    f_xt = torch.tensor([[1.0, 0.0], [6.0, 8.0]]).view(1, 2, 1, 2)
    weights, _ = CAAM(scale="cosine").weights(f_x, f_xt)
    first, second = 1 / (1 + math.exp(-0.6)), 1 / (1 + math.exp(-0.2))
    torch.testing.assert_close(weights[0], torch.tensor([[first, second], [1 - first, 1 - second]]))


@pytest.mark.parametrize(("reading", "kernel"), with_kernels(READINGS))
def test_caam_agrees_with_the_reference_in_every_reading(reading: dict, kernel: str) -> None:
    pair = features(2, 5, 2, 3, dtype=torch.float64)
    outputs = caam(kernel=kernel, **reading).double()(*pair)
    for output, f, y in zip(outputs, pair, reference(*pair, **reading), strict=True):
        torch.testing.assert_close(output.flatten(2), f.flatten(2) + y)


@pytest.mark.parametrize(("reading", "kernel"), with_kernels(READINGS))
def test_caam_gradients_in_every_reading(reading: dict, kernel: str) -> None:
    module = caam(0.7, kernel=kernel, **reading).double()
    f_x, f_xt = (f.requires_grad_() for f in features(1, 3, 1, 2, dtype=torch.float64))

    def run(f_x: Tensor, f_xt: Tensor, delta_x: Tensor, delta_xt: Tensor) -> tuple[Tensor, Tensor]:
        return torch.func.functional_call(module, {"delta_x": delta_x, "delta_xt": delta_xt}, (f_x, f_xt))

    assert torch.autograd.gradcheck(run, (f_x, f_xt, *module.parameters()))


@pytest.mark.parametrize("axis", ["column", "cross"])
def test_fused_and_shared_agree_in_float32_with_their_gradients(axis: str) -> None:
    results = []
    for kernel in ("fused", "shared"):
        f_x, f_xt = (f.requires_grad_() for f in real_looking(64, side=7))
        f_x_c, f_xt_c = caam(0.5, axis=axis, kernel=kernel)(f_x, f_xt)
        (f_x_c.square().sum() + 2 * f_xt_c.square().sum()).backward()
        results.append((f_x_c, f_xt_c, f_x.grad, f_xt.grad))
    for fused, shared in zip(*results, strict=True):
        assert ((fused - shared).norm() / shared.norm()).item() < 1e-4


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize(("reading", "kernel"), with_kernels(PLAIN))
def test_caam_error_at_resnet50s_size(reading: dict, kernel: str, dtype: torch.dtype) -> None:
    pair = tuple(f.to(dtype) for f in real_looking(2048))
    with torch.no_grad():
        outputs = caam(kernel=kernel, **reading)(*pair)
    for output, f, y in zip(outputs, pair, reference(*pair, **reading), strict=True):
        assert output.dtype == dtype
        assert relative_error(output, f, y) < LARGEST_ERROR[dtype]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize(("reading", "kernel"), with_kernels([{"axis": "column"}, {"axis": "row"}, {"axis": "cross"}]))
def test_caam_gradient_error_at_vggs_size(reading: dict, kernel: str, dtype: torch.dtype) -> None:
    pair = tuple(f.to(dtype) for f in real_looking(512))
    generator = torch.Generator().manual_seed(1)
    heads = [torch.randn(f.shape, generator=generator).to(dtype) for f in pair]
    low = [f.clone().requires_grad_() for f in pair]
    outputs = caam(kernel=kernel, **reading)(*low)
    torch.autograd.backward(outputs, heads)
    high = [f.double().requires_grad_() for f in pair]
    ys = reference(*high, **reading)
    torch.autograd.backward(
        [f.flatten(2) + y for f, y in zip(high, ys, strict=True)], [h.double().flatten(2) for h in heads]
    )
    for one, other in zip(low, high, strict=True):
        error = ((one.grad.double() - other.grad).norm() / other.grad.norm()).item()
        assert error < {torch.float32: 1e-3, torch.bfloat16: 2e-2}[dtype]


def test_bfloat16_energies_would_get_channels_wrong() -> None:
    """Why the energies are strict: the worst output channel, with energies rounded to bfloat16 and as they are."""
    f_x, f_xt = (f.bfloat16() for f in real_looking(512))
    y, _ = reference(f_x, f_xt, axis="column")

    def worst(output: Tensor) -> float:
        return ((output.double() - y).norm(dim=2) / y.norm(dim=2).clamp_min(1e-9)).max().item()

    rounded = (f_x.flatten(2) @ f_xt.flatten(2).mT).double().softmax(1)
    strict, _ = CAAM().weights(f_x, f_xt)
    b = f_xt.flatten(2).double()
    assert worst(rounded.mT @ b) > 0.1
    assert worst(strict.double().mT @ b) < 1e-4


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize(("reading", "kernel"), with_kernels(PLAIN))
def test_caam_has_no_nan_at_energies_of_1e5(reading: dict, kernel: str, dtype: torch.dtype) -> None:
    for invert in (False, True):
        f_x, f_xt = (f.to(dtype).requires_grad_() for f in real_looking(64, peak=1e5))
        outputs = caam(kernel=kernel, invert=invert, **reading)(f_x, f_xt)
        sum(output.sum() for output in outputs).backward()
        for tensor in (*outputs, f_x.grad, f_xt.grad):
            assert tensor.isfinite().all()


def test_the_two_attention_matrices_are_no_transposes() -> None:
    """Section 3.3 says that Q_x~ is Q_x^T. True of S; after the softmax they are far apart."""
    pair = real_looking(512)
    q_x, q_xt = CAAM().weights(*pair)
    gap = (q_xt - q_x.mT).abs().sum(dim=1).mean().item()  # of two distributions, each adding up to 1: at most 2
    assert gap > 1.2
    shared_x, shared_xt = CAAM(share_q=True).weights(*pair)
    assert torch.equal(shared_xt, shared_x.mT)
    assert torch.equal(shared_x, q_x)
    # by hand: columns of [[2, 3], [1, 4]] and of its transpose; | 2/5 - 2/3 | + | 3/5 - 3/7 | = 46 / 105
    q_x, q_xt = CAAM().weights(F_X, F_XT)
    torch.testing.assert_close((q_xt - q_x.mT).abs().sum(dim=1)[0, 0].item(), 4 / 15 + 6 / 35)


def test_weights_add_up_where_the_reading_says_so() -> None:
    pair = real_looking(64)
    one = torch.ones(1, 64)
    for axis, dim in (("column", 1), ("row", 2), ("cross", 2)):
        for q in CAAM(axis=axis).weights(*pair):
            torch.testing.assert_close(q.sum(dim=dim), one)
    # what an output channel of the row reading receives, sum over k of lambda^{ki}, is far from 1
    received = CAAM(axis="row").weights(*pair)[0].sum(dim=1)
    assert received.max() > 3
    assert received.min() < 0.3


@pytest.mark.parametrize("axis", AXES)
def test_exchanging_the_views_exchanges_the_outputs(axis: str) -> None:
    f_x, f_xt = features(2, 6, 3, 3)
    one, other = caam(axis=axis)(f_x, f_xt), caam(axis=axis)(f_xt, f_x)
    torch.testing.assert_close(one[0], other[1])
    torch.testing.assert_close(one[1], other[0])


@pytest.mark.parametrize(("reading", "kernel"), with_kernels(PLAIN))
def test_caam_moves_with_the_pixels_and_sees_each_image_alone(reading: dict, kernel: str) -> None:
    f_x, f_xt = features(2, 6, 3, 3)
    module = caam(kernel=kernel, **reading)
    whole = module(f_x, f_xt)
    flipped = module(f_x.flip(3), f_xt.flip(3))
    second = module(f_x[1:], f_xt[1:])
    for a, b, c in zip(whole, flipped, second, strict=True):
        torch.testing.assert_close(a.flip(3), b)
        torch.testing.assert_close(a[1:], c)


@pytest.mark.parametrize(("reading", "kernel"), with_kernels(PLAIN))
@pytest.mark.parametrize("side", [(4, 4), (3, 5)], ids=["16", "15"])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=["rows", "channels_last"])
def test_caam_keeps_no_channel_matrix_for_the_backward_pass(reading: dict, kernel: str, side: tuple, layout) -> None:
    batch, channels = 2, 64  # C * C = 4096 elements an image, C * N at most 1024
    f_x, f_xt = (f.to(memory_format=layout).requires_grad_() for f in features(batch, channels, *side))
    module = caam(kernel=kernel, **reading)
    kept = kept_for_backward(lambda: module(f_x, f_xt))
    assert kept
    assert max(kept) <= batch * channels * side[0] * side[1]


def test_the_test_above_would_see_a_channel_matrix() -> None:
    a, b = (f.flatten(2).requires_grad_() for f in features(2, 64, 4, 4))
    assert max(kept_for_backward(lambda: CAAM()._shared(a, b))) == 2 * 64 * 64


@pytest.mark.parametrize("reading", PLAIN, ids=name)
def test_shared_computes_the_energies_once(reading: dict) -> None:
    pair = features(2, 64, 4, 4)
    with torch.no_grad(), Spy(2 * 64 * 64) as spy:
        CAAM(kernel="shared", **reading)(*pair)
    assert spy.seen.count("bmm") == 1
    assert spy.seen.count("_softmax") == (1 if reading["share_q"] else 2)


@pytest.mark.parametrize("reading", PLAIN, ids=name)
def test_auto_takes_the_fused_kernel_where_it_can(reading: dict) -> None:
    with torch.no_grad(), Spy(2 * 64 * 64) as spy:
        CAAM(**reading)(*features(2, 64, 4, 4))
    assert (spy.seen == []) == fusable(reading)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("axis", ["column", "cross"])
def test_on_a_gpu_auto_takes_a_fused_kernel_that_is_as_exact_and_keeps_no_channel_matrix(axis: str) -> None:
    low = [f.to("cuda", torch.bfloat16).requires_grad_() for f in real_looking(2048)]
    module = caam(axis=axis).cuda()
    with Spy(2048 * 2048) as spy:
        with torch.autocast("cuda", torch.bfloat16):
            outputs = module(*low)
        sum(output.float().sum() for output in outputs).backward()
    assert spy.seen == []
    high = [f.detach().cpu().double().requires_grad_() for f in low]
    ys = reference(*high, axis=axis)
    for output, f, y in zip(outputs, high, ys, strict=True):
        assert relative_error(output.cpu(), f, y) < LARGEST_ERROR[torch.bfloat16]
    sum((f.flatten(2) + y).sum() for f, y in zip(high, ys, strict=True)).backward()
    for f, g in zip(low, high, strict=True):
        assert ((f.grad.cpu() - g.grad).norm() / g.grad.norm()).item() < 2e-2


@pytest.mark.parametrize("kernel", ["fused", "shared"])
def test_caam_is_as_strict_under_autocast_and_fast_float32(kernel: str) -> None:
    pair = real_looking(256)
    module = caam(kernel=kernel)
    before = torch.get_float32_matmul_precision()
    with torch.no_grad():
        expected = module(*pair)
        try:
            torch.set_float32_matmul_precision("medium")
            with torch.autocast("cpu", torch.bfloat16):
                actual = module(*pair)
            assert torch.get_float32_matmul_precision() == "medium"
        finally:
            torch.set_float32_matmul_precision(before)
    for one, other in zip(actual, expected, strict=True):
        assert one.dtype == torch.float32
        assert torch.equal(one, other)


def test_the_backward_pass_computes_the_same_energies_under_fast_float32() -> None:
    """Computed again in the backward pass, other energies than the forward pass's would give a wrong gradient."""
    seen = []

    class Watch(CAAM):
        def _weights(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
            seen.append((torch.backends.mkldnn.matmul.fp32_precision, torch.is_autocast_enabled("cpu")))
            return super()._weights(a, b)

    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium")
        with torch.autocast("cpu", torch.bfloat16):
            outputs = Watch(kernel="shared")(*(f.requires_grad_() for f in features(1, 8, 2, 2)))
        sum(output.sum() for output in outputs).backward()
    finally:
        torch.set_float32_matmul_precision(before)
    assert seen == [("ieee", False)] * 2


def test_dead_channels_give_no_nan_and_no_huge_gradient() -> None:
    f_x, f_xt = (f.clone() for f in features(1, 8, 3, 3))
    f_x[:, 2] = 0
    f_xt[:, 5] = 0
    for reading in READINGS:
        a, b = f_x.clone().requires_grad_(), f_xt.clone().requires_grad_()
        outputs = caam(**reading)(a, b)
        sum(output.square().sum() for output in outputs).backward()
        for grad in (a.grad, b.grad):
            assert grad.abs().max() < 1e4


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize(("reading", "kernel"), with_kernels(PLAIN))
def test_caam_at_delta_0_is_the_identity(reading: dict, kernel: str, dtype: torch.dtype) -> None:
    pair = tuple(f.to(dtype) for f in real_looking(64))
    module = CAAM(kernel=kernel, **reading)
    for output, f in zip(module(*pair), pair, strict=True):
        assert output.dtype == dtype
        assert torch.equal(output, f)
    assert [tuple(parameter.shape) for parameter in module.parameters()] == [(), ()]


def test_caam_mistakes_are_named() -> None:
    with pytest.raises(UserError, match="unknown CAAM axis 'colum': did you mean 'column'"):
        CAAM(axis="colum")
    with pytest.raises(UserError, match="unknown CAAM scale 'sqrtn': did you mean 'sqrt_n'"):
        CAAM(scale="sqrtn")
    with pytest.raises(UserError, match="unknown CAAM kernel 'flash'"):
        CAAM(kernel="flash")
    with pytest.raises(UserError, match="kernel 'fused' cannot compute axis 'row'"):
        CAAM(axis="row", kernel="fused")
    with pytest.raises(UserError, match="kernel 'fused' cannot compute share_q"):
        CAAM(share_q=True, kernel="fused")
    with pytest.raises(
        UserError, match=r"CAAM: features \(1, 4, 2, 2\) and \(1, 4, 2, 3\) must both be \(B, C, H, W\)"
    ):
        CAAM()(torch.rand(1, 4, 2, 2), torch.rand(1, 4, 2, 3))


def ssam_reference(module: SSAM, f: Tensor, branch: int = 0) -> Tensor:
    """R of equation 7, (B, C, N) in float64, one einsum an operation."""
    attention = module.attention[branch % len(module.attention)]
    m, l, p = (  # noqa: E741
        torch.einsum("oc,bcn->bon", conv.weight.double()[:, :, 0, 0], f.double().flatten(2))
        + conv.bias.double()[:, None]
        for conv in (attention.m, attention.l, attention.p)
    )
    energies = torch.einsum("bci,bcj->bij", m, l)
    weights = torch.exp(energies - energies.amax(2, keepdim=True))
    return torch.einsum("bcj,bij->bci", p, weights / weights.sum(2, keepdim=True))


def test_ssam_by_hand() -> None:
    # M = (1, 0) and L = (ln 2, ln 3) are the two channels, P is the input:
    # exp(M^T L) = [[2, 3], [1, 1]], K = [[2/5, 3/5], [1/2, 1/2]]
    module = ssam(2, reduction=2).double()
    with torch.no_grad():
        for conv, weight in (("m", [[1.0, 0.0]]), ("l", [[0.0, 1.0]]), ("p", [[1.0, 0.0], [0.0, 1.0]])):
            conv = getattr(module.attention[0], conv)
            conv.weight.copy_(torch.tensor(weight).view(-1, 2, 1, 1))
            conv.bias.zero_()
        module.alpha_x.fill_(2.0)
        module.alpha_xt.fill_(-1.0)
    f = torch.tensor([[1.0, 0.0], [LN2, LN3]], dtype=torch.float64).view(1, 2, 1, 2)
    k = torch.tensor([[2 / 5, 3 / 5], [1 / 2, 1 / 2]], dtype=torch.float64)
    torch.testing.assert_close(module.weights(f)[0], k)
    r = torch.tensor([[2 / 5, 1 / 2], [2 / 5 * LN2 + 3 / 5 * LN3, (LN2 + LN3) / 2]], dtype=torch.float64)
    f_x_s, f_xt_s = module(f, f)
    torch.testing.assert_close(f_x_s.view(2, 2), f.view(2, 2) + 2 * r)
    torch.testing.assert_close(f_xt_s.view(2, 2), f.view(2, 2) - r)


@pytest.mark.parametrize("shared", [True, False])
def test_ssam_gradients(shared: bool) -> None:
    module = ssam(3, reduction=2, shared_convs=shared, alpha=0.7).double()
    f_x, f_xt = (f.requires_grad_() for f in features(1, 3, 1, 2, dtype=torch.float64))
    names = [name for name, _ in module.named_parameters()]

    def run(f_x: Tensor, f_xt: Tensor, *parameters: Tensor) -> tuple[Tensor, Tensor]:
        return torch.func.functional_call(module, dict(zip(names, parameters, strict=True)), (f_x, f_xt))

    assert torch.autograd.gradcheck(run, (f_x, f_xt, *module.parameters()))


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
def test_ssam_error_at_resnet50s_size(shared: bool, dtype: torch.dtype) -> None:
    module = ssam(2048, shared_convs=shared)
    pair = tuple(f.to(dtype) for f in real_looking(2048))
    with torch.no_grad():
        # untrained weights give energies of about 1; tenfold M and L give the hundreds of a sharp attention
        for attention in module.attention:
            attention.m.weight.mul_(10)
            attention.l.weight.mul_(10)
        outputs = module(*pair)
        expected = [ssam_reference(module, f, branch) for branch, f in enumerate(pair)]
    for output, f, r in zip(outputs, pair, expected, strict=True):
        assert output.dtype == dtype
        assert relative_error(output, f, r) < LARGEST_ERROR[dtype]


@pytest.mark.parametrize("shared", [True, False])
def test_ssam_has_no_nan_at_energies_of_1e5(shared: bool) -> None:
    module = ssam(64, shared_convs=shared)
    f_x, f_xt = (1e3 * f for f in real_looking(64))
    f_x.requires_grad_(), f_xt.requires_grad_()
    with torch.no_grad():
        attention = module.attention[0]
        assert torch.einsum("bcij,bckl->bijkl", attention.m(f_x), attention.l(f_x)).abs().max() > 1e5
    outputs = module(f_x, f_xt)
    sum(output.sum() for output in outputs).backward()
    for tensor in (*outputs, f_x.grad, f_xt.grad, *(parameter.grad for parameter in module.parameters())):
        assert tensor.isfinite().all()


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=["rows", "channels_last"])
def test_ssam_keeps_no_place_matrix_for_the_backward_pass(shared: bool, layout) -> None:
    batch, channels, side = 2, 16, 16  # N * N = 65,536 elements an image, C * N = 4096
    f_x, f_xt = (f.to(memory_format=layout).requires_grad_() for f in features(batch, channels, side, side))
    module = ssam(channels, shared_convs=shared)
    kept = kept_for_backward(lambda: module(f_x, f_xt))
    assert kept
    assert max(kept) <= 2 * batch * channels * side**2


def test_ssam_shares_its_convolutions_by_default_and_never_its_alphas() -> None:
    def parameters(module: SSAM) -> int:
        return sum(parameter.numel() for parameter in module.parameters())

    convs = 2 * (64 * 8 + 8) + 64 * 64 + 64
    assert parameters(SSAM(64)) == convs + 2
    assert parameters(SSAM(64, shared_convs=False)) == 2 * convs + 2
    assert parameters(SSAM(64, reduction=4)) == 2 * (64 * 16 + 16) + 64 * 64 + 64 + 2
    f, _ = features(2, 16, 3, 3)
    same, different = ssam(16), ssam(16, shared_convs=False)
    assert torch.equal(*same(f, f))
    assert torch.equal(same.weights(f, branch=1), same.weights(f))
    assert not torch.allclose(*different(f, f))
    assert not torch.allclose(different.weights(f, branch=1), different.weights(f))


def test_ssam_rows_of_k_add_up_to_1_and_r_averages_p() -> None:
    module = ssam(16)
    f, _ = features(2, 16, 3, 3)
    k = module.weights(f)
    torch.testing.assert_close(k.sum(dim=2), torch.ones(2, 9))
    with torch.no_grad():
        p = module.attention[0].p(f).flatten(2)
        r = (module(f, f)[0] - f).flatten(2)
    assert (r <= p.amax(2, keepdim=True) + 1e-5).all()
    assert (r >= p.amin(2, keepdim=True) - 1e-5).all()


@pytest.mark.parametrize("shared", [True, False])
def test_ssam_sees_each_view_and_each_image_alone(shared: bool) -> None:
    f_x, f_xt = features(2, 16, 3, 3)
    module = ssam(16, shared_convs=shared)
    whole, changed = module(f_x, f_xt), module(f_x, torch.cat((f_xt[:1], 5 * f_xt[1:])))
    torch.testing.assert_close(whole[0], changed[0])
    torch.testing.assert_close(whole[1][0], changed[1][0])
    assert not torch.allclose(whole[1][1], changed[1][1])


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_ssam_at_alpha_0_is_the_identity(shared: bool, dtype: torch.dtype) -> None:
    pair = tuple(f.to(dtype) for f in real_looking(64))
    with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
        outputs = SSAM(64, shared_convs=shared)(*pair)
    for output, f in zip(outputs, pair, strict=True):
        assert output.dtype == dtype
        assert torch.equal(output, f)


def test_ssam_takes_whole_modules_in_bfloat16() -> None:
    module = ssam(16).bfloat16()
    f_x, f_xt = (f.bfloat16() for f in features(2, 16, 3, 3))
    for output, f in zip(module(f_x, f_xt), (f_x, f_xt), strict=True):
        assert output.dtype == torch.bfloat16
        assert relative_error(output, f, ssam_reference(module, f)) < 2e-2


def test_ssam_mistakes_are_named() -> None:
    with pytest.raises(UserError, match=r"SSAM reduction: 8 is outside 1..4, the number of channels"):
        SSAM(4)
    with pytest.raises(UserError, match=r"SSAM reduction: 0 is outside 1..16"):
        SSAM(16, reduction=0)
    with pytest.raises(UserError, match=r"SSAM: features \(2, 4, 2, 2\) and \(1, 4, 2, 2\) must both be"):
        SSAM(4, reduction=2)(torch.rand(2, 4, 2, 2), torch.rand(1, 4, 2, 2))
