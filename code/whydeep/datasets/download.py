"""One download from the web into memory, bounded in time and in size.

Nothing is written to disk here, so that an interrupted or endless download leaves nothing behind.
"""

from __future__ import annotations

import sys
import threading
import time
from typing import NoReturn

from whydeep.errors import DataError

# Seconds without a byte from the server before it is given up.
SILENCE = 30.0
# Once GRACE seconds are over, a download slower than SLOWEST bytes a second on average is given up:
# so each one ends within GRACE seconds, or within its size over SLOWEST if that is more.
GRACE = 30.0
SLOWEST = 10_000
CHUNK = 1 << 14


class _Transfer(threading.Thread):
    """Reads an answer in the background, so that no phase of it can hold up the one who waits.

    `body` is what has come so far, `error` what ended it early. Setting `wanted` to False ends it
    at the next chunk; being a daemon, it keeps no process alive.
    """

    def __init__(self, url: str, most: int) -> None:
        super().__init__(daemon=True)
        self.url, self.most = url, most
        self.body = bytearray()
        self.announced: int | None = None
        self.error: BaseException | None = None
        self.wanted = True

    def run(self) -> None:
        try:
            self._read()
        except BaseException as error:
            self.error = error

    def _read(self) -> None:
        import requests

        with requests.get(self.url, stream=True, timeout=SILENCE) as answer:
            answer.raise_for_status()
            length = answer.headers.get("Content-Length", "")
            if length.isascii() and length.isdecimal():
                self.announced = int(length[:20])
                self._refuse_beyond(self.announced)
            for chunk in answer.iter_content(CHUNK):
                self.body += chunk
                self._refuse_beyond(len(self.body))
                if not self.wanted:
                    return

    def _refuse_beyond(self, size: int) -> None:
        if size > self.most:
            raise DataError(
                f"{self.url} sends another file (more than the {self.most:,} bytes that are "
                "expected at most)"
            )


def download(url: str, most: int) -> bytes:
    """The body of the answer at `url`, which may have up to `most` bytes.

    Raises `DataError` that says what went wrong: the address cannot be reached, the server answers
    with an error, falls silent for SILENCE seconds, is slower than SLOWEST, breaks off, or sends
    more than `most` bytes.
    """
    from tqdm import tqdm

    transfer = _Transfer(url, most)
    began = time.monotonic()
    transfer.start()
    try:
        with tqdm(unit="B", unit_scale=True, disable=not sys.stderr.isatty(), leave=False) as bar:
            while transfer.is_alive():
                transfer.join(0.1)
                bar.total = transfer.announced
                bar.update(len(transfer.body) - bar.n)
                seconds = time.monotonic() - began
                slow = len(transfer.body) < SLOWEST * seconds
                if slow and seconds > GRACE and transfer.is_alive():
                    raise DataError(
                        f"{url} is too slow: {len(transfer.body):,} bytes in {seconds:.3g} s, "
                        f"expected {SLOWEST:,} a second or more"
                    )
    finally:
        transfer.wanted = False
    if transfer.error is not None:
        _tell(url, transfer.error)
    return bytes(transfer.body)


def _tell(url: str, error: BaseException) -> NoReturn:
    """Raise what ended a transfer as a `DataError`; a fault of the book as it is."""
    from requests import exceptions as failed

    if isinstance(error, failed.HTTPError) and error.response is not None:
        raise DataError(f"{url} answered {error.response.status_code}") from error
    if isinstance(error, failed.ChunkedEncodingError):
        raise DataError(f"{url} broke off before the end") from error
    if isinstance(error, failed.ContentDecodingError):
        raise DataError(f"{url} sent a truncated or damaged archive") from error
    # A server that falls silent in the middle raises ConnectionError, not Timeout.
    if isinstance(error, failed.RequestException) and (
        isinstance(error, failed.Timeout) or "timed out" in str(error)
    ):
        raise DataError(f"{url} sent nothing for {SILENCE:g} s") from error
    # A part of the host's name longer than the 63 letters it may have is a UnicodeError.
    if isinstance(error, failed.RequestException | OSError | ValueError):
        raise DataError(f"{url} cannot be reached ({type(error).__name__})") from error
    raise error
