"""`python -m whydeep`, and the command `whydeep`: Ctrl-C is one line from the first moment on.

Loading torch takes seconds, and an interruption there would end in the tracebacks of libraries. So
until the command line has loaded what it needs, Ctrl-C leaves at once; after that it raises
KeyboardInterrupt as always, and finished runs are kept. Once all is said and done there is nothing
left to interrupt: the exit status stays what it is while Python puts its libraries away.
"""

import signal
import sys

from whydeep.interrupted import leave_at_once


def main() -> int:
    """The command line with Ctrl-C guarded from the start."""
    # A shell's background job ignores Ctrl-C, and so does what it starts.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, leave_at_once)
    try:
        from whydeep import cli

        return cli.main()
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)


if __name__ == "__main__":
    sys.exit(main())
