"""Every engine against enumeration of all paths, and against each other where there are too many."""

import warnings

import pytest
import torch
from ctc_oracle import enumerate_paths, random_log_probs
from torch import Tensor
from torch.nn import functional

from karussell.ctc import ctc_loss, ctc_loss_rows
from karussell.ctc import engine as engines
from karussell.ctc.gradient import compiled
from karussell.ctc.kernel import Task, forward, source
from karussell.errors import EngineError, InputError
from karussell.native import why_not

ENGINES = ("cpp", "vendor", "reference")
EXACT = 1e-11
# torch's kernel adds logarithms, which near -100 have steps of 8e-6 in float32; ours has no such steps
FLOAT32 = {"cpp": 1e-6, "vendor": 1e-4}


def ragged(frames: int, batch: int, classes: int, longest: int, blank: int = 0, seed: int = 0) -> dict:
    """Random targets and lengths; some rows are impossible, one has no label, one no frame."""
    generator = torch.Generator().manual_seed(seed)
    labels = [k for k in range(classes) if k != blank]
    lengths = torch.randint(0, longest + 1, (batch,), generator=generator).tolist()
    targets = [[labels[i] for i in torch.randint(0, len(labels), (n,), generator=generator)] for n in lengths]
    steps = torch.randint(max(1, frames // 2), frames + 1, (batch,), generator=generator).tolist()
    if batch > 2:
        targets[0], steps[1] = [], 0
    return {"targets": targets, "input_lengths": steps, "blank": blank, "impossible": "zero"}


def value_and_gradient(x: Tensor, **given) -> tuple[Tensor, Tensor]:
    x = x.detach().requires_grad_()
    losses = ctc_loss(x, reduction="none", **given)
    weights = torch.linspace(0.5, 2, len(losses), dtype=losses.dtype)
    return losses.detach(), torch.autograd.grad((losses * weights).sum(), x)[0]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("blank", [0, 2])
@pytest.mark.parametrize(("frames", "classes"), [(1, 4), (2, 4), (3, 3), (5, 4), (6, 3), (6, 4)])
def test_value_and_true_gradient_of_every_target_equal_enumeration(engine, blank, frames, classes):
    lp = random_log_probs(frames, 1, classes, seed=frames)
    oracle = enumerate_paths(lp[:, 0], blank)
    count = len(oracle.targets)
    x = lp.expand(-1, count, -1).requires_grad_()
    losses = ctc_loss(x, oracle.targets, [frames] * count, blank=blank, reduction="none", engine=engine)
    (gradient,) = torch.autograd.grad(losses.sum(), x)
    torch.testing.assert_close(losses.detach(), oracle.losses, rtol=0, atol=EXACT)
    torch.testing.assert_close(gradient, -oracle.occupancies.transpose(0, 1), rtol=0, atol=EXACT)


@pytest.mark.parametrize("engine", ["cpp", "reference"])
@pytest.mark.parametrize(("frames", "classes"), [(1, 3), (4, 4), (6, 4)])
def test_best_path_and_entropy_equal_enumeration(engine, frames, classes):
    lp = random_log_probs(frames, 1, classes, seed=3)
    oracle = enumerate_paths(lp[:, 0], 0)
    count = len(oracle.targets)
    x = lp.expand(-1, count, -1).requires_grad_()
    given = {"targets": oracle.targets, "input_lengths": [frames] * count, "reduction": "none", "engine": engine}
    best = ctc_loss(x, paths="best", **given)
    torch.testing.assert_close(best.detach(), oracle.best, rtol=0, atol=EXACT)
    (gradient,) = torch.autograd.grad(best.sum(), x)
    torch.testing.assert_close(gradient, -oracle.best_occupancies.transpose(0, 1), rtol=0, atol=EXACT)
    with_entropy = ctc_loss(x, entropy=0.3, **given)
    torch.testing.assert_close(with_entropy.detach(), oracle.losses - 0.3 * oracle.entropies, rtol=0, atol=EXACT)


@pytest.mark.parametrize("engine", ["cpp", "vendor"])
@pytest.mark.parametrize("given", ["log_probs", "logits"])
@pytest.mark.parametrize("size", [(1, 1, 2, 1), (2, 3, 3, 2), (17, 4, 5, 7), (40, 5, 6, 15), (64, 6, 28, 33)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_engines_agree_with_the_float64_reference(engine, given, size, dtype):
    frames, batch, classes, longest = size
    for seed, blank in ((0, 0), (1, classes - 1)):
        problem = ragged(frames, batch, classes, longest, blank, seed)
        x = random_log_probs(frames, batch, classes, seed).to(dtype)
        x = x + 3 if given == "logits" else x
        losses, gradient = value_and_gradient(x, **problem, given=given, engine=engine)
        expected, truth = value_and_gradient(x.double(), **problem, given=given, engine="reference")
        tolerance = EXACT if dtype == torch.float64 else FLOAT32[engine]
        torch.testing.assert_close(losses.double(), expected, rtol=tolerance, atol=tolerance)
        torch.testing.assert_close(gradient.double(), truth, rtol=0, atol=5 * tolerance)


@pytest.mark.parametrize("paths", ["all", "best"])
@pytest.mark.parametrize("entropy", [0.0, 0.2])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_terms_agree_with_the_reference(paths, entropy, smoothing):
    if paths == "best" and entropy:
        return
    problem = ragged(20, 5, 5, 8) | {"paths": paths, "entropy": entropy, "smoothing": smoothing}
    for given in ("log_probs", "logits"):
        x = random_log_probs(20, 5, 5)
        x[:, 3, 4] = -torch.inf
        x = x.log_softmax(-1) if given == "log_probs" else x
        ours = value_and_gradient(x, **problem, given=given, engine="cpp")
        theirs = value_and_gradient(x, **problem, given=given, engine="reference")
        for a, b in zip(ours, theirs, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-10, atol=EXACT)


def test_smoothing_is_its_equation():
    lp = random_log_probs(5, 2, 4)
    targets, frames = [[1, 2], [3]], [5, 3]
    plain = ctc_loss(lp, targets, frames, reduction="none")
    smooth = ctc_loss(lp, targets, frames, reduction="none", smoothing=0.25)
    y = lp.exp()
    divergence = torch.stack([(y[:n, b] * (y[:n, b] * 4).log()).sum() for b, n in enumerate(frames)])
    torch.testing.assert_close(smooth, 0.75 * plain + 0.25 * divergence)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-6), (torch.float64, 1e-11)])
def test_torchs_loss_to_rounding(dtype, tolerance):
    """Against torch in float64; in float32 its own gradient is off by 4e-4 here."""
    z = random_log_probs(150, 8, 28)
    targets = torch.randint(1, 28, (8, 40), generator=torch.Generator().manual_seed(1))
    frames, lengths = torch.full((8,), 150), torch.full((8,), 40)
    x = z.clone().requires_grad_()
    theirs = functional.ctc_loss(x.log_softmax(-1), targets, frames, lengths, reduction="none")
    y = z.to(dtype).requires_grad_()
    ours = ctc_loss(y.log_softmax(-1), targets, frames, lengths, reduction="none", engine="cpp")
    torch.testing.assert_close(ours.double(), theirs, rtol=tolerance, atol=0)
    (gradient,), (truth,) = torch.autograd.grad(ours.sum(), y), torch.autograd.grad(theirs.sum(), x)
    torch.testing.assert_close(gradient.double(), truth, rtol=0, atol=tolerance)


@pytest.mark.parametrize("given", ["log_probs", "logits"])
def test_input_is_read_where_it_lies(given):
    problem = ragged(12, 4, 6, 4)
    x = random_log_probs(12, 4, 6).float()
    expected = value_and_gradient(x, **problem, given=given, engine="cpp")
    wide = torch.full((4, 12, 13), 99.0)
    wide[:, :, 1::2] = x.transpose(0, 1)
    strided = wide[:, :, 1::2].transpose(0, 1)
    assert not strided.is_contiguous()
    for a, b in zip(value_and_gradient(strided, **problem, given=given, engine="cpp"), expected, strict=True):
        assert torch.equal(a, b)
    same = x[:, :1].expand(-1, 4, -1)
    ours = value_and_gradient(same, **problem, given=given, engine="cpp")
    for a, b in zip(ours, value_and_gradient(same.contiguous(), **problem, given=given, engine="cpp"), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_nothing_underflows(dtype):
    """2,000 frames that are sure of the wrong label: every path has a probability near e^-40000."""
    frames = 2000
    logits = torch.zeros(frames, 2, 5, dtype=dtype)
    logits[..., 4] = 20
    logits[: frames // 2, 1, 4] = 60
    lp = logits.log_softmax(-1)
    losses, gradient = value_and_gradient(lp, targets=[[1, 2, 3]] * 2, input_lengths=[frames] * 2, engine="cpp")
    exact = functional.ctc_loss(lp.double(), torch.tensor([[1, 2, 3]] * 2), [frames] * 2, [3, 3], reduction="none")
    torch.testing.assert_close(losses.double(), exact, rtol=1e-6, atol=0)
    assert float(losses[0]) > 18 * frames
    torch.testing.assert_close(-gradient.sum(-1), torch.tensor([0.5, 2.0], dtype=dtype).expand(frames, -1))


def test_a_nan_stays_in_its_row():
    x = random_log_probs(6, 3, 4)
    x[2, 1, 0] = torch.nan
    for engine in ENGINES:
        losses, gradient = value_and_gradient(x, targets=[[1], [2], [3]], input_lengths=[6] * 3, engine=engine)
        assert losses.isnan().tolist() == [False, True, False]
        assert gradient[:, 1].isnan().any()
        assert gradient[:, [0, 2]].isfinite().all()


def test_number_of_threads_changes_no_bit():
    problem = ragged(60, 24, 12, 20)
    x = random_log_probs(60, 24, 12).float()
    before = torch.get_num_threads()
    found = []
    for count in (1, 3):
        torch.set_num_threads(count)
        found.append(value_and_gradient(x, **problem, given="logits", engine="cpp", entropy=0.1))
    torch.set_num_threads(before)
    assert torch.equal(found[0][0], found[1][0])
    assert torch.equal(found[0][1], found[1][1])


def test_without_gradient_nothing_is_kept():
    task = Task(torch.tensor([1, 2]), torch.tensor([5]), torch.tensor([2]), 2, 0)
    x = random_log_probs(5, 1, 4)
    assert forward(x, task, keep=False).occupancy is None
    assert torch.equal(compiled(x, task).losses, compiled(x.clone().requires_grad_(), task).losses.detach())


class TestChoice:
    def test_auto_is_compiled_here(self):
        chosen = engines.settle("auto", random_log_probs(5, 1, 4), best=False, entropy=False)
        assert chosen == "cpp" or why_not(source()) is not None

    def test_without_compiler_torch_serves_and_says_so_once(self, monkeypatch):
        engines._warn.cache_clear()
        monkeypatch.setattr(engines, "why_not", lambda source: "there is no C++ compiler here")
        problem = ragged(12, 4, 6, 4)
        x = random_log_probs(12, 4, 6)
        with pytest.warns(RuntimeWarning, match="compiled CTC loss cannot run.*no C.. compiler"):
            ours = value_and_gradient(x, **problem)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert torch.equal(value_and_gradient(x, **problem)[0], ours[0])
            value_and_gradient(x, **problem, entropy=0.1)
        for a, b in zip(ours, value_and_gradient(x, **problem, engine="reference"), strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=EXACT)
        with pytest.raises(EngineError, match="engine 'cpp' was forced, but there is no C"):
            ctc_loss(x, **problem, engine="cpp")

    def test_what_cannot_be_forced(self):
        x = random_log_probs(5, 1, 4)
        with pytest.raises(EngineError, match="engine 'vendor' was forced, but it has neither the best path"):
            ctc_loss(x, [[1]], [5], paths="best", engine="vendor")
        with pytest.raises(EngineError, match="engine 'cpp' was forced, but it computes on the CPU, not on meta"):
            engines.settle("cpp", x.to("meta"), best=False, entropy=False)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"given": "probabilities"}, "given is 'probabilities'"),
        ({"paths": "some"}, "paths is 'some'"),
        ({"smoothing": 1.5}, "smoothing is 1.5"),
        ({"entropy": 0.1, "paths": "best"}, "one path alone has none"),
        ({"engine": "cuda"}, "engine is 'cuda'"),
    ],
)
def test_options_are_refused_in_a_sentence(change, sentence):
    with pytest.raises(InputError, match=sentence):
        ctc_loss_rows(random_log_probs(5, 1, 4), [[1]], [5], **change)


def work_in_a_child(connection, x, problem):
    connection.send([v.tolist() for v in value_and_gradient(x, **problem, engine="cpp")])


def test_a_forked_child_computes_the_same():
    import multiprocessing

    if "fork" not in multiprocessing.get_all_start_methods():
        pytest.skip("this system cannot fork")
    problem, x = ragged(60, 24, 12, 20), random_log_probs(60, 24, 12)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    expected = [v.tolist() for v in value_and_gradient(x, **problem, engine="cpp")]
    torch.set_num_threads(before)
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = context.Process(target=work_in_a_child, args=(theirs, x, problem))
        child.start()
    assert ours.poll(60)
    assert ours.recv() == expected
    child.join(10)
