"""What torch's recurrent layers refuse, ours refuse too, with the same kind of error and its words."""

import pytest
import torch
from torch.nn.utils.rnn import pack_sequence

from karussell import nn

KINDS = ["LSTM", "GRU", "RNN"]

CONSTRUCTOR = {
    "input_size_zero": ((0, 4), {}, ValueError, "input_size must be greater than zero"),
    "hidden_size_zero": ((3, 0), {}, ValueError, "hidden_size must be greater than zero"),
    "no_layers": ((3, 4, 0), {}, ValueError, "num_layers must be greater than zero"),
    "input_size_float": ((3.0, 4), {}, TypeError, "input_size should be of type int, got: float"),
    "hidden_size_float": ((3, 4.0), {}, TypeError, "hidden_size should be of type int, got: float"),
    "bias_number": ((3, 4), {"bias": 1}, TypeError, "bias should be of type bool, got: int"),
    "batch_first_number": ((3, 4), {"batch_first": 1}, TypeError, "batch_first should be of type bool, got: int"),
    "dropout_big": ((3, 4), {"dropout": 1.1}, ValueError, "dropout should be a number in range"),
    "dropout_flag": ((3, 4), {"dropout": True}, ValueError, "dropout should be a number in range"),
}


@pytest.mark.parametrize(("sizes", "options", "kind_of_error", "words"), CONSTRUCTOR.values(), ids=CONSTRUCTOR)
@pytest.mark.parametrize("kind", KINDS)
def test_constructor_refuses_what_torch_refuses(kind, sizes, options, kind_of_error, words):
    for library in (torch.nn, nn):
        with pytest.raises(kind_of_error, match=words):
            getattr(library, kind)(*sizes, **options)


@pytest.mark.parametrize("kind", ["GRU", "RNN"])
def test_projections_are_for_the_lstm(kind):
    for library in (torch.nn, nn):
        with pytest.raises(ValueError, match="proj_size argument is only supported for LSTM, not RNN or GRU"):
            getattr(library, kind)(30, 20, 2, proj_size=10)


def test_other_constructor_errors():
    with pytest.raises(ValueError, match="Unknown nonlinearity 'cube'"):
        nn.RNN(3, 4, nonlinearity="cube")
    for size, words in ((4, "has to be smaller"), (-1, "positive integer or zero")):
        for library in (torch.nn, nn):
            with pytest.raises(ValueError, match=words):
                library.LSTM(3, 4, proj_size=size)
    with pytest.raises(ValueError, match="warp"):
        nn.LSTM(3, 4, engine="warp")
    with pytest.raises(TypeError):
        nn.LSTM(3, 4, hiden_size=5)


def pairs(kind, h, c=None):
    return (h, c if c is not None else h) if kind == "LSTM" else h


CALLS = {
    "width": (
        lambda k: (torch.zeros(5, 2, 7),),
        RuntimeError,
        "input.size.-1. must be equal to input_size. Expected 3",
    ),
    "no_steps": (lambda k: (torch.zeros(0, 2, 3),), RuntimeError, "sequence length to be larger than 0 in RNN"),
    "dims": (lambda k: (torch.zeros(5, 2, 3, 1),), ValueError, "Expected input to be 2D or 3D, got 4D"),
    "dtype": (lambda k: (torch.zeros(5, 2, 3).double(),), ValueError, "RNN input dtype .torch.float64. does not match"),
    "state_batch": (lambda k: (torch.zeros(5, 2, 3), pairs(k, torch.zeros(2, 3, 4))), RuntimeError, "Expected hidden"),
    "state_width": (lambda k: (torch.zeros(5, 2, 3), pairs(k, torch.zeros(2, 2, 5))), RuntimeError, "Expected hidden"),
    "state_layers": (lambda k: (torch.zeros(5, 2, 3), pairs(k, torch.zeros(1, 2, 4))), RuntimeError, "Expected hidden"),
    "state_2d": (lambda k: (torch.zeros(5, 2, 3), pairs(k, torch.zeros(2, 4))), RuntimeError, "For batched 3-D input"),
    "state_3d": (
        lambda k: (torch.zeros(5, 3), pairs(k, torch.zeros(2, 1, 4))),
        RuntimeError,
        "For unbatched 2-D input",
    ),
}


@pytest.mark.parametrize(("call", "kind_of_error", "words"), CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_call_refuses_what_torch_refuses(kind, call, kind_of_error, words):
    for library in (torch.nn, nn):
        with pytest.raises(kind_of_error, match=words):
            getattr(library, kind)(3, 4, 2)(*call(kind))


def test_errors_of_ours_name_the_layer_and_the_next_move():
    lstm, gru = nn.LSTM(3, 4), nn.GRU(3, 4)
    x, h = torch.zeros(5, 2, 3), torch.zeros(1, 2, 4)
    packed = pack_sequence([torch.zeros(4, 3), torch.zeros(2, 3)])
    with pytest.raises(TypeError, match=r"LSTM: hx is one tensor; it must be the tuple \(h_0, c_0\)"):
        lstm(x, h)
    with pytest.raises(TypeError, match="GRU: hx is a tuple; it must be one tensor"):
        gru(x, (h, h))
    with pytest.raises(ValueError, match="a PackedSequence carries its lengths"):
        lstm(packed, lengths=[4, 2])
    with pytest.raises(ValueError, match="LSTM: lengths go with a batch"):
        lstm(x[:, 0], lengths=[4])
    with pytest.raises(ValueError, match="lengths run from 2 to 6, but x has 5 steps"):
        lstm(x, lengths=[2, 6])
    with pytest.raises(
        RuntimeError, match="not at the same device, found input tensor at meta and parameter tensor at"
    ):
        lstm(x.to("meta"))
    with pytest.raises(
        RuntimeError, match="not at the same device, found input tensor at cpu and hidden tensor at meta"
    ):
        gru(x, h.to("meta"))
    with pytest.raises(
        RuntimeError, match=r"Expected hidden\[1\] size \[1, 2, 4\], got \[1, 2, 5\].*also with batch_first"
    ):
        lstm(x, (h, torch.zeros(1, 2, 5)))
    with pytest.raises(RuntimeError, match=r"Expected hidden\[0\] size \[1, 2, 4\]"):
        lstm(packed, (h[:, :1], h))
