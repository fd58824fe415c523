"""torch.func, forward mode and higher derivatives: the reference engine serves, and a mix that cannot work says so."""

import copy

import pytest
import torch
from torch.autograd import forward_ad
from torch.func import functional_call, grad, hessian, jacfwd, jacrev, jvp, stack_module_state, vjp, vmap
from torch.utils.checkpoint import checkpoint

from karussell import cells, nn
from karussell.errors import EngineError
from karussell.ops import Noise, watch

KINDS = {
    "lstm": lambda: nn.LSTM(3, 4, dtype=torch.float64),
    "gru": lambda: nn.GRU(3, 4, bidirectional=True, dtype=torch.float64),
    "cell": lambda: nn.Recurrent(cells.PeepholeLSTM, 3, 4, 2, dtype=torch.float64),
    "norm": lambda: nn.Recurrent(cells.GRU, 3, 4, layer_norm=True, learned_state=True, dtype=torch.float64),
}
kinds = pytest.mark.parametrize("kind", KINDS)
LENGTHS = torch.tensor([5, 2])


def double(*shape):
    return torch.randn(shape, dtype=torch.float64)


def twin(layer):
    other = copy.deepcopy(layer)
    other.engine = "reference"
    return other


def output(layer):
    return lambda x: layer(x, lengths=LENGTHS)[0]


@kinds
def test_an_ensemble_by_vmap(kind):
    layers = [KINDS[kind]() for _ in range(8)]
    weights, buffers = stack_module_state(layers)
    x, base = double(5, 2, 3), copy.deepcopy(layers[0])

    def one(w, b):
        return functional_call(base, (w, b), (x,), {"lengths": LENGTHS})[0]

    with watch() as ran:
        y = vmap(one)(weights, buffers)
        found = vmap(grad(lambda w, b: one(w, b).square().sum()))(weights, buffers)
    assert set(ran) == {"reference"}
    for k, layer in enumerate(layers):
        with watch() as ran:
            alone = output(layer)(x)
            layer.zero_grad()
            alone.square().sum().backward()
        assert "reference" not in ran
        torch.testing.assert_close(y[k], alone)
        for name, weight in layer.named_parameters():
            torch.testing.assert_close(found[name][k], weight.grad)


@kinds
def test_forward_mode(kind):
    layer = KINDS[kind]()
    x, direction = double(5, 2, 3), double(5, 2, 3)
    with watch() as ran:
        y, tangent = jvp(output(layer), (x,), (direction,))
        with forward_ad.dual_level():
            dual = output(layer)(forward_ad.make_dual(x, direction))
            again = forward_ad.unpack_dual(dual).tangent
    assert set(ran) == {"reference"}
    step = 1e-6
    slope = (output(layer)(x + step * direction) - output(layer)(x - step * direction)) / (2 * step)
    torch.testing.assert_close(tangent, slope, rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(again, tangent)
    torch.testing.assert_close(y, output(layer)(x))


def test_the_tangent_of_a_weight_flows():
    layer = KINDS["lstm"]()
    weights, x = dict(layer.named_parameters()), double(5, 2, 3)

    def of(w):
        return functional_call(layer, {**weights, "weight_hh_l0": w}, (x,))[0]

    w = weights["weight_hh_l0"].detach()
    direction = torch.randn_like(w)
    _, tangent = jvp(of, (w,), (direction,))
    _, pull = vjp(of, w)
    cotangent = torch.randn_like(tangent)
    torch.testing.assert_close((tangent * cotangent).sum(), (pull(cotangent)[0] * direction).sum())
    assert tangent.abs().sum() > 0


@kinds
def test_hessian_and_jacobians(kind):
    layer, x = KINDS[kind](), double(5, 2, 3)
    with watch() as ran:
        forwards, backwards = jacfwd(output(layer))(x), jacrev(output(layer))(x)
        found = hessian(lambda x: output(layer)(x).square().sum())(x)
    assert set(ran) == {"reference"}
    torch.testing.assert_close(forwards, backwards)
    expected = torch.autograd.functional.hessian(lambda x: output(twin(layer))(x).square().sum(), x)
    torch.testing.assert_close(found, expected)


@kinds
def test_the_compiled_forward_and_the_references_second_derivative(kind):
    layer = KINDS[kind]()
    layer.engine = "cpp"
    x = double(5, 2, 3).requires_grad_()
    with watch() as ran:
        assert torch.autograd.gradgradcheck(output(layer), [x], fast_mode=True, atol=1e-6)
    assert set(ran) == {"cpp", "reference"}


@pytest.mark.parametrize("engine", ["cpp", "vendor", "reference"])
def test_many_gradients_at_once_and_tangents_of_gradients(engine):
    layer = nn.LSTM(3, 4, 2, dtype=torch.float64, engine=engine)
    x = double(5, 2, 3).requires_grad_()
    y = layer(x)[0]
    several = double(3, *y.shape)
    expected = torch.stack([torch.autograd.grad(y, x, g, retain_graph=True)[0] for g in several])

    def pull(g):
        return torch.autograd.grad(y, x, g, retain_graph=True)[0]

    torch.testing.assert_close(
        torch.autograd.grad(y, x, several, retain_graph=True, is_grads_batched=True)[0], expected
    )
    torch.testing.assert_close(vmap(pull)(several), expected)
    with forward_ad.dual_level():
        found = forward_ad.unpack_dual(pull(forward_ad.make_dual(several[0], several[1]))).tangent
    torch.testing.assert_close(found, expected[1])


@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpointed(reentrant):
    layer = nn.LSTM(3, 4, 2, dtype=torch.float64, engine="cpp")
    x = double(5, 2, 3).requires_grad_()
    leaves = [x, *layer.parameters()]
    expected = torch.autograd.grad(layer(x)[0].square().sum(), leaves)
    checkpoint(lambda x: layer(x)[0], x, use_reentrant=reentrant).square().sum().backward()
    for leaf, value in zip(leaves, expected, strict=True):
        torch.testing.assert_close(leaf.grad, value)


def test_transforms_inside_a_compiled_graph():
    layer, x = nn.GRU(3, 4, dtype=torch.float64), double(4, 5, 2, 3)

    def both(x):
        tangent = jvp(output(layer), (x[0],), (x[1],))[1]
        return vmap(output(layer))(x), tangent, grad(lambda x: output(layer)(x).square().sum())(x[0])

    torch._dynamo.reset()
    found = torch.compile(both, backend="eager", fullgraph=True)(x)
    for a, b in zip(found, both(x), strict=True):
        torch.testing.assert_close(a, b)


def test_lengths_may_be_a_batch_of_many():
    layer, x = KINDS["lstm"](), double(5, 2, 3)
    lengths = torch.tensor([[5, 2], [1, 0], [3, 4]])
    found = vmap(lambda n: layer(x, lengths=n)[0])(lengths)
    for k, n in enumerate(lengths):
        torch.testing.assert_close(found[k], layer(x, lengths=n)[0])


@pytest.mark.parametrize("engine", ["cpp", "vendor"])
@pytest.mark.parametrize(
    "transform",
    [
        lambda f, x: vmap(f, 1)(x[:, :, None]),
        lambda f, x: jvp(f, (x,), (x,)),
        lambda f, x: grad(lambda x: f(x).sum())(x),
        lambda f, x: hessian(lambda x: f(x).sum())(x),
    ],
    ids=["vmap", "jvp", "grad", "hessian"],
)
def test_a_forced_engine_that_cannot_names_the_one_that_can(engine, transform):
    layer = nn.LSTM(3, 4, engine=engine)
    words = rf"engine '{engine}' was forced, but .*transforms. Use engine='auto' or 'reference'"
    with pytest.raises(EngineError, match=words):
        transform(lambda x: layer(x)[0], torch.randn(5, 2, 3))


def test_forward_mode_with_an_engine_that_has_none():
    layer, x = nn.LSTM(3, 4, engine="cpp"), torch.randn(5, 2, 3)
    with forward_ad.dual_level(), pytest.raises(EngineError, match=r"no forward-mode derivative\. Use engine='auto'"):
        layer(forward_ad.make_dual(x, x))


def test_masks_under_transforms_are_keyed_by_hand():
    layer = nn.Recurrent(cells.LSTM, 3, 4, zoneout=0.3, recurrent_dropout=0.2, dtype=torch.float64)
    x = double(5, 2, 3)
    for transform in (lambda f: jvp(f, (x,), (x,)), lambda f: vmap(f)(x[None]), lambda f: hessian(f)(x)):
        with pytest.raises(ValueError, match=r"transforms cannot count; give noise=Noise\(seed, step\), or call eval"):
            transform(lambda x: layer(x)[0].sum())
    assert layer.forwards == 0
    noise = Noise(3, 7)
    found = vmap(lambda x: layer(x, noise=noise)[0])(torch.stack([x, 2 * x]))
    torch.testing.assert_close(found[1], layer(2 * x, noise=noise)[0])
    layer.eval()
    torch.testing.assert_close(jvp(lambda x: layer(x)[0], (x,), (x,))[0], layer(x)[0])
