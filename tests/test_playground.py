# The Playground, the Python side: its chance, its networks in PyTorch beside an independent
# implementation, the kernel's answers, and what is refused. The browser's side is in
# tests/site/test_playground_site.py.
import gzip
import json
import math

import numpy as np
import pytest
import torch
from js import store
from scipy import stats
from whydeep.errors import BadSettings, WhydeepError
from whydeep.widgets import Playground, Prediction, playground, playground_torch
from whydeep.widgets.playground import DEFAULTS, Kernel, check, digits

WORDS = {"key": "test", "title": "A title", "about": "What to try."}


def training(**settings):
    """A network of the default settings with others in place, and its data."""
    settings = DEFAULTS | {"seed": 3} | settings
    maker = playground_torch.MAKERS[settings["data"]]
    train = playground_torch.draw(maker, settings, "train", settings["examples"])
    test = playground_torch.draw(maker, settings, "test", 250)
    return playground_torch.Training(settings, train, test, settings["seed"])


# --- chance ----------------------------------------------------------------------------------


def test_the_finaliser_is_murmurs():
    # The 32-bit hashes of the empty string, whose only step is the finaliser, as published with
    # MurmurHash3's verification values: seeds 0, 1 and 2^32 - 1.
    assert playground_torch.mix(0) == 0
    assert playground_torch.mix(1) == 0x514E28B7
    assert playground_torch.mix(0xFFFFFFFF) == 0x81F16F39


def test_numbers_are_uniform_and_uses_do_not_repeat_each_other():
    found = [playground_torch.uniforms(seed, use, 0, 4000) for seed in (0, 1)
             for use in playground_torch.USES]  # fmt: skip
    for numbers in found:
        assert stats.kstest(numbers, "uniform").pvalue > 1e-4
    # Correlations of independent samples of 4,000 have a standard deviation of 1 / sqrt(4000).
    off = np.corrcoef(found)[~np.eye(len(found), dtype=bool)]
    assert np.abs(off).max() < 5 / math.sqrt(4000)


def test_a_number_depends_on_its_place_only():
    whole = playground_torch.uniforms(5, "dropout", 0, 100)
    part = playground_torch.uniforms(5, "dropout", 60, 40)
    assert whole[60:].tolist() == part.tolist()


# --- networks --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("activation", "module"), [("relu", torch.nn.ReLU()), ("tanh", torch.nn.Tanh())]
)
def test_fifty_steps_are_those_of_torchs_own_sgd(activation, module):
    net = training(activation=activation, widths=[5, 3], batch_size=0, momentum=0.9, lr=0.05,
                   weight_decay=0.01)  # fmt: skip
    layers = [torch.nn.Linear(a, b).double() for a, b in ((2, 5), (5, 3), (3, 1))]
    with torch.no_grad():
        for layer, w, b in zip(layers, net.weights, net.biases, strict=True):
            layer.weight.copy_(w)
            layer.bias.copy_(b)
    other = torch.nn.Sequential(layers[0], module, layers[1], module, layers[2])
    optimiser = torch.optim.SGD(other.parameters(), lr=0.05, momentum=0.9, weight_decay=0.01)
    x, y = net.train
    for _ in range(50):
        net.step()
        optimiser.zero_grad()
        # Labels -1 and 1 as 0 and 1: the same loss in torch's words.
        torch.nn.functional.binary_cross_entropy_with_logits(other(x)[:, 0], (y + 1) / 2).backward()
        optimiser.step()
    for layer, w, b in zip(layers, net.weights, net.biases, strict=True):
        # The rounding of 50 steps in another order.
        torch.testing.assert_close(layer.weight.detach(), w, rtol=0, atol=1e-12)
        torch.testing.assert_close(layer.bias.detach(), b, rtol=0, atol=1e-12)


def test_first_weights_have_he_s_variance_and_the_classifier_lecun_s():
    nets = [training(seed=s, activation="relu", widths=[8, 8]) for s in range(200)]
    # 200 x 64 and 200 x 8 draws: the variance of N(0, s^2) over n draws has sd s^2 sqrt(2 / n).
    for place, variance, n in ((1, 2 / 8, 12800), (2, 1 / 8, 1600)):
        drawn = torch.stack([net.weights[place] for net in nets])
        assert abs(float(drawn.var()) / variance - 1) < 5 * math.sqrt(2 / n)


def test_an_epoch_takes_every_example_once_and_the_next_in_another_order():
    net = training(examples=50, batch_size=15)
    epochs = [[net.next_batch() for _ in range(4)] for _ in range(2)]
    for batches in epochs:
        assert [len(rows) for rows in batches] == [15, 15, 15, 5]
        assert sorted(np.concatenate(batches)) == list(range(50))
    assert np.concatenate(epochs[0]).tolist() != np.concatenate(epochs[1]).tolist()


def test_dropout_keeps_the_mean_and_is_absent_from_the_losses():
    net = training(dropout=0.3, widths=[6, 2])
    masks = torch.cat([net.masks(250) for _ in range(40)])
    kept = masks > 0
    assert masks[kept].unique().tolist() == [pytest.approx(1 / 0.7)]
    # 80,000 draws, each kept with probability 0.7.
    assert abs(float(kept.double().mean()) - 0.7) < 5 * math.sqrt(0.7 * 0.3 / 80_000)
    assert net.loss(*net.train) == training(dropout=0, widths=[6, 2]).loss(*net.train)


def test_max_norm_bounds_hidden_columns_and_spares_the_output():
    net = training(max_norm=0.5, widths=[4], lr=1)
    for _ in range(60):
        net.step()
    assert float(net.weights[0].norm(dim=1).max()) <= 0.5 + 1e-12
    assert float(net.weights[1].norm()) > 0.5


def test_half_of_the_replaced_labels_are_wrong_and_the_test_set_is_clean():
    nets = [training(seed=s, label_noise=0.4) for s in range(40)]
    clean = torch.tensor([-1.0, 1.0]).repeat(125).double()
    wrong = torch.stack([net.train[1] != clean for net in nets]).double()
    # 10,000 labels, each wrong with probability 0.2.
    assert abs(float(wrong.mean()) - 0.2) < 5 * math.sqrt(0.2 * 0.8 / 10_000)
    assert all((net.test[1] == clean).all() for net in nets)


def test_the_rate_divided_at_a_step_takes_a_tenth_of_the_step():
    moved = []
    for divide in (0, 4):
        net = training(batch_size=0, divide_at=divide)
        for _ in range(4):
            net.step()
        before = net.weights[0].clone()
        net.step()
        moved.append(net.weights[0] - before)
    torch.testing.assert_close(moved[1], moved[0] / 10, rtol=1e-10, atol=1e-15)


def test_the_digits_are_all_threes_and_eights_scaled():
    rows = np.array(digits())
    # scikit-learn's digits hold 183 threes and 174 eights.
    assert [(rows[:, 2] == label).sum() for label in (-1, 1)] == [183, 174]
    np.testing.assert_allclose(rows[:, :2].mean(0), 0, atol=1e-3)
    np.testing.assert_allclose(rows[:, :2].std(0), 1, atol=1e-3)
    assert abs(np.corrcoef(rows[:, 0], rows[:, 1])[0, 1]) < 1e-3  # principal components


def test_what_the_browsers_engine_is_held_to_is_what_pytorch_does():
    # tests/js/engine.test.js has these numbers and no PyTorch.
    stored = json.loads(store.STORED.read_text("utf-8"))
    found = json.loads(json.dumps(store.numbers()))
    assert {k: v for k, v in stored.items() if k != "curves"} == {
        k: v for k, v in found.items() if k != "curves"
    }
    assert set(stored["curves"]) == set(found["curves"])
    for name, curve in stored["curves"].items():
        again = found["curves"][name]
        assert curve["settings"] == again["settings"]
        for then, now in zip(curve["moments"], again["moments"], strict=True):
            for what, number in then.items():
                np.testing.assert_allclose(now[what], number, rtol=1e-9, atol=1e-9)
        for then, now in zip(curve["weights"], again["weights"], strict=True):
            np.testing.assert_allclose(now, then, rtol=1e-9, atol=1e-9)


# --- kernel ----------------------------------------------------------------------------------


def test_a_kernel_greets_trains_and_reports():
    kernel = Kernel()
    assert kernel.answer({"type": "hello"}) == {"type": "kernel", "torch": torch.__version__}
    settings = DEFAULTS | {"seeds": 2, "widths": [3], "seed": 3}
    runs = [{"settings": settings, "given": []}]
    first = kernel.answer({"type": "start", "id": 1, "runs": runs})
    assert (first["step"], [m["step"] for m in first["moments"][0]]) == (0, [0])
    frame, moments = first, []
    while frame["step"] < 60:
        frame = kernel.answer({"type": "advance", "id": 1, "to": 60})
        moments += frame["moments"][0]
    frame = kernel.answer(
        {"type": "set", "id": 1, "changes": [{"at": 0, "name": "lr", "value": 1}]}
    )
    assert frame["changes"] == [[[60, "lr", 1]]]
    while frame["step"] < 80:
        frame = kernel.answer({"type": "advance", "id": 1, "to": 80})
    json.dumps(frame, allow_nan=False)
    net = training(widths=[3], seed=3)
    for step in range(80):
        net.settings["lr"] = 0.1 if step < 60 else 1
        net.step()
    now = frame["now"][0]
    assert now["train"][0] == net.loss(*net.train)
    assert now["test"][0] == net.loss(*net.test)
    for use, (x, y) in (("trainError", net.train), ("testError", net.test)):
        assert now[use][0] == float((net(x).sign() != y).double().mean())
    # 80 steps of 10 examples from 250; both networks have 3 (2 + 1) + 4 weights.
    assert now["epoch"] == pytest.approx(80 * 10 / 250)
    assert len(now["weights"]) == 13
    assert [m["step"] for m in moments] == [*range(1, 61)]


def test_a_kernel_names_what_it_cannot_do_and_passes_over_what_is_stale():
    kernel = Kernel()
    runs = [{"settings": {"lr": -1}, "given": []}]
    answer = kernel.answer({"type": "start", "id": 1, "runs": runs})
    assert answer == {"type": "error", "message": "lr is -1, expected a number from 0 to 1000"}
    assert kernel.answer({"type": "advance", "id": 7, "to": 3}) == {"type": "stale", "id": 7}


def test_pasted_points_are_for_training_and_for_testing_in_turn():
    kernel, settings = Kernel(), {"data": "pasted", "examples": 10, "seeds": 1}
    given = [[place, 0.5, (-1) ** (place // 2)] for place in range(30)]
    kernel.answer({"type": "start", "id": 1, "runs": [{"settings": settings, "given": given}]})
    (net,) = kernel.runs[0].networks
    assert net.train[0][:, 0].tolist() == [*range(0, 20, 2)]
    assert net.test[0][:, 0].tolist() == [*range(1, 30, 2)]


def test_a_diverged_network_is_reported_without_nan():
    kernel = Kernel()
    settings = {"lr": 1000, "activation": "relu", "loss": "squared", "seeds": 1}
    kernel.answer({"type": "start", "id": 1, "runs": [{"settings": settings, "given": []}]})
    frame = {"step": 0}
    while frame["step"] < 100:
        frame = kernel.answer({"type": "advance", "id": 1, "to": 100})
    assert json.dumps(frame, allow_nan=False)
    assert frame["now"][0]["train"] == [None]


def test_in_a_notebook_a_message_is_answered(monkeypatch):
    widget = Playground(**WORDS)
    sent = []
    monkeypatch.setattr(widget, "send", sent.append)
    widget._handle_custom_msg({"type": "hello"}, [])
    assert sent == [{"type": "kernel", "torch": torch.__version__}]


# --- the widget ------------------------------------------------------------------------------


def test_a_preset_and_a_twin_become_the_state():
    predict = Prediction("Which?", ("A", "B"), 0, "Because.")
    widget = Playground(**WORDS, preset={"widths": (8, 4), "lr": 0.03}, compare={"dropout": 0.5},
                        predict=predict)  # fmt: skip
    assert widget.settings == DEFAULTS | {"widths": [8, 4], "lr": 0.03}
    assert widget.twin == {"dropout": 0.5}
    assert not widget.opened
    assert Playground(**WORDS).opened
    assert set(DEFAULTS) == {"widths"} | {field["name"] for field in widget.spec["fields"]}


def test_every_default_and_every_option_is_allowed():
    assert check(DEFAULTS) == DEFAULTS
    for name, field in playground.FIELDS.items():
        for value, _ in field.options:
            assert check({name: value}) == {name: value}


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"key": "No"}, "key is 'No', expected small letters"),
        ({"preset": {"depth": 3}}, "no setting 'depth': there are widths, data"),
        ({"preset": {"data": "circles"}}, "data is 'circles', expected one of rings, moons"),
        ({"preset": {"lr": math.nan}}, "lr is nan, expected a number from 0 to 1000"),
        ({"preset": {"batch_size": 2.5}}, "batch_size is 2.5, expected a whole number"),
        ({"preset": {"widths": [9]}}, r"widths are \[9\], expected up to 6 whole numbers"),
        ({"compare": {"speed": 0}}, "expected one setting that is not of speed, stop_at, seeds"),
        ({"compare": {"lr": 1, "loss": "squared"}}, "expected one setting"),
        ({"compare": {"lr": 0.1}}, "expected another value than the preset's"),
        ({"preset": {"data": "pasted"}}, "data is 'pasted', but paste is empty"),
    ],
)
def test_what_does_not_fit_is_named_in_one_line(change, what):
    with pytest.raises(WhydeepError, match=what) as caught:
        Playground(**WORDS | change)
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, BadSettings)


def test_the_module_is_one_and_small():
    state = Playground(**WORDS).get_state()
    assert state["_esm"].count("export default") == 1
    assert len(gzip.compress(state["_esm"].encode(), mtime=0)) < 33_000
