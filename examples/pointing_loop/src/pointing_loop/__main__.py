"""``python -m pointing_loop``: the command line, deaf to Ctrl-C at no moment."""

import sys

try:
    # astropy, matplotlib and tango take a second to import.
    from pointing_loop.cli import main

    main()
except KeyboardInterrupt:
    sys.exit(130)
