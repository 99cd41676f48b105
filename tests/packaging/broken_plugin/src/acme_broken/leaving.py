"""Ends the interpreter, as a script without a main guard does."""

import sys

sys.exit("usage: acme [options]")
