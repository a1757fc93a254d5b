# The shipped data are what their datasheets state, and a bad file is one clear error.
# Checksums were measured with another script when the data were chosen; counts and moments are
# the published ones.
import ast
import dataclasses
import hashlib
import io
import re
import shutil
import subprocess
import sys
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from whydeep import datasets
from whydeep.chance import Chance
from whydeep.datasets import files, images
from whydeep.errors import BadSettings, DataError, WhydeepError

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / "data"

# sha256 of array bytes, measured when the data were chosen, before the builder here was written.
FASHION_SHA256 = {
    "x_train": "8e7eac5e325a1dcaf8aa4489f0948bd07a02c671ccc4fba0f9bc16dda976bf80",
    "y_train": "da455107cc77d24e7e0bc9fd4ed99761293521bb508582153c8ef8ad80f0c184",
    "x_test": "d9ee9d9b4e1bac3a8ef47a1ca498c790c2bd4bacad4902e56709bd4be482fc09",
    "y_test": "0aae6082695950f988e4b0062880a1eb8bf36a21edc8549e1fa0f79693fd22c0",
}
PHOTOGRAPH_SHA256 = {
    "black-canyon": "eda127f21c8cd3c3aad140f185c04f869dba0649fb78d0721646f5b846314ce4",
    "nagasaki-boats": "d0a39f90b23d7139e9634d6767dd26de39a38e3cb68885971addc530149498f0",
    "march-pastoral": "fcb52e52393e0e729ca016f8d917cadc376a30436314df17e980dd8646ec4027",
    "dust-bowl-home": "2d087c9f6e79289fe6ce14a435eac690aa745e5df0d8e02049f6d122092267b8",
    "french-alpine-landscape": "49d754596491a580d3cfb434abc4e2b692611948d21e14483ee66bb55323f90f",
    "acanthus-mollis": "05661b4d67124cc306a523f96e5348544067f2403ce5c66bc3865c1e9bce944b",
    "allium-oreophilum": "c0555d9ab5c233634936cf204d9652667ebaece604ddf1ed58a71ae3b226ba36",
}


@pytest.fixture(autouse=True)
def nothing_verified_yet(monkeypatch):
    """Each test verifies its files anew, and sees no variable or cache of the machine's user."""
    monkeypatch.setattr(files, "_verified", set())
    for name in ("WHYDEEP_DATA", "WHYDEEP_MIRROR", "WHYDEEP_ROOT"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def copied_data(tmp_path, monkeypatch):
    """A private copy of the data folder, which a test may damage; WHYDEEP_DATA names it."""
    for folder in ("fashion-mnist", "filters", "photographs"):
        shutil.copytree(DATA / folder, tmp_path / "data" / folder)
    monkeypatch.setenv("WHYDEEP_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


def tracked(folder):
    """Files under `folder` that git tracks or would track, as paths relative to the repository."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", folder]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return [line for line in done.stdout.splitlines() if (ROOT / line).is_file()]


# --- what is shipped -------------------------------------------------------------------------


def test_fashion_npz_holds_exactly_the_stated_arrays():
    with np.load(DATA / "fashion-mnist/fashion_mnist_10k_2k.npz", allow_pickle=False) as archive:
        found = {key: hashlib.sha256(archive[key].tobytes()).hexdigest() for key in archive}
        assert {key: archive[key].shape for key in archive} == {
            "x_train": (10000, 28, 28), "y_train": (10000,),
            "x_test": (2000, 28, 28), "y_test": (2000,),
        }  # fmt: skip
        assert {archive[key].dtype for key in archive} == {np.dtype("uint8")}
    assert found == FASHION_SHA256


def test_fashion_loads_balanced_in_unit_range():
    data = datasets.fashion_mnist()
    assert data.train_x.shape == (10000, 1, 28, 28)
    assert data.test_x.shape == (2000, 1, 28, 28)
    assert data.train_x.dtype == torch.float32
    assert data.train_y.dtype == torch.int64
    assert data.train_y.bincount().tolist() == [1000] * 10
    assert data.test_y.bincount().tolist() == [200] * 10
    assert (data.train_x.min().item(), data.train_x.max().item()) == (0.0, 1.0)
    assert len(data.classes) == 10
    assert data.classes[9] == "Ankle boot"
    # The full set's mean is 0.2860 with standard deviation 0.3530 over pixels; image means vary by
    # about 0.15, so the subset's mean has a standard error near 0.0015.
    assert data.train_x.mean().item() == pytest.approx(0.2860, abs=0.005)


def test_full_fashion_set_has_the_published_counts_and_moments():
    if files._on_disk(files.entries("fashion-mnist-full/train-images-idx3-ubyte")[0]) is None:
        pytest.skip("the full set is not on this machine (apt-get install dataset-fashion-mnist)")
    data = datasets.fashion_mnist(full=True)
    assert data.train_y.bincount().tolist() == [6000] * 10
    assert data.test_y.bincount().tolist() == [1000] * 10
    # Mean 0.2860 and standard deviation 0.3530 are the constants in common use for this set.
    assert data.train_x.mean().item() == pytest.approx(0.2860, abs=5e-5)
    assert data.train_x.std().item() == pytest.approx(0.3530, abs=5e-5)
    # The stated selection rule, written out again, gives the shipped subset.
    rng = np.random.default_rng(0)
    labels = data.train_y.numpy()
    kept = np.sort(
        np.concatenate([rng.permutation(np.flatnonzero(labels == c))[:1000] for c in range(10)])
    )
    assert torch.equal(data.train_x[kept], datasets.fashion_mnist().train_x)
    # So does that of the pool: none of the subset, each class of both sets permuted in turn.
    subset = datasets.fashion_mnist()
    taken = {image.numpy().tobytes() for image in torch.cat([subset.train_x, subset.test_x])}
    x, y = torch.cat([data.train_x, data.test_x]), torch.cat([data.train_y, data.test_y]).numpy()
    free = np.array([image.numpy().tobytes() not in taken for image in x])
    assert free.sum() == 58_000
    rng = np.random.default_rng(1)
    kept = np.sort(
        np.concatenate([rng.permutation(np.flatnonzero(free & (y == c)))[:2400] for c in range(10)])
    )
    pool = datasets.fashion_pool("reporting")
    assert np.array_equal((x[kept, 0] * 255).round().to(torch.uint8).numpy(), pool.x)
    assert np.array_equal(y[kept], pool.y)


def test_digits_are_scikit_learns_and_split_once():
    from sklearn.datasets import load_digits

    data = datasets.digits()
    assert data.train_x.shape == (1437, 1, 8, 8)
    assert data.test_x.shape == (360, 1, 8, 8)
    together = torch.cat([data.train_x, data.test_x]).reshape(1797, 64).mul(16).numpy()
    original = load_digits().data
    assert np.array_equal(
        np.sort(together.view(np.dtype((np.void, 256))).ravel()),
        np.sort(original.astype(np.float32).view(np.dtype((np.void, 256))).ravel()),
    )
    # A class's share of the test set is its share of 360, to within rounding.
    shares = 360 * np.bincount(load_digits().target) / 1797
    assert np.all(np.abs(data.test_y.bincount().numpy() - shares) < 1)
    assert torch.equal(data.test_x, datasets.digits().test_x)


def test_a_broken_scikit_learn_is_one_clear_line(monkeypatch):
    from sklearn import datasets as sklearn_datasets

    def missing():
        raise FileNotFoundError("digits.csv.gz")

    changed = sklearn_datasets.load_digits()
    changed.images[0, 0, 0] += 1
    monkeypatch.setattr(sklearn_datasets, "load_digits", missing)
    with pytest.raises(DataError) as caught:
        datasets.digits()
    one_line(caught, "scikit-learn's digits cannot be read", "pip install --force-reinstall")
    monkeypatch.setattr(sklearn_datasets, "load_digits", lambda: changed)
    with pytest.raises(DataError) as caught:
        datasets.digits()
    one_line(caught, "array 'x'", "altered")


def test_filters_look_like_trained_filters():
    weight = datasets.first_layer_filters()
    assert weight.shape == (32, 3, 7, 7)
    assert weight.dtype == torch.float32
    content = weight.numpy().tobytes()
    # The bytes of the copy made independently when the data were chosen.
    assert hashlib.sha256(content).hexdigest() == (
        "9233f281913df342c7abdca9cdd8fcba38422f7f756bb00d1a07f33e90612d36"
    )
    # Neighbouring weights of trained filters agree; random ones would not (sd 0.016).
    left, right = weight[..., :-1].flatten(), weight[..., 1:].flatten()
    assert torch.corrcoef(torch.stack([left, right]))[0, 1] > 0.3


def test_photographs_are_the_named_files_in_unit_range():
    pictures = datasets.photographs()
    assert set(pictures) == set(PHOTOGRAPH_SHA256)
    for name, picture in pictures.items():
        content = (DATA / "photographs" / f"{name}.jpg").read_bytes()
        assert hashlib.sha256(content).hexdigest() == PHOTOGRAPH_SHA256[name]
        assert picture.shape[0] == 3
        assert max(picture.shape) == 1024
        assert picture.dtype == torch.float32
        assert 0 <= picture.min() < 0.2 < 0.6 < picture.max() <= 1


def test_loaders_return_fresh_tensors():
    first = datasets.fashion_mnist()
    first.train_y.zero_()
    first.train_x.zero_()
    again = datasets.fashion_mnist()
    assert again.train_y.bincount().tolist() == [1000] * 10
    assert again.train_x.max() == 1


# --- subsets ---------------------------------------------------------------------------------


def test_subset_is_balanced_drawn_by_its_seed_and_nested():
    data = datasets.fashion_mnist()
    small, large = data.subset(100, 50, seed=3), data.subset(200, 50, seed=3)
    assert small.train_y.bincount().tolist() == [10] * 10
    assert small.test_y.bincount().tolist() == [5] * 10
    assert torch.equal(small.train_x, data.subset(100, 200, seed=3).train_x)
    assert not torch.equal(small.train_x, data.subset(100, 50, seed=4).train_x)
    assert torch.equal(small.test_x, large.test_x)
    assert torch.equal(small.test_x, data.subset(None, 50, seed=3).test_x)
    assert not torch.equal(small.test_x, data.subset(100, 50, seed=4).test_x)
    rows = {row.numpy().tobytes() for row in large.train_x}
    assert all(row.numpy().tobytes() in rows for row in small.train_x)


def test_subset_of_uneven_size_shares_as_evenly_as_it_can():
    data = datasets.fashion_mnist().subset(105, 1, seed=0)
    assert sorted(data.train_y.bincount().tolist()) == [10] * 5 + [11] * 5
    assert len(data.test_y) == 1


def test_subset_of_none_keeps_everything():
    data = datasets.digits()
    whole = data.subset(seed=0)
    assert torch.equal(whole.train_x, data.train_x)
    assert torch.equal(whole.test_y, data.test_y)


@pytest.mark.parametrize("n", [0, -1, 1438])
def test_subset_of_impossible_size_is_one_clear_line(n):
    with pytest.raises(BadSettings, match=rf"^n_train is {n}, expected .* 1 to 1437") as caught:
        datasets.digits().subset(n, seed=0)
    assert "\n" not in str(caught.value)


def test_shares_of_classes_are_those_of_a_worked_example():
    # 60, 30 and 10 examples, 21 wanted: shares 12.6, 6.3, 2.1, so 13, 6, 2.
    labels = np.repeat([0, 1, 2], [60, 30, 10])
    kept = images.stratified_indices(labels, 21, Chance(0).numpy())
    assert np.bincount(labels[kept]).tolist() == [13, 6, 2]
    assert np.array_equal(kept, np.unique(kept))


# --- damaged, missing, altered ---------------------------------------------------------------


def one_line(caught, *parts):
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message
    assert isinstance(caught.value, WhydeepError)


def test_a_whole_copy_elsewhere_is_accepted(copied_data):
    assert datasets.first_layer_filters().shape == (32, 3, 7, 7)
    assert all(ok for _, ok, _ in datasets.verify("photographs"))


def test_missing_file_names_it_and_the_remedy(copied_data, monkeypatch):
    (copied_data / "filters/conv1_dlib_face_resnet_rgb.npz").unlink()
    with pytest.raises(DataError) as caught:
        datasets.first_layer_filters()
    one_line(caught, "conv1_dlib_face_resnet_rgb.npz is missing", "18,070 bytes", "WHYDEEP_DATA")


def test_missing_file_of_a_checkout_is_restored_by_git(copied_data, monkeypatch):
    monkeypatch.delenv("WHYDEEP_DATA")
    (entry,) = files.entries("filters")
    assert files._mend(entry) == (
        "restore it with: git checkout -- data/filters/conv1_dlib_face_resnet_rgb.npz"
    )


@pytest.mark.parametrize("kept", [0, 1, 100, 5000, -1])
def test_truncated_npz_is_one_clear_line(copied_data, kept):
    path = copied_data / "filters/conv1_dlib_face_resnet_rgb.npz"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(DataError) as caught:
        datasets.first_layer_filters()
    one_line(caught, str(path), "cannot be read", "18,070")


def test_every_flipped_bit_of_an_npz_is_noticed_or_harmless(copied_data):
    path = copied_data / "filters/conv1_dlib_face_resnet_rgb.npz"
    whole = path.read_bytes()
    (entry,) = files.entries("filters")
    expected = files.read_arrays("filters")
    rng = np.random.default_rng(0)
    noticed = 0
    # Somewhere in the arrays, and everywhere in the headers in front of the first.
    for position in [*rng.choice(len(whole), 60, replace=False), *range(180)]:
        damaged = bytearray(whole)
        damaged[position] ^= 1 << int(rng.integers(8))
        path.write_bytes(bytes(damaged))
        files._verified.clear()
        # A flip in a field that zip readers ignore (a date, say) leaves the arrays whole.
        try:
            found = files._load_npz(path, entry)
        except DataError:
            noticed += 1
        else:
            assert all(np.array_equal(found[key], expected[key]) for key in expected)
    assert noticed > 100


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (lambda a: a | {"weight": a["weight"] + 1e-7}, "sha256"),
        (lambda a: a | {"weight": a["weight"].astype("f8")}, "'<f8'"),
        (lambda a: a | {"weight": a["weight"].reshape(96, 7, 7)}, "(96, 7, 7)"),
        (lambda a: {"bias": a["bias"]}, "no array 'weight'"),
        (lambda a: a | {"weight": np.array([{"not": "numbers"}], dtype=object)}, "'|O'"),
    ],
)  # fmt: skip
def test_altered_npz_is_one_clear_line(copied_data, change, part):
    path = copied_data / "filters/conv1_dlib_face_resnet_rgb.npz"
    with np.load(path, allow_pickle=False) as archive:
        arrays = {key: archive[key] for key in archive}
    np.savez(path, **change(arrays))
    with pytest.raises(DataError) as caught:
        datasets.first_layer_filters()
    one_line(caught, str(path), part, "copy it afresh")


@pytest.mark.parametrize("content", [b"", b"<html>404</html>", b"\x93NUMPY\x01\x00garbage"])
def test_something_else_in_place_of_an_npz_is_one_clear_line(copied_data, content):
    path = copied_data / "filters/conv1_dlib_face_resnet_rgb.npz"
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        datasets.first_layer_filters()
    one_line(caught, str(path))


def test_an_array_file_in_place_of_an_npz_is_one_clear_line(copied_data):
    path = copied_data / "filters/conv1_dlib_face_resnet_rgb.npz"
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(3))
    path.write_bytes(buffer.getvalue())
    with pytest.raises(DataError) as caught:
        datasets.first_layer_filters()
    one_line(caught, str(path))


def test_altered_and_truncated_photographs_are_told_apart(copied_data):
    path = copied_data / "photographs/black-canyon.jpg"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    with pytest.raises(DataError) as caught:
        datasets.photographs()
    one_line(caught, "black-canyon.jpg is truncated", "322,979 bytes, expected 322,980")
    path.write_bytes(whole[:-1] + b"\x00")
    with pytest.raises(DataError) as caught:
        datasets.photographs()
    one_line(caught, "black-canyon.jpg is altered", "expected eda127f21c8c")


def test_a_file_that_changes_after_its_check_is_checked_again(copied_data):
    datasets.first_layer_filters()
    path = copied_data / "filters/conv1_dlib_face_resnet_rgb.npz"
    with np.load(path, allow_pickle=False) as archive:
        arrays = {key: archive[key] for key in archive}
    arrays["weight"][0, 0, 0, 0] += 1
    np.savez(path, **arrays)
    with pytest.raises(DataError, match="altered"):
        datasets.first_layer_filters()


def test_verify_reports_each_file_and_goes_on(copied_data):
    (copied_data / "photographs/black-canyon.jpg").unlink()
    report = {name: ok for name, ok, _ in datasets.verify()}
    assert report.pop("photographs/black-canyon") is False
    assert all(report.values())
    assert len(report) == len(datasets.catalogue()) - 1


def test_unknown_set_lists_the_known_ones():
    with pytest.raises(DataError) as caught:
        datasets.verify("mnist")
    one_line(caught, "'mnist'", "fashion-mnist", "photographs")


def test_data_folder_that_is_none_is_one_clear_line(monkeypatch):
    monkeypatch.setenv("WHYDEEP_DATA", "/no/such/folder")
    with pytest.raises(DataError) as caught:
        datasets.first_layer_filters()
    one_line(caught, "WHYDEEP_DATA", "/no/such/folder")


@pytest.mark.parametrize(
    "text",
    ["", "fashion-mnist:\n", "a: [1\n...\n", "a: 1\n...\n", "\n...\n", "[" * 9999 + "\n...\n"],
)
def test_damaged_catalogue_is_one_clear_line(tmp_path, monkeypatch, text):
    monkeypatch.setattr(files, "__file__", str(tmp_path / "a/b/c/files.py"))
    (tmp_path / "datasets.yaml").write_text(text)
    monkeypatch.setenv("WHYDEEP_DATA", str(tmp_path))
    with pytest.raises(DataError) as caught:
        datasets.catalogue()
    one_line(caught, "datasets.yaml is damaged", "restore it")


def test_an_npz_that_would_unpack_to_gigabytes_is_refused_by_its_header(copied_data):
    path = copied_data / "filters/conv1_dlib_face_resnet_rgb.npz"
    np.savez_compressed(path, weight=np.zeros((50_000_000,), np.uint8), bias=np.zeros(32))
    assert path.stat().st_size < 100_000
    tracemalloc.start()
    with pytest.raises(DataError) as caught:
        datasets.first_layer_filters()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    one_line(caught, "array 'weight' is ((50000000,), '|u1'), expected ((32, 3, 7, 7), '<f4')")
    assert peak < 5_000_000


def test_an_npz_checked_against_one_catalogue_is_checked_again_against_another(monkeypatch):
    (entry,) = files.entries("filters")
    datasets.first_layer_filters()
    spec = dataclasses.replace(entry.arrays["weight"], sha256="0" * 64)
    other = dataclasses.replace(entry, arrays={**entry.arrays, "weight": spec})
    monkeypatch.setattr(files, "catalogue", lambda: [other])
    with pytest.raises(DataError, match="altered"):
        datasets.first_layer_filters()


# --- the variables that say where the data lie ------------------------------------------------


@pytest.fixture
def other_checkout(tmp_path, monkeypatch):
    """A checkout beside the package's own, with a whole `data/`; WHYDEEP_ROOT names it."""
    for folder in ("fashion-mnist", "filters", "photographs"):
        shutil.copytree(DATA / folder, tmp_path / "book/data" / folder)
    shutil.copy(DATA / "datasets.yaml", tmp_path / "book/data")
    monkeypatch.setenv("WHYDEEP_ROOT", str(tmp_path / "book"))
    return tmp_path / "book"


def test_the_checkout_that_whydeep_root_names_is_the_one_that_is_verified(other_checkout):
    assert all(ok for _, ok, _ in datasets.verify())
    path = other_checkout / "data/photographs/black-canyon.jpg"
    path.write_bytes(b"?")
    bad = {name: message for name, ok, message in datasets.verify() if not ok}
    assert set(bad) == {"photographs/black-canyon"}
    assert str(path) in bad["photographs/black-canyon"]
    restore = f"git -C {other_checkout} checkout -- data/photographs/black-canyon.jpg"
    assert restore in bad["photographs/black-canyon"]


def test_the_list_of_the_checkout_that_whydeep_root_names_counts(other_checkout):
    (other_checkout / "data/datasets.yaml").write_text("cut short")
    with pytest.raises(DataError) as caught:
        datasets.catalogue()
    one_line(caught, str(other_checkout / "data/datasets.yaml"), "is damaged")


def test_whydeep_data_goes_before_whydeep_root(other_checkout, copied_data):
    (other_checkout / "data/filters/conv1_dlib_face_resnet_rgb.npz").unlink()
    assert files.data_root() == copied_data
    assert datasets.first_layer_filters().shape == (32, 3, 7, 7)


def test_whydeep_root_that_is_no_checkout_is_one_clear_line(tmp_path, monkeypatch):
    monkeypatch.setenv("WHYDEEP_ROOT", str(tmp_path))
    for ask in (datasets.catalogue, datasets.verify, datasets.first_layer_filters):
        with pytest.raises(DataError) as caught:
            ask()
        one_line(caught, f"WHYDEEP_ROOT is '{tmp_path}', which has no data/ folder")


# --- which data a run used -------------------------------------------------------------------


def test_what_a_loader_read_is_told_by_checksum_every_time():
    photographs = {f"photographs/{n}": pin[:12] for n, pin in PHOTOGRAPH_SHA256.items()}
    lines = "".join(f"{key} {pin}\n" for key, pin in sorted(FASHION_SHA256.items()))
    fashion = {"fashion-mnist": hashlib.sha256(lines.encode()).hexdigest()[:12]}
    for _ in range(2):  # the second time the files are known to be whole
        datasets.forget_used()
        assert datasets.used() == {}
        datasets.fashion_mnist()
        assert datasets.used() == fashion
        datasets.photographs()
        assert datasets.used() == fashion | photographs
        datasets.digits()
        datasets.first_layer_filters()
        assert set(datasets.used()) == {"digits", "fashion-mnist", "filters", *photographs}


def test_data_that_could_not_be_read_are_not_said_to_be_used(copied_data):
    (copied_data / "filters/conv1_dlib_face_resnet_rgb.npz").write_bytes(b"?")
    datasets.forget_used()
    with pytest.raises(DataError):
        datasets.first_layer_filters()
    assert datasets.used() == {}


def test_a_changed_array_is_other_data_and_another_compression_is_the_same(copied_data):
    (entry,) = files.entries("filters")
    for key, spec in entry.arrays.items():
        changed = {**entry.arrays, key: dataclasses.replace(spec, sha256="0" * 64)}
        assert dataclasses.replace(entry, arrays=changed).checksum != entry.checksum
    path = copied_data / "filters/conv1_dlib_face_resnet_rgb.npz"
    with np.load(path, allow_pickle=False) as archive:
        arrays = {key: archive[key] for key in archive}
    datasets.forget_used()
    datasets.first_layer_filters()
    before = datasets.used()
    np.savez(path, **arrays)
    datasets.first_layer_filters()
    assert datasets.used() == before


# --- what the command line imports -----------------------------------------------------------


def test_data_and_device_are_imported_without_pytorch_and_every_name_is_there():
    code = (
        "import sys, whydeep.device, whydeep.errors\n"
        "from whydeep import datasets\n"
        "datasets.entries()\n"
        "assert not {'torch', 'requests', 'sklearn'} & set(sys.modules)\n"
        "[getattr(datasets, name) for name in datasets.__all__]\n"
        "assert 'torch' in sys.modules\n"
        "assert not hasattr(datasets, 'imagenet')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


# --- catalogue, credits, safety --------------------------------------------------------------


def test_catalogue_agrees_with_the_committed_files_and_datasheets():
    for entry in datasets.catalogue():
        folder = "digits" if entry.set == "digits" else Path(entry.file).parts[0]
        datasheet = (DATA / folder / "README.md").read_text(encoding="utf-8")
        pins = [entry.sha256, *(spec.sha256 for spec in entry.arrays.values())]
        for pin in filter(None, pins):
            assert re.fullmatch("[0-9a-f]{64}", pin)
            assert pin in datasheet, f"{entry.name}: its datasheet lacks {pin}"
        assert f"{entry.bytes:,}" in datasheet
        assert entry.licence
        assert entry.credit
        if entry.kind == "shipped":
            content = (DATA / entry.file).read_bytes()
            assert (len(content), hashlib.sha256(content).hexdigest()) == (
                entry.bytes,
                entry.sha256,
            )
            assert (DATA / folder / "LICENSE").is_file()


def test_every_data_file_has_its_line_in_third_party():
    lines = (ROOT / "THIRD_PARTY.md").read_text(encoding="utf-8")
    # Ours: datasheets, lists of our own, the builder, recorded runs.
    ours = re.compile(
        r"data/(results/.*|[^/]*/README\.md|build\.py"
        r"|(catalogue|concordance|corrections|datasets|reviewed|verdict-changes)\.yaml)"
    )
    others = [path for path in tracked("data") if not ours.fullmatch(path)]
    assert len(others) >= 9
    for path in others:
        assert path in lines, f"{path} has no line in THIRD_PARTY.md"
    shipped = [entry.file for entry in datasets.catalogue() if entry.kind == "shipped"]
    assert {f"data/{file}" for file in shipped} <= set(others)
    for entry in datasets.catalogue():
        if entry.kind == "shipped":
            row = next(line for line in lines.splitlines() if f"`data/{entry.file}`" in line)
            assert entry.credit in row
            assert entry.version in row
            assert entry.licence in row


def test_shipped_data_stay_small():
    assert sum((ROOT / path).stat().st_size for path in tracked("data")) < 25_000_000


def test_npz_members_carry_no_clock():
    for path in (DATA / "fashion-mnist").glob("*.npz"):
        with zipfile.ZipFile(path) as archive:
            assert {item.date_time for item in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_no_pickle_is_ever_read_from_disk():
    sources = [ROOT / path for path in tracked("code") + tracked("data") if path.endswith(".py")]
    assert len(sources) > 5
    for source in sources:
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = {alias.name for alias in node.names} | {getattr(node, "module", None)}
                # What sends runs to other processes sends pickles, and none by way of a file.
                sends = {"pickle", "joblib"} if source.name == "spread.py" else set()
                assert not names & ({"pickle", "dill", "joblib", "cloudpickle"} - sends), source
            if not isinstance(node, ast.Call):
                continue
            given = {word.arg: word.value for word in node.keywords}
            called = ast.unparse(node.func)
            assert called not in ("pickle.load", "pickle.Unpickler", "joblib.load"), source
            if "allow_pickle" in given or called == "np.load":
                assert ast.unparse(given["allow_pickle"]) == "False", (source, node.lineno)
            if called == "torch.load":
                assert ast.unparse(given["weights_only"]) == "True", (source, node.lineno)


def test_builder_remakes_the_committed_subset_and_pool():
    if not Path("/usr/share/datasets/fashion-mnist").is_dir():
        pytest.skip("needs Debian's dataset-fashion-mnist; elsewhere data/build.py downloads it")
    command = [sys.executable, str(DATA / "build.py"), "--check", "fashion-mnist", "fashion-pool"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (
        0,
        "fashion_mnist_10k_2k.npz: rebuilt the same, left alone\n"
        "fashion_mnist_pool_24k.npz: rebuilt the same, left alone\n",
    ), done.stderr


def test_every_set_has_a_datasheet_with_the_same_sections():
    listed = yaml.safe_load((DATA / "datasets.yaml").read_text(encoding="utf-8"))
    folders = {"digits" if n == "digits" else Path(s["files"][0]["file"]).parts[0]
               for n, s in listed.items()}  # fmt: skip
    for folder in folders:
        datasheet = (DATA / folder / "README.md").read_text(encoding="utf-8")
        for heading in ("**What.**", "**Origin.**", "**Licence.**", "## Known limits",
                        "**What it is not.**"):  # fmt: skip
            assert heading in datasheet, f"{folder}: no {heading}"
