# Are two cold builds of the book identical? `python tests/site/compare_builds.py HTML_A HTML_B`
# names the files that differ. Only the build status page may: it shows seconds and dates.
import filecmp
import sys
from pathlib import Path

STATUS_PAGES = {"build-status"}


def differences(one: Path, two: Path) -> list[str]:
    """The files, relative to both folders, that only one of them has or that differ."""
    names = [{p.relative_to(at) for p in at.rglob("*") if p.is_file()} for at in (one, two)]
    common = sorted(names[0] & names[1])
    _, differing, errors = filecmp.cmpfiles(one, two, common, shallow=False)
    found = {*map(Path, differing), *map(Path, errors), *(names[0] ^ names[1])}
    return sorted(str(p) for p in found if p.name.partition(".")[0] not in STATUS_PAGES)


if __name__ == "__main__":
    found = differences(Path(sys.argv[1]), Path(sys.argv[2]))
    print("\n".join(found) or "identical")
    sys.exit(1 if found else 0)
