"""The closed-form ReLU teacher: against plain averages, differences, theory and the paper."""

import math

import numpy as np
import pytest
import torch
from whydeep.errors import BadSettings
from whydeep.labs import teachers


def students(count, units, inputs, seed=0):
    return teachers.starts(count, units, inputs, np.random.default_rng(seed))


def test_the_loss_is_the_average_over_normal_examples():
    w, v = students(3, 4, 5), teachers.orthonormal_teacher(3, 5)
    x = torch.from_numpy(np.random.default_rng(1).standard_normal((400_000, 5)))
    for student, exact in zip(w, teachers.loss(w, v), strict=True):
        errors = (torch.relu(x @ student.T).sum(1) - torch.relu(x @ v.T).sum(1)) ** 2 / 2
        assert abs(errors.mean() - exact) < 4 * errors.std() / math.sqrt(len(x))


def test_the_kernel_of_worked_examples():
    one = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    others = torch.tensor([[1.0, 0.0], [0.0, 2.0], [-3.0, 0.0]], dtype=torch.float64)
    # The same unit: E relu(z)^2 = 1/2. At right angles: (E relu(z))^2 = 1 / (2 pi), times 2.
    expected = torch.tensor([[0.5, 1 / math.pi, 0.0]], dtype=torch.float64)
    torch.testing.assert_close(teachers.kernel(one, others), expected, atol=1e-12, rtol=0)


def test_gradient_and_hessian_are_differences_of_the_loss():
    w, v = students(2, 3, 4, seed=2), teachers.orthonormal_teacher(2, 4)
    h, g = 1e-5, teachers.gradient(w, v).flatten(1)
    second = teachers.hessian(w, v)
    for i in range(12):
        move = torch.zeros(12, dtype=torch.float64)
        move[i] = h
        move = move.view(3, 4)
        slope = (teachers.loss(w + move, v) - teachers.loss(w - move, v)) / (2 * h)
        torch.testing.assert_close(slope, g[:, i], atol=1e-8, rtol=0)
    rng = np.random.default_rng(3)
    for _ in range(5):
        u = torch.from_numpy(rng.standard_normal((3, 4)))
        bend = teachers.loss(w + 1e-3 * u, v) - 2 * teachers.loss(w, v)
        bend = (bend + teachers.loss(w - 1e-3 * u, v)) / 1e-6
        along = torch.einsum("i,bij,j->b", u.flatten(), second, u.flatten())
        torch.testing.assert_close(bend, along, atol=1e-4, rtol=1e-4)


def test_the_teacher_itself_has_no_loss_and_no_slope_and_its_double_neither():
    v = teachers.orthonormal_teacher(4, 6)
    split = torch.cat([v / 2, v / 2])  # relu(z) = relu(z / 2) + relu(z / 2)
    for w in (v, split):
        assert abs(float(teachers.loss(w[None], v))) < 1e-7
        assert float(teachers.gradient(w[None], v).abs().max()) < 1e-6


def test_members_do_not_see_their_neighbours_and_leave_when_they_arrive():
    w, v = students(6, 4, 4, seed=3), teachers.orthonormal_teacher(4)
    how = {"steps": 600, "rate": 0.1, "momentum": 0.8}
    together = teachers.descend(w, v, **how)
    alone = teachers.descend(w[2:3], v, **how)
    torch.testing.assert_close(alone.weights[0], together.weights[2], atol=1e-9, rtol=0)
    assert alone.steps[0] == together.steps[2] < 600
    assert float(together.slope.max()) <= 1e-3


def test_one_unit_finds_its_teacher():
    # Tian 2017: with one unit, descent from almost every start recovers it.
    found = teachers.descend(
        students(20, 1, 3, seed=4), teachers.orthonormal_teacher(1, 3), steps=3000, rate=0.3
    )
    assert teachers.stuck(found) == 0
    assert float(found.loss.max()) < 1e-3


def test_bad_input_is_told_in_one_line():
    with pytest.raises(BadSettings, match="do not fit"):
        teachers.orthonormal_teacher(5, 3)
    with pytest.raises(BadSettings, match="flew off"):
        teachers.descend(
            students(2, 8, 8), teachers.orthonormal_teacher(8), steps=400, rate=1e4, momentum=0.9
        )
