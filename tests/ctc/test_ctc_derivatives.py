"""Derivatives of every order and mode, checked numerically, with respect to what is passed."""

import pytest
import torch
from ctc_oracle import random_log_probs
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from karussell.ctc import ctc_loss

TARGETS, FRAMES = [[1, 1], [2], [], [3, 1, 2]], [5, 3, 4, 4]
CASES = [
    ("cpp", {}),
    ("cpp", {"given": "logits"}),
    ("cpp", {"entropy": 0.3}),
    ("cpp", {"entropy": 0.3, "smoothing": 0.1, "given": "logits"}),
    ("cpp", {"paths": "best"}),
    ("vendor", {}),
    ("vendor", {"given": "logits"}),
    ("reference", {}),
    ("reference", {"given": "logits", "entropy": 0.3}),
    ("reference", {"paths": "best"}),
]


def x() -> Tensor:
    return random_log_probs(5, 4, 4, seed=7)


def losses(x: Tensor, engine: str = "auto", **given) -> Tensor:
    return ctc_loss(x, TARGETS, FRAMES, reduction="none", engine=engine, **given)


@pytest.mark.parametrize(("engine", "given"), CASES, ids=str)
def test_first_and_second_derivative(engine, given):
    def f(x):
        return losses(x, engine, **given)

    assert gradcheck(f, x().requires_grad_())
    assert gradgradcheck(f, x().requires_grad_())


def test_raw_log_probabilities_need_no_softmax_before_them():
    """In all frames but the first the sum may be anything; torch's own gradient is wrong here."""
    y = x()
    y[1:] += torch.linspace(-1, 1, 4)[None, :, None]
    assert gradcheck(lambda x: losses(x, "cpp"), y.requires_grad_())
    assert gradgradcheck(lambda x: losses(x, "cpp"), y)


def test_third_derivative():
    y = x()[:3, :2].requires_grad_()

    def f(x):
        found = ctc_loss(x, [[1, 2], [3]], [3, 3], reduction="none", engine="cpp")
        (gradient,) = torch.autograd.grad((found**2).sum(), x, create_graph=True)
        return gradient

    assert gradgradcheck(f, y)


@pytest.mark.parametrize("given", [{}, {"given": "logits"}, {"entropy": 0.3}, {"paths": "best"}], ids=str)
def test_forward_mode(given):
    assert gradcheck(lambda x: losses(x, **given), x().requires_grad_(), check_forward_ad=True, check_backward_ad=False)
    v = random_log_probs(5, 4, 4, seed=8)
    value, tangent = torch.func.jvp(lambda x: losses(x, **given), (x(),), (v,))
    y = x().requires_grad_()
    torch.testing.assert_close(value, losses(y, **given).detach())
    gradient = torch.autograd.functional.jacobian(lambda x: losses(x, **given), y)
    torch.testing.assert_close(tangent, torch.einsum("bsrk,srk->b", gradient, v))


def test_hessian_by_functorch_is_that_of_the_kernels():
    def f(x):
        return losses(x, given="logits").sum()

    ours = torch.autograd.functional.hessian(lambda x: losses(x, "cpp", given="logits").sum(), x())
    torch.testing.assert_close(torch.func.hessian(f)(x()), ours)


def test_vmap_adds_a_dimension():
    several = torch.stack([random_log_probs(5, 4, 4, seed=s) for s in range(3)])
    found = torch.func.vmap(losses)(several)
    torch.testing.assert_close(found, torch.stack([losses(x) for x in several]))


def test_second_derivative_in_float32_is_that_of_float64():
    y = random_log_probs(80, 2, 10, scale=4.0)
    v = torch.randn(80, 2, 10, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    targets = [[1, 2, 2, 5, 6, 7, 8, 1, 3], [9, 9, 9]]

    def product(x: Tensor) -> Tensor:
        x = x.requires_grad_()
        total = ctc_loss(x, targets, [80, 61], reduction="sum", engine="cpp")
        (gradient,) = torch.autograd.grad(total, x, create_graph=True)
        return torch.autograd.grad(gradient, x, v.to(x.dtype))[0]

    torch.testing.assert_close(product(y.float()).double(), product(y.clone()), rtol=0, atol=2e-4)


def test_gradient_of_an_impossible_row_is_zero_in_every_order():
    y = x().requires_grad_()
    total = ctc_loss(y, [[1, 1, 1], [2], [], [1]], FRAMES, reduction="sum", impossible="zero", given="logits")
    assert total.isfinite()
    total = ctc_loss(y, [[1, 1, 1], [2], [], [1]], [4, 3, 4, 4], reduction="sum", impossible="zero", given="logits")
    (first,) = torch.autograd.grad(total, y, create_graph=True)
    (second,) = torch.autograd.grad((first**2).sum(), y)
    assert not first[:, 0].any()
    assert not second[:, 0].any()
    assert second[:3, 1].any()


def test_compiled_models_break_here_and_go_on():
    def f(x):
        return losses(torch.tanh(x).log_softmax(-1)).sum() * 2

    torch._dynamo.reset()
    y = x().requires_grad_()
    found = torch.compile(f, backend="eager")(y)
    torch.testing.assert_close(found, f(y))
    torch.testing.assert_close(*(torch.autograd.grad(v, y)[0] for v in (found, f(y))))
