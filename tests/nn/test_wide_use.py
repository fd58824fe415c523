"""What people do to modules: threads, hooks, parametrizations, tied weights, functional calls, meta devices, copies."""

import copy
import threading

import pytest
import torch
from torch.func import functional_call
from torch.nn.utils import parametrizations, parametrize
from torch.nn.utils.rnn import pack_sequence

from karussell import cells, nn
from karussell.ops import watch

KINDS = {
    "lstm": lambda: nn.LSTM(3, 4, 2, bidirectional=True, engine="cpp"),
    "gru": lambda: nn.GRU(3, 4, 2, engine="cpp"),
    "torch": lambda: nn.LSTM(3, 4, engine="vendor"),
    "cell": lambda: nn.Recurrent(cells.PeepholeLSTM, 3, 4, 2, layer_norm=True, learned_state=True),
}
kinds = pytest.mark.parametrize("kind", KINDS)


def trained(layer, x):
    layer.zero_grad()
    layer(x)[0].square().sum().backward()
    return [p.grad.clone() for p in layer.parameters()]


@kinds
def test_replicas_in_threads(kind):
    """As DataParallel has it: replicas that share weights, a thread each, and gradients that add up."""
    layer = KINDS[kind]()
    parts = [torch.randn(7, 2, 3) for _ in range(4)]
    expected = [sum(g) for g in zip(*(trained(layer, x) for x in parts), strict=True)]
    layer.zero_grad()
    weights = dict(layer.named_parameters())
    replicas, outputs, wrong = [copy.deepcopy(layer) for _ in parts], [None] * len(parts), []

    def work(k):
        try:
            outputs[k] = functional_call(replicas[k], weights, (parts[k],))[0]
        except Exception as error:
            wrong.append(error)

    people = [threading.Thread(target=work, args=(k,)) for k in range(len(parts))]
    for p in people:
        p.start()
    for p in people:
        p.join()
    assert not wrong
    sum(y.square().sum() for y in outputs).backward()
    for p, g in zip(layer.parameters(), expected, strict=True):
        torch.testing.assert_close(p.grad, g)


@kinds
def test_one_layer_called_and_differentiated_in_many_threads(kind):
    layer = KINDS[kind]()
    parts = [torch.randn(7, 2, 3) for _ in range(4)]
    leaves = list(layer.parameters())
    expected = [torch.autograd.grad(layer(x)[0].square().sum(), leaves) for x in parts]
    found = {}

    def work(k):
        found[k] = torch.autograd.grad(layer(parts[k])[0].square().sum(), leaves)

    people = [threading.Thread(target=work, args=(k,)) for k in range(len(parts))]
    for p in people:
        p.start()
    for p in people:
        p.join()
    for k, grads in enumerate(expected):
        for a, b in zip(found[k], grads, strict=True):
            torch.testing.assert_close(a, b)


@kinds
def test_hooks_see_gradients_and_change_them(kind):
    layer, x = KINDS[kind](), torch.randn(5, 2, 3, requires_grad=True)
    expected = trained(layer, x)
    weights, seen = list(layer.parameters()), []
    handles = [w.register_hook(lambda g: 2 * g) for w in weights]
    handles += [w.register_post_accumulate_grad_hook(lambda w: seen.append(w.grad.norm())) for w in weights]
    for a, b in zip(trained(layer, x), expected, strict=True):
        torch.testing.assert_close(a, 2 * b)
    assert len(seen) == len(weights)
    for handle in handles:
        handle.remove()
    calls = []
    layer.register_forward_pre_hook(lambda module, args: calls.append("before"))
    layer.register_forward_hook(lambda module, args, result: calls.append("after"))
    layer.register_full_backward_hook(lambda module, given, taken: calls.append("backward"))
    for a, b in zip(trained(layer, x), expected, strict=True):
        torch.testing.assert_close(a, b)
    assert calls == ["before", "after", "backward"]


def matrix(layer):
    """The module and the name of a recurrent matrix."""
    return (layer.layers[0], "r") if isinstance(layer, nn.Recurrent) else (layer, "weight_hh_l0")


@kinds
def test_parametrizations(kind):
    layer, x = KINDS[kind](), torch.randn(5, 2, 3)
    owner, name = matrix(layer)
    parametrizations.orthogonal(owner, name)
    r = getattr(owner, name)
    torch.testing.assert_close(r.T @ r, torch.eye(r.shape[1]))
    optimizer = torch.optim.SGD(layer.parameters(), 0.5)
    for _ in range(3):
        optimizer.zero_grad()
        layer(x)[0].square().sum().backward()
        optimizer.step()
    moved = getattr(owner, name)
    assert not torch.allclose(moved, r, atol=1e-3)
    torch.testing.assert_close(moved.T @ moved, torch.eye(r.shape[1]), atol=1e-5, rtol=0)
    with parametrize.cached():
        again = layer(x)[0]
    torch.testing.assert_close(again, layer(x)[0])
    parametrize.remove_parametrizations(owner, name)
    torch.testing.assert_close(layer(x)[0], again)


def test_tied_directions_and_layers_share_a_gradient():
    layer, x = nn.LSTM(4, 4, 2, engine="cpp"), torch.randn(5, 2, 4)
    untied = copy.deepcopy(layer)
    for stem in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
        setattr(layer, f"{stem}_l1", getattr(layer, f"{stem}_l0"))
        getattr(untied, f"{stem}_l1").data.copy_(getattr(untied, f"{stem}_l0"))
    assert len(list(layer.parameters())) == 4
    both = trained(untied, x)
    for g, a, b in zip(trained(layer, x), both[:4], both[4:], strict=True):
        torch.testing.assert_close(g, a + b)


@kinds
def test_functional_calls_with_gradients(kind):
    layer, x = KINDS[kind](), torch.randn(5, 2, 3)
    other = {n: (p * 0.5).detach().requires_grad_() for n, p in layer.named_parameters()}
    y = functional_call(layer, other, (x,))[0]
    grads = torch.autograd.grad(y.square().sum(), list(other.values()))
    with torch.no_grad():
        for p in layer.parameters():
            p.mul_(0.5)
    for a, b in zip(grads, trained(layer, x), strict=True):
        torch.testing.assert_close(a, b)


@kinds
def test_gradients_in_evaluation_mode(kind):
    layer, x = KINDS[kind](), torch.randn(5, 2, 3, requires_grad=True)
    expected = trained(layer, x)
    layer.eval()
    for a, b in zip(trained(layer, x), expected, strict=True):
        torch.testing.assert_close(a, b)


@kinds
def test_with_deterministic_algorithms_asked_for(kind):
    layer, x = KINDS[kind](), torch.randn(5, 2, 3, requires_grad=True)
    try:
        torch.use_deterministic_algorithms(True)
        one, two = trained(layer, x), trained(layer, x)
    finally:
        torch.use_deterministic_algorithms(False)
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))


@kinds
def test_copies_and_averages_are_apart(kind):
    layer, x = KINDS[kind](), torch.randn(5, 2, 3)
    twin, average = copy.deepcopy(layer), torch.optim.swa_utils.AveragedModel(layer)
    expected = layer(x)[0].detach()
    with torch.no_grad():
        for p in layer.parameters():
            p.add_(0.1)
    torch.testing.assert_close(twin(x)[0], expected)
    torch.testing.assert_close(average(x)[0], expected)
    assert not torch.allclose(layer(x)[0], expected)


BARE = {
    "lstm": lambda device: nn.LSTM(3, 4, 2, bidirectional=True, device=device),
    "gru": lambda device: nn.GRU(3, 4, device=device),
    "cell": lambda device: nn.Recurrent(cells.PeepholeLSTM, 3, 4, layer_norm=True, learned_state=True, device=device),
    "clock": lambda device: nn.Recurrent(cells.ClockworkRNN, 3, 4, device=device),
}


@pytest.mark.parametrize("kind", BARE)
def test_made_without_memory_and_filled_later(kind):
    layer, empty, blank = (BARE[kind](device) for device in ("cpu", "meta", "meta"))
    assert all(p.is_meta for p in empty.parameters())
    empty.load_state_dict(layer.state_dict(), assign=True)
    x = torch.randn(5, 2, 3)
    expected = layer(x)[0]
    torch.testing.assert_close(empty(x)[0], expected)
    blank.to_empty(device="cpu")
    blank.reset_parameters()
    blank.load_state_dict(layer.state_dict())
    torch.testing.assert_close(blank(x)[0], expected)


def test_an_ordinary_training_step_with_everything_on():
    layer = nn.LSTM(3, 4, 2, dropout=0.1, engine="cpp")
    scale = torch.amp.GradScaler("cpu")
    optimizer = torch.optim.AdamW(layer.parameters(), 0.01, foreach=True)
    before = [p.clone() for p in layer.parameters()]
    with watch() as ran:
        for _ in range(2):
            with torch.autocast("cpu", torch.bfloat16):
                loss = layer(pack_sequence([torch.randn(4, 3), torch.randn(2, 3)]))[0].data.square().sum()
            scale.scale(loss).backward()
            scale.unscale_(optimizer)
            torch.nn.utils.clip_grad_norm_(layer.parameters(), 1.0)
            scale.step(optimizer)
            scale.update()
            optimizer.zero_grad()
    assert set(ran) == {"cpp"}
    assert all(not torch.equal(a, b) for a, b in zip(before, layer.parameters(), strict=True))


@pytest.mark.filterwarnings("ignore:Anomaly Detection", "ignore:Error detected")
def test_anomaly_detection_names_nothing_that_is_not_wrong():
    layer = nn.LSTM(3, 4, engine="cpp")
    with torch.autograd.detect_anomaly(check_nan=True):
        layer(torch.randn(5, 2, 3), lengths=[5, 0])[0].sum().backward()
    with torch.autograd.detect_anomaly(), pytest.raises(RuntimeError, match="nan values"):
        (layer(torch.randn(5, 2, 3))[0].sum() * float("nan")).backward()


NAMES = {
    "lstm": (
        lambda: nn.LSTM(3, 4, proj_size=2, bidirectional=True),
        "weight_ih_l0 16x3, weight_hh_l0 16x2, bias_ih_l0 16, bias_hh_l0 16, weight_hr_l0 2x4, "
        "weight_ih_l0_reverse 16x3, weight_hh_l0_reverse 16x2, bias_ih_l0_reverse 16, bias_hh_l0_reverse 16, "
        "weight_hr_l0_reverse 2x4",
    ),
    "gru": (lambda: nn.GRU(3, 4), "weight_ih_l0 12x3, weight_hh_l0 12x4, bias_ih_l0 12, bias_hh_l0 12"),
    "rnn": (lambda: nn.RNN(3, 4, bias=False), "weight_ih_l0 4x3, weight_hh_l0 4x4"),
    "cell": (lambda: nn.LSTMCell(3, 4), "weight_ih 16x3, weight_hh 16x4, bias_ih 16, bias_hh 16"),
    "recurrent": (
        lambda: nn.Recurrent(cells.PeepholeLSTM, 3, 4, layer_norm=True, learned_state=True, bidirectional=True),
        "forwards , layers.0.w 16x3, layers.0.b 16, layers.0.norm_x 16, layers.0.r 16x4, layers.0.norm_r 16, "
        "layers.0.units.p_i 4, layers.0.units.p_f 4, layers.0.units.p_o 4, layers.0.start.h 4, layers.0.start.c 4, "
        "layers.1.w 16x3, layers.1.b 16, layers.1.norm_x 16, layers.1.r 16x4, layers.1.norm_r 16, "
        "layers.1.units.p_i 4, layers.1.units.p_f 4, layers.1.units.p_o 4, layers.1.start.h 4, layers.1.start.c 4",
    ),
    "stages": (
        lambda: nn.Recurrent(cells.GRUResetBefore, 3, 4),
        "forwards , layers.0.w 12x3, layers.0.b 12, layers.0.r_1 8x4, layers.0.r_2 4x4",
    ),
    "split": (
        lambda: nn.Recurrent(cells.GRU, 3, 4),
        "forwards , layers.0.w 12x3, layers.0.b 12, layers.0.b_r 4, layers.0.r 12x4",
    ),
    "clock": (
        lambda: nn.Recurrent(cells.ClockworkRNN, 3, 4),
        "forwards , layers.0.w 4x3, layers.0.b 4, layers.0.r 4x4",
    ),
}


@pytest.mark.parametrize("kind", NAMES)
def test_names_and_shapes_of_version_0_1(kind):
    """What is in files that people have: a change here must come with a reader of the old names."""
    make, names = NAMES[kind]
    state = make().state_dict()
    assert {f"{n} {'x'.join(map(str, v.shape))}" for n, v in state.items()} == set(names.split(", "))


def test_a_file_of_another_kind_is_refused_by_name():
    with pytest.raises(RuntimeError, match="weight_hh_l0"):
        nn.GRU(3, 4).load_state_dict(nn.LSTM(3, 4).state_dict())
    with pytest.raises(RuntimeError, match=r"layers\.0\.units\.p_i"):
        nn.Recurrent(cells.PeepholeLSTM, 3, 4).load_state_dict(nn.Recurrent(cells.LSTM, 3, 4).state_dict())
