"""Multiplication, 1997, experiment 5: the product of two marked numbers, which a carousel does not get for free."""

from karussell.cells import LSTM, RNN
from karussell.landmarks.curves import learning
from karussell.landmarks.landmark import Arm, Claim, Landmark, fails, near, succeeds
from karussell.landmarks.marked_numbers import REACHED, Task, literal, today

TASK = Task("multiplication", rate=0.1, biases=None)

LANDMARK = Landmark(
    "multiplication",
    "Multiplication",
    "1997",
    "Hochreiter & Schmidhuber, Long short-term memory, Neural Computation 9(8), experiment 5",
    "LSTM is not made for adding alone: it learns to multiply two real numbers that are far apart.",
    "fewer than 140 of the latest 2000 wrong: 482,000 sequences, 139 of 2560 wrong, mean squared error 0.0223; "
    "fewer than 13: 1,273,000, 14 wrong, 0.0139",
    "sequences to the criterion",
    "fewer than n of the latest 2000 sequences off by 0.04 or more",
    (
        Arm("T=100, n=140, literal", lambda t: literal(t, TASK, 100, 2_000_000, 139), published="482,000", seeds=5),
        Arm("T=100, n=13, literal", lambda t: literal(t, TASK, 100, 3_000_000, 12), published="1,273,000", seeds=5),
        Arm("T=100, LSTM, Adam", lambda t: today(t, TASK, LSTM, 100, 120_000)),
        Arm("T=100, plain RNN, Adam", lambda t: today(t, TASK, RNN, 100, 120_000), "control"),
    ),
    (
        Claim("The literal program multiplies with fewer than 140 of 2000 wrong", succeeds("T=100, n=140, literal")),
        Claim("in the published order of magnitude", near("T=100, n=140, literal", 482_000)),
        Claim("and with fewer than 13 of 2000 wrong", succeeds("T=100, n=13, literal")),
        Claim("LSTM with exact gradients multiplies, loosely", succeeds("T=100, LSTM, Adam", loosely=True)),
        Claim("A plain recurrent net fails, even loosely", fails("T=100, plain RNN, Adam", loosely=True)),
    ),
    reached=REACHED,
    pictures=learning(
        "Mean error of the output while learning",
        "sequences",
        {
            "T=100, n=140, literal": "literal",
            "T=100, LSTM, Adam": "LSTM, Adam",
            "T=100, plain RNN, Adam": "plain RNN, Adam",
        },
        log=True,
    ),
)
