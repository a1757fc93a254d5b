# Downloads against a real HTTP server on this machine: good, broken in each way, and absent.
# Nothing partial or wrong may stay on disk, and every failure is one line that says what to do.
import gzip
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from whydeep import datasets
from whydeep.datasets import download, files
from whydeep.errors import DataError

ROOT = Path(__file__).resolve().parents[1]
# Three images of 2 x 4 pixels: magic 0, 0, 8 (unsigned bytes), 3 dimensions, then their sizes.
IMAGES = bytes([0, 0, 8, 3, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 4]) + bytes(range(24))
LABELS = bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 8, 9])


class Server:
    """A web server in a thread; `pages` maps a path to bytes or to a function of the handler."""

    def __init__(self):
        self.pages = {}
        self.asked = []
        self.release = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                outer.asked.append(self.path)
                page = outer.pages.get(self.path)
                if page is None:
                    self.send_error(404)
                elif callable(page):
                    page(self)
                else:
                    answer(self, page)

            def log_message(self, *_):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.02,))
        self.thread.start()

    def close(self):
        self.release.set()
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()


def answer(handler, body, *, length=None, encoding=None):
    handler.send_response(200)
    if length is not False:
        handler.send_header("Content-Length", str(len(body) if length is None else length))
    if encoding:
        handler.send_header("Content-Encoding", encoding)
    handler.end_headers()
    handler.wfile.write(body)


@pytest.fixture
def server():
    server = Server()
    yield server
    server.close()


def entry(stem, content, mirrors):
    return files.DataFile(
        name=f"tiny/{stem}", set="tiny", kind="download", file=f"tiny/raw/{stem}",
        bytes=len(content), licence="none", credit="nobody", package="none", version="1",
        sha256=hashlib.sha256(content).hexdigest(), mirrors=mirrors,
    )  # fmt: skip


@pytest.fixture
def tiny(tmp_path, monkeypatch, server):
    """A set of two IDX files that only the server has; the cache is a fresh folder."""
    cache = tmp_path / "cache"
    for name in ("WHYDEEP_DATA", "WHYDEEP_MIRROR", "WHYDEEP_ROOT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(files, "_verified", set())
    monkeypatch.setattr(files, "cache_root", lambda: cache)
    monkeypatch.setattr(files, "DEBIAN_FASHION", tmp_path / "no-debian")
    listed = [
        entry("images-idx3-ubyte", IMAGES, (f"{server.url}/first", f"{server.url}/second")),
        entry("labels-idx1-ubyte", LABELS, (f"{server.url}/first/",)),
    ]
    monkeypatch.setattr(files, "catalogue", lambda: listed)
    server.pages["/first/images-idx3-ubyte.gz"] = gzip.compress(IMAGES)
    server.pages["/first/labels-idx1-ubyte.gz"] = gzip.compress(LABELS)
    return cache


def left_behind(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def failing_fetch(*args, **kwargs):
    with pytest.raises(DataError) as caught:
        datasets.fetch(*args, **kwargs)
    message = str(caught.value)
    assert "\n" not in message
    return message


# --- what works ------------------------------------------------------------------------------


def test_fetch_unpacks_verifies_and_keeps(tiny, server):
    folder = datasets.fetch("tiny")
    assert folder == tiny / "tiny/raw"
    assert (folder / "images-idx3-ubyte").read_bytes() == IMAGES
    assert left_behind(tiny) == ["images-idx3-ubyte", "labels-idx1-ubyte"]
    array = files.read_idx("tiny/images-idx3-ubyte")
    assert np.array_equal(array, np.arange(24).reshape(3, 2, 4))
    assert files.read_idx("tiny/labels-idx1-ubyte").tolist() == [7, 8, 9]
    assert len(server.asked) == 2


def test_what_is_here_and_whole_is_not_fetched_again(tiny, server):
    datasets.fetch("tiny")
    datasets.fetch("tiny")
    assert len(server.asked) == 2


def test_reading_fetches_what_is_not_on_disk(tiny):
    assert files.read_idx("tiny/labels-idx1-ubyte").tolist() == [7, 8, 9]


def test_a_copy_on_disk_is_taken_before_any_server(tiny, server, tmp_path):
    files.DEBIAN_FASHION.mkdir()
    packed = gzip.compress(LABELS, compresslevel=1)
    (files.DEBIAN_FASHION / "labels-idx1-ubyte.gz").write_bytes(packed)
    assert files.read_idx("tiny/labels-idx1-ubyte").tolist() == [7, 8, 9]
    assert server.asked == []


def test_the_next_mirror_is_tried(tiny, server):
    server.pages["/second/images-idx3-ubyte.gz"] = server.pages.pop("/first/images-idx3-ubyte.gz")
    datasets.fetch("tiny/images-idx3-ubyte")
    assert server.asked == ["/first/images-idx3-ubyte.gz", "/second/images-idx3-ubyte.gz"]


@pytest.mark.parametrize("by", ["argument", "environment"])
def test_a_named_mirror_is_the_only_one_asked(tiny, server, monkeypatch, by):
    server.pages["/mine/labels-idx1-ubyte.gz"] = gzip.compress(LABELS, compresslevel=1)
    mirror = f"{server.url}/mine/"
    if by == "environment":
        monkeypatch.setenv("WHYDEEP_MIRROR", mirror)
        mirror = None
    datasets.fetch("tiny/labels-idx1-ubyte", mirror)
    failing_fetch("tiny/images-idx3-ubyte", mirror)
    assert {path.split("/")[1] for path in server.asked} == {"mine"}


def test_a_server_that_unpacks_on_the_way_is_understood(tiny, server):
    server.pages["/first/labels-idx1-ubyte.gz"] = lambda handler: answer(
        handler, gzip.compress(LABELS), encoding="gzip"
    )
    datasets.fetch("tiny/labels-idx1-ubyte")
    assert files.read_idx("tiny/labels-idx1-ubyte").tolist() == [7, 8, 9]


def test_a_damaged_cached_file_is_reported_and_fetched_again(tiny, server):
    datasets.fetch("tiny")
    (tiny / "tiny/raw/labels-idx1-ubyte").write_bytes(LABELS[:-1])
    with pytest.raises(DataError, match=r"truncated: 10 bytes, expected 11; .*data fetch tiny"):
        files.read_idx("tiny/labels-idx1-ubyte")
    datasets.fetch("tiny")
    assert files.read_idx("tiny/labels-idx1-ubyte").tolist() == [7, 8, 9]


def test_verify_tells_absent_from_damaged(tiny):
    assert [ok for _, ok, _ in datasets.verify()] == [True, True]
    assert [ok for _, ok, _ in datasets.verify("tiny")] == [False, False]
    datasets.fetch("tiny")
    assert [ok for _, ok, _ in datasets.verify("tiny")] == [True, True]
    (tiny / "tiny/raw/labels-idx1-ubyte").write_bytes(LABELS[::-1])
    assert [ok for _, ok, _ in datasets.verify()] == [True, False]


# --- what goes wrong -------------------------------------------------------------------------


def broken_off(handler):
    answer(handler, gzip.compress(LABELS)[:15], length=len(gzip.compress(LABELS)))


def broken_off_without_length(handler):
    answer(handler, gzip.compress(LABELS)[:15], length=False)


def refuses(handler):
    handler.send_error(503)


def announces_too_much(handler):
    answer(handler, b"", length=10**15)


def unpacks_to_much_on_the_way(handler):
    answer(handler, gzip.compress(bytes(10_000_000)), encoding="gzip")


def sends_another_encoding(handler):
    answer(handler, b"no gzip at all", encoding="gzip")


@pytest.mark.parametrize(
    ("page", "told"),
    [
        (broken_off, "broke off before the end"),
        (broken_off_without_length, "truncated or damaged archive"),
        (b"<html>Please log in</html>", "sent another file (26 bytes unpacked"),
        (b"", "sent another file (0 bytes unpacked"),
        (gzip.compress(LABELS[::-1], mtime=0), "sent another file (11 bytes unpacked"),
        (gzip.compress(bytes(1_000_000), mtime=0), "sent another file (12 bytes unpacked"),
        (gzip.compress(LABELS, mtime=0)[:-6] + bytes(6), "truncated or damaged archive"),
        (announces_too_much, "sends another file (more than the 1,035 bytes"),
        (unpacks_to_much_on_the_way, "sends another file (more than the 1,035 bytes"),
        (sends_another_encoding, "truncated or damaged archive"),
        (None, "answered 404"),
        (refuses, "answered 503"),
    ],
)
def test_a_bad_answer_is_one_line_and_leaves_nothing(tiny, server, page, told):
    server.pages["/first/labels-idx1-ubyte.gz"] = page
    message = failing_fetch("tiny/labels-idx1-ubyte")
    assert told in message
    assert f"{server.url}/first/labels-idx1-ubyte.gz" in message
    assert "--mirror URL" in message
    assert left_behind(tiny) == []


def test_a_failed_fetch_leaves_the_damaged_old_file_unchanged(tiny, server):
    datasets.fetch("tiny")
    path = tiny / "tiny/raw/labels-idx1-ubyte"
    path.write_bytes(b"old")
    server.pages["/first/labels-idx1-ubyte.gz"] = b"wrong"
    failing_fetch("tiny")
    assert path.read_bytes() == b"old"
    assert left_behind(tiny) == ["images-idx3-ubyte", "labels-idx1-ubyte"]


def test_a_server_that_stalls_is_given_up(tiny, server, monkeypatch):
    monkeypatch.setattr(download, "SILENCE", 0.2)

    def stalls(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        handler.wfile.write(b"\x1f\x8b")
        handler.wfile.flush()
        server.release.wait(20)

    server.pages["/first/labels-idx1-ubyte.gz"] = stalls
    message = failing_fetch("tiny/labels-idx1-ubyte")
    assert "sent nothing for 0.2 s" in message
    assert left_behind(tiny) == []


def test_a_server_that_never_answers_is_given_up(tiny, server, monkeypatch):
    monkeypatch.setattr(download, "SILENCE", 0.2)
    server.pages["/first/labels-idx1-ubyte.gz"] = lambda _: server.release.wait(20)
    assert "sent nothing for 0.2 s" in failing_fetch("tiny/labels-idx1-ubyte")


def until_hung_up(server, handler, first, more, pause=0.0):
    """Send `first`, then `more` again and again until the other side or the test ends it."""
    handler.wfile.write(first)
    try:
        while not server.release.wait(pause):
            handler.wfile.write(more)
    except OSError:
        server.release.set()


def test_an_endless_body_stops_at_what_the_catalogue_allows(tiny, server):
    head = b"HTTP/1.0 200 OK\r\n\r\n"
    server.pages["/first/labels-idx1-ubyte.gz"] = lambda handler: until_hung_up(
        server, handler, head, bytes(4096)
    )
    message = failing_fetch("tiny/labels-idx1-ubyte")
    assert "more than the 1,035 bytes that are expected at most" in message
    assert left_behind(tiny) == []
    assert server.release.wait(20), "the download must hang up"


@pytest.mark.parametrize("head", [b"HTTP/1.0 200 OK\r\n\r\n", b"HTTP/1.0 200 OK\r\nX-Slow: "])
def test_a_server_that_drips_is_given_up_in_its_head_and_in_its_body(
    tiny, server, monkeypatch, head
):
    monkeypatch.setattr(download, "GRACE", 0.2)
    server.pages["/first/labels-idx1-ubyte.gz"] = lambda handler: until_hung_up(
        server, handler, head, b"x", 0.02
    )
    message = failing_fetch("tiny/labels-idx1-ubyte")
    assert "is too slow: " in message
    assert "expected 10,000 a second or more" in message
    assert left_behind(tiny) == []


def test_a_slow_server_that_keeps_the_pace_is_waited_for(tiny, server, monkeypatch):
    monkeypatch.setattr(download, "GRACE", 0.0)
    monkeypatch.setattr(download, "SLOWEST", 0)

    def slow(handler):
        server.release.wait(0.4)
        answer(handler, gzip.compress(LABELS))

    server.pages["/first/labels-idx1-ubyte.gz"] = slow
    datasets.fetch("tiny/labels-idx1-ubyte")
    assert left_behind(tiny) == ["labels-idx1-ubyte"]


def test_a_host_that_cannot_be_a_name_is_told_as_such(tiny):
    message = failing_fetch("tiny/labels-idx1-ubyte", f"http://{'a' * 64}.example")
    assert "cannot be reached" in message
    assert "another file" not in message


def test_a_full_disk_is_told_before_anything_is_downloaded(tiny, server, monkeypatch):
    usage = shutil.disk_usage(".")._replace(free=10)
    monkeypatch.setattr(files.shutil, "disk_usage", lambda _: usage)
    assert "cannot be written (11 bytes, but 10 are free)" in failing_fetch(
        "tiny/labels-idx1-ubyte"
    )
    assert server.asked == []


def test_a_reader_who_interrupts_leaves_nothing(tiny, server, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("requests.models.Response.iter_content", interrupted)
    with pytest.raises(KeyboardInterrupt):
        datasets.fetch("tiny/labels-idx1-ubyte")
    assert left_behind(tiny) == []


def test_a_dead_mirror_is_one_line(tiny):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    message = failing_fetch("tiny/labels-idx1-ubyte", f"http://127.0.0.1:{port}")
    assert "cannot be reached" in message
    assert "Name a mirror" in message
    assert left_behind(tiny) == []


def test_every_mirror_that_failed_is_named(tiny, server):
    del server.pages["/first/images-idx3-ubyte.gz"]
    message = failing_fetch("tiny/images-idx3-ubyte")
    assert f"{server.url}/first/" in message
    assert f"{server.url}/second/" in message
    assert "40 bytes" in message


@pytest.mark.parametrize(
    "mirror", ["", "ftp://example.org", "example.org/data", "file:///etc", "http:"]
)
@pytest.mark.parametrize("here", [False, True], ids=["to fetch", "here already"])
def test_a_mirror_that_is_no_web_address_is_one_line(tiny, server, mirror, here):
    if here:
        datasets.fetch("tiny")
        server.asked.clear()
    message = failing_fetch("tiny", mirror)
    assert repr(mirror) in message
    assert "https://" in message
    assert server.asked == []


def test_a_mirror_for_what_comes_with_a_package_is_refused():
    message = failing_fetch("digits", "https://example.org")
    assert message == (
        "digits comes with the package scikit-learn, not from a mirror; leave --mirror out."
    )


def test_a_fetch_without_a_name_says_which_there_are(tiny):
    assert failing_fetch(None) == "Name the data set to fetch; there are: tiny."


def test_a_cache_that_cannot_be_written_is_one_line(tiny):
    tiny.write_text("a file where the cache folder should be")
    assert "cannot be written" in failing_fetch("tiny/labels-idx1-ubyte")


# --- a package without its repository, as on Colab --------------------------------------------


@pytest.fixture
def installed(tmp_path):
    """Run Python with a copy of the package that has no repository around it."""
    site = tmp_path / "site"
    shutil.copytree(
        ROOT / "code/whydeep", site / "whydeep", ignore=shutil.ignore_patterns("__pycache__")
    )

    def run(code, *, stamp=None, **environment):
        if stamp:
            (site / "whydeep/_stamp.py").write_text(stamp)
        kept = {k: v for k, v in os.environ.items() if not k.startswith("WHYDEEP_")}
        kept |= {"PYTHONPATH": str(site), "XDG_CACHE_HOME": str(tmp_path / "cache")}
        kept |= {"HOME": str(tmp_path), "OMP_NUM_THREADS": "1", **environment}
        done = subprocess.run(
            [sys.executable, "-c", code], env=kept, cwd=tmp_path, capture_output=True, text=True,
            check=False, timeout=120,
        )  # fmt: skip
        return done.returncode, done.stdout, done.stderr

    return run


LOAD = """
from whydeep import datasets
from whydeep.errors import DataError
try:
    print(tuple(datasets.first_layer_filters().shape), sorted(datasets.photographs())[0])
except DataError as error:
    print(error)
"""


def serve_repository(server, prefix):
    for path in (ROOT / "data").rglob("*"):
        if path.suffix in (".yaml", ".npz", ".jpg"):
            server.pages[f"{prefix}/{path.relative_to(ROOT / 'data')}"] = path.read_bytes()


def test_an_installed_package_fetches_from_its_stamped_commit(server, installed):
    stamp = f"REPOSITORY = '{server.url}/book'\nCOMMIT = 'c0ffee'\n"
    serve_repository(server, "/book/raw/c0ffee/data")
    expected = (0, "(32, 3, 7, 7) acanthus-mollis\n", "")
    assert installed(LOAD, stamp=stamp) == expected
    asked = len(server.asked)
    assert asked == 9
    assert installed(LOAD) == expected
    assert len(server.asked) == asked, "the second run must find everything in the cache"


def test_an_installed_package_refuses_wrong_files_and_recovers(server, installed):
    stamp = f"REPOSITORY = '{server.url}/book'\nCOMMIT = 'c0ffee'\n"
    serve_repository(server, "/book/raw/c0ffee/data")
    listed = "/book/raw/c0ffee/data/datasets.yaml"
    whole = server.pages[listed]
    server.pages[listed] = whole[: len(whole) // 2]
    _, said, _ = installed(LOAD, stamp=stamp)
    assert said.startswith("Cannot fetch the list of data files")
    server.pages[listed] = whole
    file = "/book/raw/c0ffee/data/filters/conv1_dlib_face_resnet_rgb.npz"
    content = server.pages[file]
    server.pages[file] = content[:-1] + b"?"
    _, said, _ = installed(LOAD)
    assert "sent another file" in said
    assert said.count("\n") == 1
    server.pages[file] = content
    assert installed(LOAD) == (0, "(32, 3, 7, 7) acanthus-mollis\n", "")


def test_an_installed_package_without_stamp_says_what_to_do(installed):
    _, said, _ = installed(LOAD)
    assert "which repository and commit on the web" in said
    assert "WHYDEEP_DATA" in said
    assert said.count("\n") == 1
    assert installed(LOAD, WHYDEEP_DATA=str(ROOT / "data"))[1].startswith("(32, 3, 7, 7)")


def test_an_installed_package_takes_a_mirror_of_the_data_folder(server, installed):
    serve_repository(server, "/copy")
    done = installed(LOAD, WHYDEEP_MIRROR=f"{server.url}/copy")
    assert done == (0, "(32, 3, 7, 7) acanthus-mollis\n", "")


@pytest.mark.parametrize(
    ("repository", "address"),
    [
        ("https://github.com/who/book", "https://raw.githubusercontent.com/who/book/abc/data/x.npz"),
        ("https://github.com/who/book.git", "https://raw.githubusercontent.com/who/book/abc/data/x.npz"),
        ("ssh://git@github.com/who/book.git", "https://raw.githubusercontent.com/who/book/abc/data/x.npz"),
        ("git@github.com:who/book.git", "https://raw.githubusercontent.com/who/book/abc/data/x.npz"),
        ("who/book", "https://raw.githubusercontent.com/who/book/abc/data/x.npz"),
        ("https://git.example.org/who/book/", "https://git.example.org/who/book/raw/abc/data/x.npz"),
    ],
)  # fmt: skip
def test_stamp_becomes_the_address_of_the_raw_file(monkeypatch, repository, address):
    monkeypatch.setattr(files, "_stamp", lambda: (repository, "abc"))
    assert files.stamped_address("data/x.npz") == address


@pytest.mark.parametrize("repository", [None, "", "file:///home/me/book", "/home/me/book"])
def test_a_stamp_that_is_no_web_address_is_one_clear_line(monkeypatch, repository):
    monkeypatch.setattr(files, "_stamp", lambda: (repository, "abc"))
    with pytest.raises(DataError, match="which repository and commit on the web") as caught:
        files.stamped_address("data/x.npz")
    assert "\n" not in str(caught.value)


def test_what_pip_records_of_a_git_installation_is_a_stamp(monkeypatch):
    # The record's form is PEP 610's own example, with this book's names.
    record = (
        '{"url": "https://github.com/who/book.git", "subdirectory": "code", "vcs_info": '
        '{"vcs": "git", "requested_revision": "main", "commit_id": "abc"}}'
    )

    class Distribution:
        def read_text(self, name):
            assert name == "direct_url.json"
            return record

    monkeypatch.setitem(sys.modules, "whydeep._stamp", None)
    monkeypatch.setattr(files.importlib.metadata, "distribution", lambda _: Distribution())
    assert files._stamp() == ("https://github.com/who/book.git", "abc")


# --- a checkout whose file is damaged ---------------------------------------------------------


@pytest.fixture
def checkout(tmp_path, monkeypatch, server):
    """A data folder of one's own, whose filters are damaged; the server has them whole."""
    shutil.copytree(ROOT / "data/filters", tmp_path / "data/filters")
    path = tmp_path / "data/filters/conv1_dlib_face_resnet_rgb.npz"
    monkeypatch.setenv("WHYDEEP_DATA", str(tmp_path / "data"))
    monkeypatch.delenv("WHYDEEP_MIRROR", raising=False)
    server.pages["/filters/conv1_dlib_face_resnet_rgb.npz"] = path.read_bytes()
    path.write_bytes(path.read_bytes()[:100])
    return path


def test_what_a_killed_fetch_leaves_is_ignored_by_git_and_removed_by_the_next(
    checkout, server, monkeypatch
):
    # The process dies at the worst moment: its part is written and not yet in place.
    code = (
        "import os, signal\n"
        "from whydeep import datasets\n"
        "os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"datasets.fetch('filters', {server.url!r})\n"
    )
    before = checkout.read_bytes()
    done = subprocess.run([sys.executable, "-c", code], check=False)
    assert done.returncode == -signal.SIGKILL
    assert checkout.read_bytes() == before
    (part,) = checkout.parent.glob(".*")
    seen = ["git", "check-ignore", "--quiet", f"data/filters/{part.name}"]
    assert subprocess.run(seen, cwd=ROOT, check=False).returncode == 0
    # A young part may be that of a fetch that goes on beside this one.
    with pytest.raises(DataError):
        datasets.fetch("filters")
    assert part.exists()
    os.utime(part, (0, 0))
    datasets.fetch("filters", server.url)
    assert not part.exists()
    assert datasets.first_layer_filters().shape == (32, 3, 7, 7)


def test_a_named_mirror_mends_a_shipped_file(checkout, server):
    assert "copy it afresh" in failing_fetch("filters")
    assert datasets.fetch("filters", server.url) == checkout
    assert checkout.read_bytes() == server.pages["/filters/conv1_dlib_face_resnet_rgb.npz"]
    checkout.unlink()
    assert datasets.fetch("filters", server.url) == checkout
    assert datasets.first_layer_filters().shape == (32, 3, 7, 7)
