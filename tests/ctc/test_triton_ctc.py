"""The CTC loss of CUDA devices against enumeration and the float64 reference; interpreted where there is no device."""

import pytest
import torch
from ctc_oracle import enumerate_paths, random_log_probs

from karussell.ctc import ctc_loss, ctc_loss_rows
from karussell.ctc import engine as engines
from karussell.errors import EngineError
from karussell.native import triton as available

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
pytestmark = pytest.mark.skipif(
    available.why_not(DEVICE) is not None, reason=f"Triton's kernels cannot run here: {available.why_not(DEVICE)}"
)
# ten times what was measured
TOLERANCE = 3e-6


def found(x, engine, **given):
    x = x.detach().requires_grad_()
    losses = ctc_loss(x, reduction="none", engine=engine, **given)
    weights = torch.linspace(0.5, 2, len(losses), dtype=losses.dtype, device=x.device)
    return losses.detach().cpu(), torch.autograd.grad((losses * weights).sum(), x)[0].cpu()


def same(a, b):
    for ours, truth in zip(a, b, strict=True):
        assert (ours.double() - truth).abs().max() <= TOLERANCE * max(1.0, truth.abs().max())


@pytest.mark.parametrize("blank", [0, 2])
@pytest.mark.parametrize(("frames", "classes"), [(1, 4), (2, 3), (4, 3)])
def test_every_target_equals_enumeration(frames, classes, blank):
    lp = random_log_probs(frames, 1, classes, seed=frames)
    oracle = enumerate_paths(lp[:, 0], blank)
    count = len(oracle.targets)
    x = lp.float().expand(-1, count, -1).to(DEVICE)
    losses, gradient = found(x, "triton", targets=oracle.targets, input_lengths=[frames] * count, blank=blank)
    weights = torch.linspace(0.5, 2, count, dtype=torch.float64)
    same((losses, gradient), (oracle.losses, -(oracle.occupancies * weights[:, None, None]).transpose(0, 1)))


@pytest.mark.parametrize("given", ["log_probs", "logits"])
def test_ragged_rows_are_the_reference(given):
    """Repeated labels, an empty target, a row without frames, an impossible row."""
    frames, classes = 12, 20
    targets = [[3, 3, 1, 2, 3], [], [7, 8, 9, 8, 7, 19], [5] * 8, [4], []]
    steps = [12, 7, 11, 9, 12, 0]
    x = 3 * random_log_probs(frames, len(steps), classes, seed=4)
    x = x.log_softmax(-1) if given == "log_probs" else x
    case = {"targets": targets, "input_lengths": steps, "impossible": "zero", "given": given}
    got = found(x.float().to(DEVICE), "triton", **case)
    want = found(x.float().double(), "reference", **case)
    same(got, want)
    # impossible: eight times the same label needs fifteen frames
    assert got[0][3] == 0
    assert not got[1][:, 3].any()
    for b, n in enumerate(steps):
        assert not got[1][n:, b].any()


def test_many_frames_lose_nothing():
    lp = random_log_probs(200, 2, 6, seed=1)
    case = {"targets": [[1, 2, 3] * 8, [5, 4]], "input_lengths": [200, 180]}
    same(found(lp.float().to(DEVICE), "triton", **case), found(lp.float().double(), "reference", **case))


def test_what_is_not_a_number_or_infinite_stays_in_its_row():
    lp = random_log_probs(4, 3, 5).float()
    lp[2, 0, 0] = torch.nan
    lp[2, 1] = -torch.inf
    case = {"targets": [[1], [2], [3, 1]], "input_lengths": [4, 4, 4], "impossible": "zero"}
    losses, gradient = found(lp.to(DEVICE), "triton", **case)
    assert losses[0].isnan()
    assert losses[1] == 0
    assert losses[2].isfinite()
    assert gradient[:, 0].isnan().any()
    assert not gradient[:, 1].any()
    assert gradient[:, 2].isfinite().all()
    rows = ctc_loss_rows(lp.to(DEVICE), **case, engine="triton")
    assert rows.impossible.tolist() == [False, True, False]


def test_the_same_bits_every_time_and_second_derivatives():
    x = random_log_probs(5, 2, 4).float().to(DEVICE).requires_grad_()
    case = {"targets": [[1, 1], [2]], "input_lengths": [5, 4]}
    a, b = (found(x, "triton", **case) for _ in range(2))
    assert torch.equal(a[0], b[0])
    assert torch.equal(a[1], b[1])
    second = []
    for engine in ("triton", "reference"):
        (first,) = torch.autograd.grad(ctc_loss(x, **case, engine=engine), x, create_graph=True)
        second.append(torch.autograd.grad(first.square().sum(), x)[0])
    torch.testing.assert_close(*second)


def test_what_it_cannot_compute_is_refused():
    x = random_log_probs(3, 1, 3)
    case = {"targets": [[1]], "input_lengths": [3]}
    with pytest.raises(EngineError, match=r"computes in float32, not in torch\.float64"):
        ctc_loss(x.to(DEVICE), **case, engine="triton")
    with pytest.raises(EngineError, match="neither the best path"):
        ctc_loss(x.float().to(DEVICE), **case, engine="triton", paths="best")
    if DEVICE.type == "cpu":
        assert engines.settle("auto", x.float(), best=False, entropy=False) != "triton"
