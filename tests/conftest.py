# Shared by all tests: shapes in signatures are checked by beartype while the tests run.
from jaxtyping import install_import_hook

install_import_hook("whydeep", "beartype.beartype")
