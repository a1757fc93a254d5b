"""The experiments of *A small step*: theory, other libraries and worked examples."""

import dataclasses

import numpy as np
import pytest
import torch
from whydeep.chance import Chance
from whydeep.experiments.mysterious_steps import (
    _sharpness,
    acute_angles,
    divide_by_ten,
    edge_of_stability,
    sharpness_by_rate,
)
from whydeep.networks import Dense


def generator(seed):
    return torch.Generator().manual_seed(seed)


# --- the edge of stability -------------------------------------------------------------------


def test_the_sharpness_is_the_largest_eigenvalue_of_the_whole_hessian():
    network = Dense((5, 4, 3), torch.tanh, generator=generator(0))
    x = torch.randn(20, 5, generator=generator(1))
    y = torch.eye(3)[torch.arange(20) % 3]
    names, shapes = zip(*((n, w.shape) for n, w in network.named_parameters()), strict=True)
    flat = torch.cat([w.detach().flatten() for w in network.parameters()]).double()

    def loss(flat):
        parts = flat.split([shape.numel() for shape in shapes])
        weights = {n: p.view(s) for n, p, s in zip(names, parts, shapes, strict=True)}
        outputs = torch.func.functional_call(network.double(), weights, (x.double(),))
        return ((outputs - y.double()) ** 2).sum(1).mean() / 2

    whole = torch.autograd.functional.hessian(loss, flat)
    expected = float(torch.linalg.eigvalsh(whole)[-1])
    found, vector = _sharpness.sharpness(network.float(), x, y)
    assert found == pytest.approx(expected, rel=2e-3)
    again = vector @ whole.numpy() @ vector / (vector @ vector)
    assert again == pytest.approx(expected, rel=2e-3)


def test_on_the_last_layer_the_sharpness_is_that_of_its_features():
    # Half the squared error is quadratic there: its Hessian is the mean of phi phi^T, a 1 in phi
    # for the threshold, once for each output.
    network = Dense((5, 4, 3), torch.tanh, generator=generator(0))
    x = torch.randn(20, 5, generator=generator(1))
    y = torch.eye(3)[torch.arange(20) % 3]
    phi = torch.cat([network.features(x).detach(), torch.ones(20, 1)], 1).double()
    expected = float(torch.linalg.eigvalsh(phi.T @ phi / 20)[-1])
    names = _sharpness.LAST_LAYER
    found, _ = _sharpness.sharpness(network, x, y, names=names)
    assert found == pytest.approx(expected, rel=2e-3)


def test_beyond_the_limit_descent_on_a_quadratic_grows_at_the_rate_of_theory():
    # 1 - eta lambda = 1 - 2 beyond: the loss along the top direction grows by its square a step.
    small = dataclasses.replace(
        edge_of_stability.Settings(), examples=50, width=8, steps=400, looks=4, beyond=1.05
    )
    losses = edge_of_stability.run(small, Chance(3))["loss"]
    assert losses[-1] / losses[-2] == pytest.approx(1.1**2, rel=1e-3)
    below = dataclasses.replace(small, beyond=0.95)
    assert edge_of_stability.run(below, Chance(3))["loss"][-1] < losses[0]


def test_random_labels_are_drawn_anew_and_true_labels_are_those_of_the_digits():
    x, y = _sharpness.task(200, Chance(0))
    true = _sharpness.task(200, Chance(0), random_labels=False)[1]
    assert x.mean(0).abs().max() < 1e-6
    agree = (y.argmax(1) == true.argmax(1)).float().mean()
    # One in ten agrees by chance, give or take four standard deviations.
    assert abs(agree - 0.1) < 4 * (0.09 / 200) ** 0.5


def test_one_rate_of_the_sweep_is_the_run_at_that_rate():
    small = sharpness_by_rate.Settings(rates=(0.1, 0.3), looks=30)
    sweep = sharpness_by_rate.run(small, Chance(0))
    alone = edge_of_stability.run(edge_of_stability.Settings(), Chance(0))
    edge = sweep["sharpness"][1] / sweep["limit"][1]
    # At the limit float32 amplifies rounding, before it the two agree.
    np.testing.assert_allclose(edge[:4], alone["edge"][:4], rtol=5e-3)


# --- divide by ten ---------------------------------------------------------------------------


def drawn(seed, units=16):
    return divide_by_ten.draw(np.random.default_rng(seed), units, 1 / units)


def test_a_student_that_starts_as_the_teacher_gives_its_answers():
    teacher, student = drawn(0, divide_by_ten.TEACHER_UNITS), drawn(1)
    x = np.random.default_rng(2).standard_normal((30, divide_by_ten.INPUTS))
    answers = divide_by_ten.outputs(teacher, x)[1]
    found = divide_by_ten.outputs(divide_by_ten.as_student(teacher, student), x)[1]
    np.testing.assert_allclose(found, answers, atol=1e-12)
    assert not np.allclose(divide_by_ten.outputs(student, x)[1], answers, atol=0.1)


def test_gradients_and_curvatures_are_those_that_torch_finds():
    weights = drawn(3, units=4)
    rng = np.random.default_rng(4)
    x, y = rng.standard_normal((25, divide_by_ten.INPUTS)), rng.standard_normal(25)

    def answers(w, b, v, c):
        return torch.tanh(torch.from_numpy(x) @ w + b) @ v + c

    tensors = tuple(torch.tensor(part, requires_grad=True) for part in weights)
    loss = (answers(*tensors) - torch.from_numpy(y)).square().mean()
    for mine, by_torch in zip(
        divide_by_ten.gradients(weights, x, y), torch.autograd.grad(loss, tensors), strict=True
    ):
        np.testing.assert_allclose(mine, by_torch.numpy(), atol=1e-12)

    # Where the labels are the network's own outputs, the whole Hessian.
    own = answers(*tensors).detach()
    hessian = torch.autograd.functional.hessian(
        lambda *parts: (answers(*parts) - own).square().mean(), tensors
    )
    rows = [
        torch.cat([hessian[i][j].reshape(a.numel(), b.numel()) for j, b in enumerate(tensors)], 1)
        for i, a in enumerate(tensors)
    ]
    expected = torch.linalg.eigvalsh(torch.cat(rows)).numpy()
    np.testing.assert_allclose(divide_by_ten.curvatures(weights, x), expected, atol=1e-9)


def test_the_floor_is_that_of_sgd_on_a_linear_model():
    # Linear regression on normal inputs and a threshold has four curvatures of 2. Simulated with
    # fresh examples, at a small rate, for so long that the mean is known to a few percent.
    rate, noise, batch = 0.02, 0.5, 8
    floor = divide_by_ten.predicted_floor(np.full(4, 2.0), rate=rate, noise=noise, batch_size=batch)
    rng = np.random.default_rng(0)
    w, seen = np.zeros((200, 4)), []
    for step in range(600):
        z = np.concatenate([rng.standard_normal((200, batch, 3)), np.ones((200, batch, 1))], 2)
        residual = (z @ w[..., None])[..., 0] - noise * rng.standard_normal((200, batch))
        w -= rate * 2 * (residual[:, None] @ z)[:, 0] / batch
        if step > 300:
            seen.append((w**2).sum(1).mean())
    # The examples' own variation, which the formula leaves out, adds a few percent.
    assert np.mean(seen) == pytest.approx(floor, rel=0.1)


def test_a_rate_beyond_the_limit_has_no_floor():
    about = {"rate": 0.5, "noise": 0.5, "batch_size": 8}
    assert divide_by_ten.predicted_floor(np.array([1.0, 4.0]), **about) == float("inf")
    assert divide_by_ten.predicted_floor(np.array([1.0, 3.9]), **about) < float("inf")


def test_schedules_agree_until_the_rate_is_divided():
    small = dataclasses.replace(
        divide_by_ten.Settings(), divide_at=(500, 1050), steps=1100, students=2
    )
    result, again = divide_by_ten.run(small, Chance(0)), divide_by_ten.run(small, Chance(0))
    assert len(result["at"]) == len(result["error[constant]"]) == 1100 / divide_by_ten.EVERY + 1
    np.testing.assert_array_equal(result["error[constant]"][:11], result["error[divided]"][:11])
    assert result["error[constant]"][11] != result["error[divided]"][11]
    assert result["error[small]"][1] > result["error[constant]"][1]
    assert all(result[name].tobytes() == again[name].tobytes() for name in result)


# --- acute angles ----------------------------------------------------------------------------


def small_stack(seed):
    shapes = ((6, 5), (5, 4), (4, 3))
    weights = [torch.randn(2, *shape, generator=generator(seed + i)) for i, shape in
               enumerate(shapes)]  # fmt: skip
    x = torch.randn(7, 6, generator=generator(seed + 9))
    return weights, x, torch.eye(3)[torch.arange(7) % 3]


def test_the_backward_pass_is_the_gradient_that_automatic_differentiation_finds():
    weights, x, y = small_stack(0)
    for w in weights:
        w.requires_grad_()
    xs = acute_angles.forward(x, weights)
    loss, found = acute_angles.backward(xs, weights, weights, y)
    expected = torch.nn.functional.cross_entropy(xs[-1][0], y.argmax(1))
    torch.testing.assert_close(loss[0], expected)
    for g, by_torch in zip(found, torch.autograd.grad(loss.sum(), weights), strict=True):
        torch.testing.assert_close(g, by_torch)


def test_feedback_changes_every_layer_but_the_last():
    weights, x, y = small_stack(0)
    fixed, _, _ = small_stack(50)
    xs = acute_angles.forward(x, weights)
    gradient = acute_angles.backward(xs, weights, weights, y)[1]
    feedback = acute_angles.backward(xs, weights, fixed, y)[1]
    torch.testing.assert_close(gradient[-1], feedback[-1])
    assert not any(torch.allclose(g, f) for g, f in zip(gradient[:-1], feedback[:-1], strict=True))


@pytest.mark.parametrize("cosine", [0.1, 0.5, 0.9])
def test_a_tilt_has_its_cosine_and_the_length_of_the_gradient(cosine):
    gradient = torch.randn(3, 400, generator=generator(0), dtype=torch.float64)
    tilted = acute_angles.tilted(gradient, cosine, generator(1))
    found = torch.nn.functional.cosine_similarity(tilted, gradient)
    torch.testing.assert_close(found, torch.full_like(found, cosine))
    torch.testing.assert_close(tilted.norm(dim=1), gradient.norm(dim=1))


def test_signs_of_normal_entries_have_the_cosine_of_theory():
    # The mean of |z| over the root of the mean of z^2 is sqrt(2 / pi) for a normal z.
    gradient = {n: torch.randn(1, 20000, generator=generator(0)) for n in acute_angles.DIRECTIONS}
    scale = torch.ones(20000)
    found = acute_angles.directions(gradient, gradient["feedback"], scale, generator(1))
    cosines = {
        n: float(torch.nn.functional.cosine_similarity(found[n], gradient[n])) for n in found
    }
    assert cosines["signs"] == pytest.approx((2 / np.pi) ** 0.5, abs=0.01)
    # A tenth of the entries has a tenth of the squared length.
    assert cosines["tenth"] == pytest.approx(0.1**0.5, abs=0.02)
    assert cosines["gradient"] == cosines["scaled"] == pytest.approx(1, abs=1e-5)
    for name, direction in found.items():
        torch.testing.assert_close(direction.norm(), gradient[name].norm(), rtol=1e-5, atol=0)


def test_at_right_angles_there_is_no_part_along_the_gradient():
    small = acute_angles.Settings(examples=60, width=8, steps=20, rates=(0.03, 0.1))
    acute = acute_angles.run(small, Chance(0))
    right = acute_angles.run(dataclasses.replace(small, project_out=True), Chance(0))
    tried = [name for name in acute_angles.DIRECTIONS if name != "gradient"]
    assert max(abs(float(right[f"cosine[{name}]"])) for name in tried) < 1e-5
    assert acute["cosine[low]"] == pytest.approx(0.1, abs=1e-5)
    assert right["final[gradient]"] == acute["final[gradient]"]
    again = acute_angles.run(small, Chance(0))
    assert all(acute[name].tobytes() == again[name].tobytes() for name in acute)
