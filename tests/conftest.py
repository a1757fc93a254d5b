# Shared by all tests: shapes in signatures are checked by beartype while the tests run, and
# hypothesis sets no time limit to an example, so that a busy machine fails none.
from hypothesis import settings
from jaxtyping import install_import_hook

install_import_hook("whydeep", "beartype.beartype")
settings.register_profile("book", deadline=None)
settings.load_profile("book")
