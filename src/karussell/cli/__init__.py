"""The command line: `karussell train | evaluate | predict | doctor`."""

from karussell.cli.main import main as main
