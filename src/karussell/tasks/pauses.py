"""Where a long recording may be cut: in its pauses, found by their energy."""

from karussell.runtime.pauses import cut_at_pauses as cut_at_pauses
