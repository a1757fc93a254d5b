# One browser for all browser tests, the folders of pages that it looks at, what was measured, and
# which tests of a page need not run again.
import functools
import http.server
import os
import threading

import pytest
import rotation
import widgets_book
from browsing import CHROMIUM, FLAGS, SITE, Visit
from filelock import FileLock
from playwright.sync_api import sync_playwright

MEASURED = pytest.StashKey[list[str]]()
LOOKED: dict[str, str] = {}  # by test, the state of the page that it passed on; "" where it failed


@pytest.fixture(scope="session")
def site():
    """The folder of the built book."""
    assert (SITE / "index.html").is_file(), f"no book in {SITE}: run `make book` first"
    return SITE


@pytest.fixture(scope="session")
def scratch(tmp_path_factory):
    """The folder of a built book of nothing but widgets; workers side by side share one."""
    alone = not os.environ.get("PYTEST_XDIST_WORKER")
    root = tmp_path_factory.getbasetemp() if alone else tmp_path_factory.getbasetemp().parent
    folder = root / "widgets-book"
    with FileLock(root / "widgets-book.lock"):
        if not (folder / "done").exists():
            folder.mkdir()
            widgets_book.build(folder)
            (folder / "done").touch()
    return folder / "_build" / "html"


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


def pytest_collection_modifyitems(items):
    """Skip the tests of a page that have passed on it; note the state of the page with the rest."""
    pages = {
        item.nodeid: item.callspec.params["page"]
        for item in items
        if item.get_closest_marker("rotates")
        and isinstance(item.callspec.params["page"], str)  # else there is no book yet
    }
    needless = rotation.needless(pages, rotation.passed())
    for item in items:
        if item.nodeid in needless:
            item.add_marker(pytest.mark.skip(reason="passed on this page as it is"))
        elif item.nodeid in pages:
            item.user_properties.append(("page", rotation.state(pages[item.nodeid])))


def pytest_runtest_logreport(report):
    """Note, where reports come together, which tests of a page pass on it and which fail."""
    state = dict(report.user_properties).get("page")
    if state and not os.environ.get("PYTEST_XDIST_WORKER"):
        if report.when == "call" and report.passed:
            LOOKED[report.nodeid] = state
        elif report.failed:
            LOOKED[report.nodeid] = ""


# Where tests run side by side, each worker hands its lines to the process that prints.
def pytest_sessionfinish(session):
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["measured"] = session.config.stash.get(MEASURED, [])
    elif LOOKED:
        rotation.keep({k: v for k, v in (rotation.passed() | LOOKED).items() if v})


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
