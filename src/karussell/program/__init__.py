"""From a step in Python to a canonical list of instructions, and from there to source code."""

from karussell.program.program import Program as Program
from karussell.program.program import program as program
from karussell.program.trace import TraceError as TraceError
