"""C++ of the package, compiled on first use: plain C interfaces, loaded by ctypes, no torch and no Python headers."""

from karussell.native.library import Source as Source
from karussell.native.library import build as build
from karussell.native.library import find as find
from karussell.native.library import load as load
from karussell.native.library import why_not as why_not
from karussell.native.machine import ISAS as ISAS
from karussell.native.machine import best_isa as best_isa
from karussell.native.machine import compiler as compiler
from karussell.native.machine import flags as flags
from karussell.native.machine import isa as isa
