"""Where files live, and how they are written; the code stands below all rooms, in `karussell.files`."""

from karussell.files import home as home
from karussell.files import write_atomic as write_atomic
