"""nn.LSTM, nn.GRU and nn.RNN against torch's: numbers, gradients, weights, shapes, everything they take and give."""

import copy
import warnings

import pytest
import torch
from torch.nn.utils import parametrizations
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pack_sequence

from karussell import nn
from karussell.ops import Engine, watch

pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections")
KINDS = ["LSTM", "GRU", "RNN"]
# sums over all rows and steps, rounded to float32 in another order
CLOSE = {"rtol": 1e-5, "atol": 3e-6}


def pair(kind, *sizes, engine="vendor", dtype=None, **options):
    """Torch's module and ours with the same weights."""
    theirs = getattr(torch.nn, kind)(*sizes, dtype=dtype, **options)
    ours = getattr(nn, kind)(*sizes, dtype=dtype, engine=engine, **options)
    ours.load_state_dict(theirs.state_dict())
    return theirs, ours


def states_for(module, kind, batch, dtype=None, seed=1):
    """A random initial state; batch None: for one sequence."""
    generator = torch.Generator().manual_seed(seed)
    rows = module.num_layers * (2 if module.bidirectional else 1)
    widths = [module.proj_size or module.hidden_size, module.hidden_size][: 2 if kind == "LSTM" else 1]
    shapes = [(rows, w) if batch is None else (rows, batch, w) for w in widths]
    found = tuple(torch.randn(s, generator=generator, dtype=dtype).requires_grad_() for s in shapes)
    return found if kind == "LSTM" else found[0]


def flat(value):
    """All tensors of an output or a state."""
    if isinstance(value, PackedSequence):
        return [value.data]
    return [value] if isinstance(value, torch.Tensor) else [t for v in value for t in flat(v)]


def outcome(module, x, leaf, state):
    """Output, final state, and gradients through both in the input, the weights and the initial state."""
    result = module(x) if state is None else module(x, state)
    values = flat(result)
    generator = torch.Generator().manual_seed(2)
    upstream = [torch.randn(v.shape, generator=generator, dtype=v.dtype) for v in values]
    leaves = [leaf, *module.parameters(), *([] if state is None else flat(state))]
    return result, [*values, *torch.autograd.grad(values, leaves, upstream, retain_graph=True)]


def same(theirs, ours, x, leaf, state):
    (a, all_a), (b, all_b) = (outcome(m, x, leaf, state) for m in (theirs, ours))
    for u, v in zip(all_a, all_b, strict=True):
        torch.testing.assert_close(v, u, **CLOSE)
    assert type(a[0]) is type(b[0])
    assert isinstance(b[1], tuple) == isinstance(a[1], tuple)
    return b


@pytest.mark.parametrize("engine", ["vendor", "reference"])
@pytest.mark.parametrize("steps", [1, 2, 7])
@pytest.mark.parametrize("bidirectional", [False, True], ids=["one_way", "both_ways"])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_numbers_and_gradients_are_torchs(kind, layers, bidirectional, steps, engine):
    theirs, ours = pair(kind, 3, 4, layers, bidirectional=bidirectional, engine=engine)
    for batch in (5, None):
        x = torch.randn(*((steps, batch) if batch else (steps,)), 3, requires_grad=True)
        for state in (None, states_for(ours, kind, batch)):
            with watch() as ran:
                same(theirs, ours, x, x, state)
            assert set(ran) == {Engine(engine)}


@pytest.mark.parametrize("kind", KINDS)
def test_the_default_engine_gives_torchs_numbers(kind):
    theirs, ours = pair(kind, 3, 4, 2, bidirectional=True, engine="auto")
    x = torch.randn(6, 5, 3, requires_grad=True)
    same(theirs, ours, x, x, states_for(ours, kind, 5))


@pytest.mark.parametrize("options", [{"bias": False}, {"batch_first": True}], ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_options_are_torchs(kind, options):
    theirs, ours = pair(kind, 3, 4, 2, bidirectional=True, **options)
    x = torch.randn(6, 5, 3, requires_grad=True)
    y, _ = same(theirs, ours, x, x, states_for(ours, kind, 6 if "batch_first" in options else 5))
    assert y.shape == (6, 5, 8)
    x = torch.randn(6, 3, requires_grad=True)
    same(theirs, ours, x, x, states_for(ours, kind, None))


@pytest.mark.parametrize("engine", ["vendor", "reference"])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("batch_first", [False, True])
def test_projections_are_torchs(layers, batch_first, engine):
    theirs, ours = pair("LSTM", 3, 4, layers, proj_size=2, bidirectional=True, batch_first=batch_first, engine=engine)
    x = torch.randn(5, 5, 3, requires_grad=True)
    same(theirs, ours, x, x, states_for(ours, "LSTM", 5))


def test_relu_is_torchs():
    theirs, ours = pair("RNN", 3, 4, 2, nonlinearity="relu", bidirectional=True)
    x = torch.randn(6, 5, 3, requires_grad=True)
    same(theirs, ours, x, x, states_for(ours, "RNN", 5))
    # the fourth positional argument is the nonlinearity
    assert nn.RNN(3, 4, 1, "relu").nonlinearity == torch.nn.RNN(3, 4, 1, "relu").nonlinearity


@pytest.mark.parametrize("lengths", [[7, 5, 5, 1], [2, 7, 1, 4], [3, 3, 3, 3]], ids=["sorted", "unsorted", "equal"])
@pytest.mark.parametrize("kind", [*KINDS, "projected"])
def test_packed_sequences_are_torchs(kind, lengths):
    # torch's kernel has no ragged rows for the projected LSTM
    kind, options = ("LSTM", {"proj_size": 2, "engine": "reference"}) if kind == "projected" else (kind, {})
    theirs, ours = pair(kind, 3, 4, 2, bidirectional=True, **options)
    x = torch.randn(max(lengths), 4, 3, requires_grad=True)
    packed = pack_padded_sequence(x, lengths, enforce_sorted=False)
    for state in (None, states_for(ours, kind, 4)):
        y, _ = same(theirs, ours, packed, x, state)
        assert y.batch_sizes is packed.batch_sizes
        assert y.sorted_indices is packed.sorted_indices
        assert y.unsorted_indices is packed.unsorted_indices
    in_order = pack_sequence([torch.randn(n, 3, requires_grad=True) for n in (5, 3, 1)])
    same(theirs, ours, in_order, in_order.data, states_for(ours, kind, 3))


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_lengths_are_what_packing_says(kind, batch_first):
    theirs, ours = pair(kind, 3, 4, 2, bidirectional=True, batch_first=batch_first)
    lengths = [4, 6, 1]
    x = torch.randn(3, 6, 3) if batch_first else torch.randn(6, 3, 3)
    packed = pack_padded_sequence(x, lengths, batch_first, enforce_sorted=False)
    state = states_for(ours, kind, 3)
    expected, final = theirs(packed, state)
    expected = torch.nn.utils.rnn.pad_packed_sequence(expected, batch_first)[0]
    for given in (lengths, torch.tensor(lengths), torch.tensor(lengths, dtype=torch.int32)):
        y, found = ours(x, state, lengths=given)
        torch.testing.assert_close(y, expected, **CLOSE)
        for a, b in zip(flat(found), flat(final), strict=True):
            torch.testing.assert_close(a, b, **CLOSE)


@pytest.mark.parametrize("options", [{}, {"bias": False}, {"bidirectional": True, "num_layers": 2}], ids=str)
@pytest.mark.parametrize("kind", [*KINDS, "projected"])
def test_the_same_seed_gives_torchs_weights(kind, options):
    kind, options = ("LSTM", options | {"proj_size": 2}) if kind == "projected" else (kind, options)
    made = []
    for library in (torch.nn, nn):
        torch.manual_seed(3)
        made.append(getattr(library, kind)(3, 4, **options))
    theirs, ours = (m.state_dict() for m in made)
    assert list(theirs) == list(ours)
    assert [n for n, _ in made[0].named_parameters()] == [n for n, _ in made[1].named_parameters()]
    for name in theirs:
        torch.testing.assert_close(ours[name], theirs[name], rtol=0, atol=0)
    torch.manual_seed(4)
    made[0].reset_parameters()
    torch.manual_seed(4)
    made[1].reset_parameters()
    assert all(torch.equal(a, b) for a, b in zip(made[0].parameters(), made[1].parameters(), strict=True))
    made[0].load_state_dict(ours)
    made[1].load_state_dict(theirs)
    for a, b in zip(made[0].all_weights, made[1].all_weights, strict=True):
        assert [w.shape for w in a] == [w.shape for w in b]
    assert repr(made[0]) == repr(made[1])


@pytest.mark.parametrize("kind", KINDS)
def test_dropout_acts_between_layers_in_training_as_torchs(kind):
    theirs, ours = pair(kind, 3, 4, 3, dropout=0.4)
    x = torch.randn(6, 5, 3, requires_grad=True)
    outputs = []
    for module in (theirs, ours):
        torch.manual_seed(0)
        outputs.append(module(x)[0])
    torch.testing.assert_close(outputs[1], outputs[0], **CLOSE)
    assert not torch.allclose(ours(x)[0], outputs[1]), "another draw, another mask"
    theirs.eval(), ours.eval()
    same(theirs, ours, x, x, None)
    ours.train()
    ours.dropout = 1.0
    assert torch.equal(ours(x)[0][:, 0], ours(x)[0][:, 1]), "with everything dropped, rows are alike"


def test_dropout_with_one_layer_warns_as_torch_does():
    with pytest.warns(UserWarning, match="num_layers greater than 1") as caught:
        nn.LSTM(3, 4, dropout=0.5)
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nn.LSTM(3, 4, 2, dropout=0.5)


@pytest.mark.parametrize("kind", KINDS)
def test_empty_batches_and_states_that_are_not_contiguous(kind):
    theirs, ours = pair(kind, 3, 4, 2, bidirectional=True)
    y, state = ours(torch.randn(5, 0, 3))
    assert y.shape == (5, 0, 8)
    assert all(s.shape == (4, 0, 4) for s in flat(state))
    x = torch.randn(5, 6, 3, requires_grad=True)
    state = [torch.randn(4, 4, 6).transpose(1, 2).requires_grad_() for _ in flat(state)]
    assert not state[0].is_contiguous()
    same(theirs, ours, x, x, tuple(state) if kind == "LSTM" else state[0])


@pytest.mark.parametrize("kind", KINDS)
def test_copies_and_moves(kind):
    _, ours = pair(kind, 3, 4, 2)
    x = torch.randn(5, 2, 3)
    twin = copy.deepcopy(ours)
    torch.testing.assert_close(twin(x)[0], ours(x)[0], rtol=0, atol=0)
    assert twin.weight_ih_l0 is not ours.weight_ih_l0
    double = copy.deepcopy(ours).double()
    assert double(x.double())[0].dtype == torch.float64
    assert getattr(nn, kind)(3, 4, device="meta").weight_hh_l0.is_meta
    assert getattr(nn, kind)(3, 4, dtype=torch.float64).weight_hh_l0.dtype == torch.float64
    ours.flatten_parameters()
    ours.share_memory()
    assert not ours.requires_grad_(False)(x)[0].requires_grad


@pytest.mark.parametrize("kind", KINDS)
def test_parametrised_replaced_and_tied_weights_are_used(kind):
    theirs, ours = pair(kind, 3, 4, 2)
    x = torch.randn(5, 2, 3)
    for module in (theirs, ours):
        parametrizations.weight_norm(module, "weight_hh_l0")
        parametrizations.spectral_norm(module, "weight_ih_l1")
        module.eval()
    ours.load_state_dict(theirs.state_dict())
    torch.testing.assert_close(ours(x)[0], theirs(x)[0], **CLOSE)
    ours(x)[0].sum().backward()
    assert ours.parametrizations.weight_hh_l0.original1.grad.abs().sum() > 0
    _, plain = pair(kind, 3, 4)
    zeros = {n: torch.zeros_like(p) for n, p in plain.named_parameters()}
    assert (torch.func.functional_call(plain, zeros, (x,))[0] == 0).all()
    assert (plain(x)[0] != 0).any()
    square, other = nn.LSTM(4, 4), torch.nn.LSTM(4, 4)
    other.load_state_dict(square.state_dict())
    for module in (square, other):
        module.weight_hh_l0 = module.weight_ih_l0
    x = torch.randn(5, 2, 4)
    torch.testing.assert_close(square(x)[0], other(x)[0], **CLOSE)


@pytest.mark.parametrize("kind", KINDS)
def test_autocast_runs_in_the_precision_of_the_weights(kind):
    _, ours = pair(kind, 3, 4, 2, bidirectional=True)
    x, state = torch.randn(5, 2, 3), states_for(ours, kind, 2)
    expected = ours(x.bfloat16().float(), state)[0]
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.nn.Linear(3, 3)(x).dtype == torch.bfloat16
        torch.testing.assert_close(ours(x.bfloat16(), state)[0], expected, rtol=0, atol=0)
