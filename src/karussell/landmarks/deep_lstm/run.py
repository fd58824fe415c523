"""Deep LSTM, 2013: depth 1, 2, 3 and 5, one direction and two, with equally many weights."""

from functools import partial

from karussell.cells import LSTM
from karussell.landmarks import modern
from karussell.landmarks.curves import learning
from karussell.landmarks.landmark import Arm, Claim, Landmark, Outcome, Trial, below, fails
from karussell.landmarks.speech import BANDS, EPOCHS, best_path, error_rate, folded, speech, train_ctc, train_frames

# (layers, both directions): units a direction, for about 60,000 weights
SIZES = {
    (1, False): 109, (2, False): 69, (3, False): 55, (5, False): 42,
    (1, True): 74, (2, True): 41, (3, True): 32, (5, True): 24,
}  # fmt: skip
ENOUGH = 0.10
FRAMEWISE = 6
"""Of the epochs; with CTC alone the deeper nets did not leave the blank."""


def deep(trial: Trial, layers: int, both: bool, *, epochs: int = EPOCHS, original: bool = False) -> Outcome:
    """A few epochs on frames, then CTC on strings of digits; label error of the best path on other recordings.

    `original` takes TIMIT with the paper's 250 units: 61 phones are learned, 39 classes scored, on the core test set.
    """
    train = speech("train", few=trial.smoke, original=original)
    test = speech("core" if original else "test", few=trial.smoke, original=original)
    hidden = 250 if original and not trial.smoke else SIZES[layers, both]
    net = modern.Net(LSTM, BANDS, hidden, train.kinds + 1, trial.seed, layers=layers, bidirectional=both,
                     gate_bias={"f": 1.0})  # fmt: skip
    labels = [tuple(k + 1 for k in said) for said in train.labels]
    rng, first = trial.rng(1), min(epochs, trial.cap(FRAMEWISE, 1))
    train_frames(net, train, first, rng, for_ctc=True)
    curve = train_ctc(net, train, labels, trial.cap(epochs - first, 1) if epochs else 0, rng)
    found = [tuple(k - 1 for k in said) for said in best_path(net, test)]
    scored = folded if original else tuple
    rate = error_rate([scored(said) for said in test.labels], [scored(said) for said in found])
    return Outcome(rate < ENOUGH, True, rate, {"weights": net.weights}, curve)


def name(layers: int, both: bool) -> str:
    """Such as "3 layers, both directions"."""
    return f"{layers} layer{'s' if layers > 1 else ''}, {'both directions' if both else 'one direction'}"


LANDMARK = Landmark(
    "deep_lstm",
    "Deep LSTM",
    "2013",
    "Graves, Mohamed & Hinton, Speech recognition with deep recurrent neural networks, ICASSP 2013",
    "Depth helps: layers of LSTM on each other recognise speech better than one, and both directions better than one.",
    "TIMIT, phoneme error: 1 layer 23.9 %, 2 layers 21.0 %, 3 layers one direction 19.6 % (from memory), "
    "3 layers 18.6 %, 5 layers 18.4 % (second-hand). TIMIT is not free: here digits are joined to strings",
    "label error rate on test strings",
    "less than 10 % of labels wrong",
    (
        *(Arm(name(*key), partial(deep, layers=key[0], both=key[1])) for key in SIZES),
        Arm("3 layers, both directions, untrained", partial(deep, layers=3, both=True, epochs=0), "control"),
        Arm(
            "3 layers, both directions, TIMIT itself",
            partial(deep, layers=3, both=True, original=True),
            "rival",
            "18.6 %",
            apart=True,
        ),
    ),
    (
        Claim("Three layers are better than one, both directions", below(name(3, True), name(1, True))),
        Claim("and one direction", below(name(3, False), name(1, False))),
        Claim("Both directions are better than one, at three layers", below(name(3, True), name(3, False))),
        Claim("Untrained it recognises nothing", fails("3 layers, both directions, untrained")),
    ),
    pictures=learning("Loss a string on the training set", "epoch", {name(n, True): f"{n} deep" for n in (1, 2, 3, 5)}),
)
