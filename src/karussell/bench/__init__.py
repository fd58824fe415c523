"""Side by side with peers, in one run, behind a green parity test."""

from karussell.bench.ctc import run_ctc as run_ctc
from karussell.bench.docs import render as render
from karussell.bench.layers import run_layers as run_layers
from karussell.bench.parity import ParityError as ParityError
from karussell.bench.plan import GROUPS as GROUPS
from karussell.bench.result import Result as Result
from karussell.bench.result import Row as Row
from karussell.bench.show import show as show
from karussell.bench.table import run_table as run_table
