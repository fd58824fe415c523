"""Recurrences on tensors, and the only place that knows engines."""

from karussell.ops.engine import Engine as Engine
from karussell.ops.engine import watch as watch
from karussell.ops.noise import Noise as Noise
from karussell.ops.recurrence import Weights as Weights
from karussell.ops.recurrence import both as both
from karussell.ops.recurrence import recurrence as recurrence
from karussell.ops.recurrence import shapes as shapes
from karussell.ops.recurrence.options import Options as Options
from karussell.ops.recurrence.request import Result as Result
from karussell.ops.recurrence.stepper import Stepper as Stepper
