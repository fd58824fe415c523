"""`python -m karussell.cli` is the command `karussell`."""

import sys

from karussell.cli.main import main

sys.exit(main())
