"""The built site as one zip to read offline, and the sha256 to check it by.

    python -m whydeep.book.publish.archive _build/html _build/why-does-deep-learning-work.zip

The same site gives the same bytes: files stand in order, with one fixed date.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

from whydeep.errors import WhydeepError

DATE = (1980, 1, 1, 0, 0, 0)  # the earliest that the format knows


def write_archive(site: Path, target: Path) -> str:
    """Zip the folder ``site`` into ``target``; returns the sha256 in hex.

    Beside it goes ``target`` with ``.sha256`` added, which ``sha256sum --check`` reads. All files
    stand in one folder named like the zip. WhydeepError if there is no site.
    """
    if not (site / "index.html").is_file():
        raise WhydeepError(f"no book in {site}: run `make book` first")
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for path in sorted(p for p in site.rglob("*") if p.is_file()):
            entry = zipfile.ZipInfo(f"{target.stem}/{path.relative_to(site).as_posix()}", DATE)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, path.read_bytes())
    digest = hashlib.sha256(target.read_bytes()).hexdigest()
    target.with_name(f"{target.name}.sha256").write_text(f"{digest}  {target.name}\n", "utf-8")
    return digest


def main(argv: Sequence[str] | None = None) -> int:
    """Exit 0, or 2 if there is nothing to zip."""
    parser = argparse.ArgumentParser(
        prog="python -m whydeep.book.publish.archive", description="Zip the built site."
    )
    parser.add_argument("site", type=Path, help="the folder of the built site")
    parser.add_argument("target", type=Path, help="the zip to write")
    args = parser.parse_args(argv)
    try:
        digest = write_archive(args.site, args.target)
    except WhydeepError as error:
        print(f"archive: {error}", file=sys.stderr)
        return 2
    print(f"{args.target}: {args.target.stat().st_size / 1e6:.1f} MB, sha256 {digest}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
