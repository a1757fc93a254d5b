"""SGD on a stack: right (against torch.optim and by hand), and independent member by member."""

import io
import math
import sys
from functools import partial

import nbclient
import nbformat
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from whydeep.chance import Chance
from whydeep.datasets.labels import corrupt_labels
from whydeep.descent import accuracy, log_loss, mean_loss, squared_error, train
from whydeep.descent import progress as showing
from whydeep.descent import stack as training
from whydeep.errors import BadSettings
from whydeep.networks import Convolutional, Dense, Linear

F64 = torch.float64
DEVICES = [
    "cpu",
    pytest.param(
        "cuda",
        marks=[
            pytest.mark.gpu,
            pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
        ],
    ),
]


class Summed(Dense):
    """A network with features of its own, for which there is no shorter way than one at a time."""

    def features(self, x):
        first, second = self.layers.values()
        h = torch.relu(first(x))
        return h + torch.relu(second(h))


NETWORKS = {
    "dense": (partial(Dense, (3, 8, 6, 4)), (3,)),
    "convolutional": (
        partial(Convolutional, (1, 8, 8), channels=(2, 3), widths=(5,), classes=4, kernel=3),
        (1, 8, 8),
    ),
    "of its own": (partial(Summed, (3, 6, 6, 4)), (3,)),
}


def examples(shape, n=50, classes=4, seed=0):
    chance = torch.Generator().manual_seed(seed)
    x = torch.randn(n, *shape, generator=chance, dtype=F64)
    return x, torch.randint(classes, (n,), generator=chance)


def plain_loop(make, x, y, seed, steps, batch_size, **sgd):
    """One network trained the ordinary way; its weights and the loss of each step."""
    network = make(generator=Chance(seed)["init"]).to(x.device, F64)
    optimizer = torch.optim.SGD(network.parameters(), **sgd)
    chance, losses, order = Chance(seed)["order"], [], []
    for _ in range(steps):
        if not order:
            order = list(torch.randperm(len(x), generator=chance).split(batch_size))
        rows = order.pop(0).to(x.device)
        loss = torch.nn.functional.cross_entropy(network(x[rows]), y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return dict(network.named_parameters()), torch.tensor(losses, dtype=F64)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("kind", NETWORKS)
def test_a_stack_agrees_with_torch_optim_sgd_over_50_steps(kind, k, device):
    make, shape = NETWORKS[kind]
    x, y = (t.to(device) for t in examples(shape))
    lr, momentum, decay = [0.05, 0.1, 0.02][:k], [0.9, 0.0, 0.5][:k], [0.01, 0.1, 0.0][:k]
    trained = train(
        make,
        x,
        y,
        seeds=range(k),
        steps=50,
        batch_size=16,  # does not divide 50: the last batch of an epoch is smaller
        lr=lr,
        momentum=momentum,
        weight_decay=decay,
        device=device,
        dtype=F64,
    )
    assert len(trained) == k
    for i in range(k):
        weights, losses = plain_loop(
            make, x, y, i, 50, 16, lr=lr[i], momentum=momentum[i], weight_decay=decay[i]
        )
        torch.testing.assert_close(trained.batch_loss[i].cpu(), losses, rtol=0, atol=1e-9)
        for name, w in weights.items():
            torch.testing.assert_close(trained.parameters[name][i], w, rtol=0, atol=1e-9)


def test_one_step_of_sgd_worked_by_hand():
    # Least squares with one weight: loss (w x - y)^2, gradient 2 x (w x - y), two examples.
    # w = 1, (x, y) = (1, 0), (2, 1): gradient (2*1*1 + 2*2*1) / 2 = 3.
    # Decay 0.5 adds 0.5 * 1. Step 1: v = 3.5, w = 1 - 0.1 * 3.5 = 0.65.
    # Step 2: gradient (2*0.65 + 4*0.3) / 2 = 1.25, plus 0.5*0.65 = 1.575; v = 0.9*3.5 + 1.575
    # = 4.725, w = 0.65 - 0.4725 = 0.1775. The bias starts at 0 and is frozen.
    def make(generator):
        network = Linear((1, 1), generator=generator)
        torch.nn.init.ones_(network.classifier.weight)
        return network

    x = torch.tensor([[1.0], [2.0]], dtype=F64)
    y = torch.tensor([[0.0], [1.0]], dtype=F64)
    trained = train(
        make,
        x,
        y,
        seeds=[0],
        steps=2,
        lr=0.1,
        momentum=0.9,
        weight_decay=0.5,
        loss=squared_error,
        trainable=["classifier.weight"],
        measure={"w": lambda t: t.parameters["classifier.weight"].flatten(1)},
        device="cpu",
        dtype=F64,
    )
    w = trained.history["w"].flatten().tolist()
    assert w == pytest.approx([1.0, 0.65, 0.1775], abs=1e-14)


def test_the_log_loss_is_that_of_softmax():
    # softmax of (0, ln 3) is (1/4, 3/4).
    outputs = torch.tensor([[[0.0, math.log(3)], [0.0, math.log(3)]]], dtype=F64)
    losses = log_loss(outputs, torch.tensor([[0, 1]]))
    assert losses.tolist()[0] == pytest.approx([math.log(4), math.log(4 / 3)], abs=1e-14)


def test_convolutions_batched_over_members_are_those_of_each_member(monkeypatch):
    # What a GPU does with a stack of convolutional networks, on a CPU.
    make, shape = NETWORKS["convolutional"]
    x, y = examples(shape)
    run = partial(train, make, x, y, seeds=[0, 1, 2], steps=50, batch_size=16, device="cpu")
    one_by_one = run(lr=[0.1, 0.05, 0.2], momentum=0.5, dtype=F64)
    monkeypatch.setattr(Convolutional, "stacks_on_cpu", True)
    batched = run(lr=[0.1, 0.05, 0.2], momentum=0.5, dtype=F64)
    for name, w in one_by_one.parameters.items():
        torch.testing.assert_close(batched.parameters[name], w, rtol=0, atol=1e-9)
    torch.testing.assert_close(batched.features(x), one_by_one.features(x), rtol=0, atol=1e-9)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("kind", NETWORKS)
def test_a_member_does_not_depend_on_its_neighbours(kind, device):
    make, shape = NETWORKS[kind]
    x, y = examples(shape)
    run = partial(train, make, x, y, steps=50, batch_size=16, device=device, dtype=F64)
    everyone = run(
        seeds=[7, 3, 5, 9],
        lr=[0.1, 0.05, 0.2, 1.0],
        momentum=[0.5, 0, 0.9, 0],
        weight_decay=[0, 0.01, 0, 0.1],
        label_noise=[0.9, 0, 0.5, 0.2],
    )
    alone = run(seeds=[3], lr=0.05, weight_decay=0.01)
    pair = run(seeds=[5, 3], lr=0.05, weight_decay=0.01)
    for name, w in alone.parameters.items():
        torch.testing.assert_close(everyone.parameters[name][1], w[0], rtol=0, atol=1e-12)
        torch.testing.assert_close(pair.parameters[name][1], w[0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", NETWORKS)
def test_a_diverging_member_is_recorded_and_poisons_no_neighbour(kind):
    make, shape = NETWORKS[kind]
    x, y = examples(shape)
    run = partial(train, make, x, y, steps=30, batch_size=16, momentum=0.9, device="cpu", dtype=F64)
    both = run(seeds=[0, 1], lr=[1e200, 0.05])
    alone = run(seeds=[1], lr=0.05)
    assert not both.batch_loss[0].isfinite().all()
    torch.testing.assert_close(both.batch_loss[1], alone.batch_loss[0], rtol=0, atol=1e-12)
    assert both.predict(x).shape == (2, 50)


@pytest.mark.parametrize("kind", NETWORKS)
def test_the_same_seeds_give_the_same_bits(kind):
    make, shape = NETWORKS[kind]
    x, y = examples(shape)
    before = torch.get_rng_state()
    first, again = (
        train(make, x, y, seeds=[4, 2], epochs=3, batch_size=16, lr=0.1, label_noise=0.3)
        for _ in range(2)
    )
    assert torch.equal(torch.get_rng_state(), before)
    assert first.seeds == (4, 2)
    for name, w in first.parameters.items():
        assert torch.equal(w, again.parameters[name])
    assert torch.equal(first.batch_loss, again.batch_loss)


def test_equal_seeds_pair_the_members_of_a_sweep():
    make, shape = NETWORKS["dense"]
    x, y = examples(shape)
    trained = train(
        make, x, y, seeds=[6, 6, 7], steps=20, batch_size=16, lr=[0.1, 0.1, 0.1], device="cpu"
    )
    assert torch.equal(trained.batch_loss[0], trained.batch_loss[1])
    assert not torch.equal(trained.batch_loss[0], trained.batch_loss[2])


def test_starts_may_be_shared_where_orders_are_not():
    x, y = examples((3,))
    how = dict(lr=0.1, batch_size=10, device="cpu")
    begun, trained = (
        train(NETWORKS["dense"][0], x, y, seeds=[3, 4], starts=[5, 5], steps=steps, **how)
        for steps in (0, 5)
    )
    alone = train(NETWORKS["dense"][0], x, y, seeds=[5], steps=0, **how)
    for name, weights in begun.parameters.items():
        assert torch.equal(weights[0], weights[1])
        assert torch.equal(weights[0], alone.parameters[name][0])
        assert not torch.equal(trained.parameters[name][0], trained.parameters[name][1])
    with pytest.raises(BadSettings, match="1 starts for 2 seeds"):
        train(NETWORKS["dense"][0], x, y, seeds=[3, 4], starts=[5], steps=1, **how)


def test_streams_of_chance_are_separate():
    make, shape = NETWORKS["dense"]
    x, y = examples(shape)
    clean, noisy, other_order = (
        train(make, x, y, seeds=[0], steps=0, batch_size=b, lr=0.1, label_noise=p, device="cpu")
        for b, p in ((16, 0.0), (16, 1.0), (8, 0.0))
    )
    for name, w in clean.parameters.items():
        assert torch.equal(w, noisy.parameters[name])
        assert torch.equal(w, other_order.parameters[name])


def test_an_epoch_visits_every_example_once():
    x = torch.arange(10.0).view(10, 1)
    y = torch.zeros(2, 10, dtype=torch.long)
    batches = training._batches([Chance(0), Chance(1)], x, True, y, batch_size=4)
    for _ in range(3):
        epoch = [next(batches)[0].clone() for _ in range(3)]
        assert [b.shape for b in epoch] == [(2, 4, 1), (2, 4, 1), (2, 2, 1)]
        order = torch.cat(epoch, 1).squeeze(-1)
        assert order.sort(1).values.tolist() == [list(range(10))] * 2
        assert not torch.equal(order[0], order[1])


@pytest.mark.parametrize("kind", NETWORKS)
def test_data_per_member_stay_with_their_member(kind):
    make, shape = NETWORKS[kind]
    sets = [examples(shape, seed=s) for s in range(3)]
    x, y = (torch.stack(parts) for parts in zip(*sets, strict=True))
    run = partial(train, make, steps=20, batch_size=16, lr=0.1, device="cpu", dtype=F64)
    stack = run(x, y, seeds=range(3), measure={"accuracy": accuracy(x, y), "loss": mean_loss(x, y)})
    for i, (x_i, y_i) in enumerate(sets):
        alone = run(x_i, y_i, seeds=[i], measure={"loss": mean_loss(x_i, y_i)})
        torch.testing.assert_close(stack.batch_loss[i], alone.batch_loss[0], rtol=0, atol=1e-12)
        torch.testing.assert_close(
            stack.history["loss"][i], alone.history["loss"][0], rtol=0, atol=1e-12
        )


@pytest.mark.parametrize("batch_size", [None, 50, 80])
def test_a_batch_of_all_examples_is_gradient_descent(batch_size):
    make, shape = NETWORKS["dense"]
    x, y = examples(shape)
    trained = train(
        make, x, y, seeds=[0, 1], epochs=5, batch_size=batch_size, lr=0.1, device="cpu", dtype=F64
    )
    for i in range(2):
        _, losses = plain_loop(make, x, y, i, 5, 50, lr=0.1)
        torch.testing.assert_close(trained.batch_loss[i], losses, rtol=0, atol=1e-9)


# --- Label noise -------------------------------------------------------------------------------


@given(fraction=st.floats(0, 1), classes=st.integers(2, 10), seed=st.integers(0, 2**32))
@settings(deadline=None, max_examples=30)
def test_label_noise_replaces_the_stated_fraction_symmetrically(fraction, classes, seed):
    n = 20_000
    y = torch.randint(classes, (n,), generator=torch.Generator().manual_seed(1))
    noisy = corrupt_labels(y, fraction, [seed], classes)[0]
    # A replaced label is wrong with probability (classes - 1) / classes. Five standard errors.
    wrong = fraction * (classes - 1) / classes
    assert (noisy != y).double().mean().item() == pytest.approx(
        wrong, abs=5 * math.sqrt(wrong * (1 - wrong) / n) + 1e-12
    )
    # Each wrong class is as likely as the next, whatever the right one was.
    shift = torch.bincount((noisy - y)[noisy != y] % classes, minlength=classes)[1:].double()
    if (total := shift.sum().item()) > 1000:
        p = 1 / (classes - 1)
        bound = 5 * math.sqrt(total * p * (1 - p)) + 1e-9
        assert (shift - total * p).abs().max().item() <= bound
    # And every class is drawn as often: all have as many as they had, up to what chance moves.
    before, after = (torch.bincount(labels, minlength=classes) for labels in (y, noisy))
    bound = 5 * math.sqrt(2 * fraction * n / classes) + 5
    assert (after - before).abs().max().item() <= bound


def test_no_label_noise_leaves_the_labels_alone():
    _, y = examples((3,))
    assert torch.equal(corrupt_labels(y, [0.0, 0.0], [0, 1], 4), torch.stack([y, y]))
    noisy = corrupt_labels(y, [0.0, 1.0], [0, 1], 4)
    assert torch.equal(noisy[0], y)
    assert not torch.equal(noisy[1], y)


@given(small=st.floats(0, 1), large=st.floats(0, 1))
@settings(deadline=None, max_examples=30)
def test_more_label_noise_keeps_what_less_replaced(small, large):
    small, large = sorted((small, large))
    y = torch.full((500,), 0)
    a, b = corrupt_labels(y, [small, large], [5, 5], 1000)
    replaced = a != y
    assert torch.equal(a[replaced], b[replaced])


def test_the_labels_trained_on_are_the_noisy_ones_and_are_kept():
    make, shape = NETWORKS["dense"]
    x, y = examples(shape)
    run = partial(train, make, x, steps=20, batch_size=16, lr=0.1, device="cpu", dtype=F64)
    noisy = run(y, seeds=[0, 1], label_noise=[0.5, 0.2])
    by_hand = corrupt_labels(y, [0.5, 0.2], [0, 1], 4)
    assert torch.equal(noisy.labels, by_hand)
    assert torch.equal(noisy.batch_loss, run(by_hand, seeds=[0, 1]).batch_loss)


# --- What learns, what is measured, what is returned -------------------------------------------


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("k", [1, 2])
def test_frozen_weights_do_not_move_and_the_others_do(kind, k):
    make, shape = NETWORKS[kind]
    x, y = examples(shape)
    run = partial(
        train, make, x, y, seeds=range(k), lr=0.1, weight_decay=0.1, momentum=0.9, device="cpu"
    )
    start = run(steps=0)
    end = run(steps=10, trainable=["classifier.*"])
    for name, w in start.parameters.items():
        assert torch.equal(w, end.parameters[name]) == (not name.startswith("classifier"))
    assert torch.equal(start.features(x), end.features(x))


@pytest.mark.parametrize("kind", NETWORKS)
def test_a_member_is_an_ordinary_module_with_weights_of_its_own(kind):
    make, shape = NETWORKS[kind]
    x, y = examples(shape)
    trained = train(make, x, y, seeds=[0, 1], steps=5, lr=0.1, device="cpu", dtype=F64)
    member = trained.member(1)
    torch.testing.assert_close(member(x), trained.outputs(x)[1], rtol=0, atol=1e-12)
    torch.testing.assert_close(member.features(x), trained.features(x)[1], rtol=0, atol=1e-12)
    assert torch.equal(member(x).argmax(-1), trained.predict(x)[1])
    assert all(p.requires_grad for p in member.parameters())
    with torch.no_grad():
        member.classifier.weight.zero_()
    assert trained.parameters["classifier.weight"][1].any()


def test_evaluating_many_examples_is_evaluating_each():
    make, shape = NETWORKS["dense"]
    x, y = examples(shape, n=2500)
    trained = train(make, x, y, seeds=[0, 1], steps=0, lr=0.1, device="cpu", dtype=F64)
    assert trained.outputs(x).shape == (2, 2500, 4)
    torch.testing.assert_close(
        trained.outputs(x)[:, 1990:2010], trained.outputs(x[1990:2010]), rtol=0, atol=1e-12
    )


@pytest.mark.parametrize("kind", NETWORKS)
def test_measures_see_the_whole_stack_at_the_steps_asked_for(kind):
    make, shape = NETWORKS[kind]
    x, y = examples(shape)
    seen = []
    trained = train(
        make,
        x,
        y,
        seeds=[0, 1, 2],
        steps=9,
        lr=0.1,
        measure={
            "loss": mean_loss(x, y),
            "two numbers": lambda t: seen.append(len(t)) or torch.ones(len(t), 2),
        },
        measure_at=[7, 0, 3],
        device="cpu",
        dtype=F64,
    )
    assert seen == [3, 3, 3]
    assert trained.measured_at == (0, 3, 7)
    assert trained.history["two numbers"].shape == (3, 3, 2)
    # Full batches: the mean loss on x after t steps is the batch loss of step t.
    torch.testing.assert_close(
        trained.history["loss"], trained.batch_loss[:, [0, 3, 7]], rtol=0, atol=1e-12
    )


def test_measuring_does_not_change_the_run():
    make, shape = NETWORKS["dense"]
    x, y = examples(shape)
    run = partial(train, make, x, y, seeds=[0, 1], epochs=4, batch_size=16, lr=0.1, device="cpu")
    measured = run(measure={"accuracy": accuracy(x, y)})
    assert measured.measured_at == (0, 4, 8, 12, 16)  # ceil(50 / 16) = 4 steps an epoch
    assert torch.equal(measured.batch_loss, run().batch_loss)


def test_accuracy_is_the_fraction_of_right_labels():
    def make(generator):
        network = Linear((2, 2), generator=generator)
        torch.nn.init.eye_(network.classifier.weight)
        return network

    x = torch.tensor([[1.0, 0.0], [0.0, 1.0], [3.0, 2.0], [2.0, 3.0]])
    y = torch.tensor([0, 1, 1, 1])  # the network says 0, 1, 0, 1
    trained = train(make, x, y, seeds=[0, 1], steps=0, lr=0.0, device="cpu")
    assert accuracy(x, y)(trained).tolist() == [0.75, 0.75]


def test_interrupting_a_run_interrupts_it():
    make, shape = NETWORKS["dense"]
    x, y = examples(shape)

    def interrupt(outputs, labels):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(make, x, y, seeds=[0, 1], steps=5, lr=0.1, loss=interrupt, device="cpu")


BAD = {
    "no seeds": {"seeds": []},
    "steps and epochs": {"epochs": 1},
    "neither": {"steps": None},
    "lr for others": {"lr": [0.1, 0.1, 0.1]},
    "lr negative": {"lr": -0.1},
    "lr not a number": {"lr": math.nan},
    "noise above 1": {"label_noise": 1.5},
    "no batch": {"batch_size": 0},
    "no such weight": {"trainable": ["layers.9.*"]},
    "nothing learns": {"trainable": []},
    "measured too late": {"measure_at": [6]},
    "label too large": {"y": torch.full((50,), 4)},
    "too few labels": {"y": torch.zeros(49, dtype=torch.long)},
    "labels of others": {"y": torch.zeros(3, 50, dtype=torch.long)},
    "images for a dense network": {"x": torch.zeros(50, 1, 3, 3)},
    "no examples": {"x": torch.zeros(0, 3), "y": torch.zeros(0, dtype=torch.long)},
    "noise on targets": {"y": torch.zeros(50, 4), "label_noise": 0.1},
}


@pytest.mark.parametrize("what", BAD)
def test_settings_that_do_not_fit_are_refused_in_one_line(what):
    make, shape = NETWORKS["dense"]
    x, y = examples(shape)
    good = {"x": x, "y": y, "seeds": [0, 1], "steps": 5, "lr": 0.1, "device": "cpu"}
    train(make, **good)
    with pytest.raises(BadSettings, match=r"expected|leave it out") as caught:
        train(make, **{**good, **BAD[what]})
    assert "\n" not in str(caught.value)


# --- Progress ----------------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self):
        return True


def eager(bar, **options):
    """A progress bar that does not wait for its 2 s."""
    assert options["delay"] == 2
    return bar(**{**options, "delay": 0, "mininterval": 0})


@pytest.mark.parametrize(("stream", "shown"), [(Terminal, True), (io.StringIO, False)])
def test_a_bar_is_shown_in_a_terminal_and_nowhere_else(monkeypatch, stream, shown):
    make, shape = NETWORKS["dense"]
    x, y = examples(shape)
    monkeypatch.setattr(sys, "stderr", stream())
    monkeypatch.setattr(showing, "tqdm", partial(eager, showing.tqdm))
    run = partial(train, make, x, y, seeds=[0], steps=20, lr=0.1, device="cpu")
    run(progress=False)
    assert sys.stderr.getvalue() == ""
    run()
    assert ("/20" in sys.stderr.getvalue()) == shown


@pytest.mark.parametrize(
    ("environment", "shown"), [({}, False), ({"JPY_SESSION_NAME": "notebook"}, True)]
)
def test_in_a_notebook_a_bar_needs_a_live_front_end(monkeypatch, environment, shown):
    # nbclient, nbval and papermill start kernels without Jupyter's server, which sets this name.
    for name in ("JPY_SESSION_NAME", "VSCODE_PID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setitem(sys.modules, "ipykernel", sys)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert showing.can_show_progress() == shown


def test_a_notebook_that_is_executed_for_a_page_shows_no_bar(monkeypatch):
    # Execution as jupyter-book and nbval do it: nothing may reach stderr, even after the 2 s.
    for name in ("JPY_SESSION_NAME", "VSCODE_PID"):
        monkeypatch.delenv(name, raising=False)
    cell = "from whydeep.descent import can_show_progress\nprint(can_show_progress())"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell)])
    nbclient.NotebookClient(notebook, kernel_name="python3").execute()
    assert [output.text for output in notebook.cells[0].outputs] == ["False\n"]
