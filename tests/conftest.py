# Shared by all tests: shapes in signatures are checked by beartype while the tests run, hypothesis
# sets no time limit to an example, so that a busy machine fails none, and programs that the tests
# start can be interrupted although a shell's background job, and what it starts, ignores Ctrl-C.
import signal

from hypothesis import settings
from jaxtyping import install_import_hook

install_import_hook("whydeep", "beartype.beartype")
settings.register_profile("book", deadline=None)
settings.load_profile("book")
signal.signal(signal.SIGINT, signal.default_int_handler)
