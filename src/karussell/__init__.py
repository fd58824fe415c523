"""Karussell: sequences in, answers out. The LSTM, complete, as one fast and honest library.

    karussell.cells    recurrent cells, each written once as a value
    karussell.nn       layers: drop-ins for torch's LSTM, GRU and RNN, and Recurrent for any cell
    karussell.ops      recurrences on tensors, and the engines that run them
    karussell.ctc      connectionist temporal classification: loss, decoding, error rates
    karussell.tasks    what people use: Transcriber

Importing this module imports none of them.
"""

__version__ = "0.1.0"
