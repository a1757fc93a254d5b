# One browser for all browser tests, the folders of pages that it looks at, and what was measured.
import functools
import http.server
import threading

import pytest
import widgets_book
from browsing import CHROMIUM, FLAGS, SITE, Visit
from playwright.sync_api import sync_playwright

MEASURED = pytest.StashKey[list[str]]()


@pytest.fixture(scope="session")
def site():
    """The folder of the built book."""
    assert (SITE / "index.html").is_file(), f"no book in {SITE}: run `make book` first"
    return SITE


@pytest.fixture(scope="session")
def scratch(tmp_path_factory):
    """The folder of a built book of nothing but widgets."""
    return widgets_book.build(tmp_path_factory.mktemp("widgets"))


@pytest.fixture(scope="session")
def browser():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser):
    """Opens tabs, closed when the test ends; options as of Visit."""
    visits = []

    def start(**options):
        visits.append(Visit(browser, **options))
        return visits[-1]

    yield start
    for each in visits:
        each.context.close()


@pytest.fixture(scope="session")
def serve():
    """Serves folders over http on this machine; returns the address of each."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            """Say nothing: the tests look at what the browser saw."""

    running = []

    def start(folder):
        server = http.server.ThreadingHTTPServer(
            ("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder))
        )
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        running.append((server, thread))
        return f"http://127.0.0.1:{server.server_port}/"

    yield start
    for server, thread in running:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def measured(request):
    """Takes a line on what a test has measured; all are printed when the tests are done."""
    return request.config.stash.setdefault(MEASURED, []).append


# Where tests run side by side, each worker hands its lines to the process that prints.
def pytest_sessionfinish(session):
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["measured"] = session.config.stash.get(MEASURED, [])


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    lines = getattr(node, "workeroutput", {}).get("measured", [])
    node.config.stash.setdefault(MEASURED, []).extend(lines)


def pytest_terminal_summary(terminalreporter, config):
    lines = config.stash.get(MEASURED, [])
    if lines:
        terminalreporter.section("measured")
        for line in lines:
            terminalreporter.write_line(line)
