"""Adding, 1997, experiment 4: the sum of two marked numbers among hundreds."""

from karussell.cells import LSTM, RNN
from karussell.landmarks.curves import learning
from karussell.landmarks.landmark import Arm, Claim, Landmark, fails, near, succeeds
from karussell.landmarks.marked_numbers import REACHED, STRICT, Task, literal, today

TASK = Task("adding", rate=0.5, biases=(-3.0, -6.0))

LANDMARK = Landmark(
    "adding",
    "Adding",
    "1997",
    "Hochreiter & Schmidhuber, Long short-term memory, Neural Computation 9(8), experiment 4",
    "LSTM stores two real numbers, far apart in a long sequence, precisely enough to add them.",
    "T=100: 74,000 sequences, 1 of 2560 wrong; T=500: 209,000, 0; T=1000: 853,000 (370,000 to 2,020,000), 1",
    "sequences to the criterion",
    STRICT,
    (
        Arm("T=100, literal", lambda t: literal(t, TASK, 100, 2_500_000), published="74,000", seeds=5),
        Arm("T=500, literal", lambda t: literal(t, TASK, 500, 1_200_000), published="209,000", seeds=5),
        Arm("T=1000, literal", lambda t: literal(t, TASK, 1000, 1_000_000), published="853,000", seeds=5),
        Arm("T=100, LSTM, Adam", lambda t: today(t, TASK, LSTM, 100, 120_000)),
        Arm("T=100, plain RNN, Adam", lambda t: today(t, TASK, RNN, 100, 120_000), "control"),
    ),
    (
        Claim("The literal program adds numbers 50 steps apart, loosely", succeeds("T=100, literal", 1, loosely=True)),
        Claim("and by the published criterion", succeeds("T=100, literal")),
        Claim("in the published order of magnitude", near("T=100, literal", 74_000)),
        Claim("It adds at T=500, loosely", succeeds("T=500, literal", loosely=True)),
        Claim("It adds at T=1000, loosely", succeeds("T=1000, literal", loosely=True)),
        Claim("LSTM with exact gradients adds at T=100, loosely", succeeds("T=100, LSTM, Adam", loosely=True)),
        Claim("A plain recurrent net fails, even loosely", fails("T=100, plain RNN, Adam", loosely=True)),
    ),
    reached=REACHED,
    pictures=learning(
        "Mean error of the output while learning",
        "sequences",
        {
            "T=100, literal": "literal",
            "T=500, literal": "literal, T=500",
            "T=100, LSTM, Adam": "LSTM, Adam",
            "T=100, plain RNN, Adam": "plain RNN, Adam",
        },
        log=True,
    ),
)
