"""The distance between column spaces, against what geometry says."""

import numpy as np
import pytest

from components.evaluator.figures.subspace_distance import subspace_distance

GENERATOR = np.random.default_rng(3)


def test_a_matrix_is_at_distance_0_from_every_basis_of_its_column_space():
    matrix = GENERATOR.normal(size=(50, 4))
    assert subspace_distance(matrix, matrix @ GENERATOR.normal(size=(4, 4))) == pytest.approx(0, abs=1e-12)


def test_orthogonal_column_spaces_are_at_distance_1():
    basis, _ = np.linalg.qr(GENERATOR.normal(size=(50, 8)))
    assert subspace_distance(basis[:, :4] * 7, basis[:, 4:]) == pytest.approx(1)


@pytest.mark.parametrize("angle", [0.1, 0.7, 1.5])
def test_a_line_is_at_the_sine_of_its_angle(angle):
    line, axis = np.array([[np.cos(angle)], [np.sin(angle)], [0]]), np.array([[-3.0], [0], [0]])
    assert subspace_distance(line, axis) == pytest.approx(np.sin(angle))


def test_the_parts_within_and_beside_the_column_space_make_the_distance():
    basis, _ = np.linalg.qr(GENERATOR.normal(size=(50, 8)))
    matrix = basis[:, :4] @ GENERATOR.normal(size=(4, 4)) * 3 + basis[:, 4:]
    inside = np.linalg.norm(basis[:, :4].T @ matrix)
    assert subspace_distance(matrix, basis[:, :4]) == pytest.approx(2 / np.hypot(inside, 2))


def test_the_distance_depends_on_the_size_of_neither():
    matrix, other = GENERATOR.normal(size=(2, 50, 4))
    assert subspace_distance(1e-3 * matrix, 1e3 * other) == pytest.approx(subspace_distance(matrix, other))


def test_random_matrices_are_as_far_as_dimensions_say():
    matrix, other = GENERATOR.normal(size=(2, 2000, 200))
    assert subspace_distance(matrix, other) == pytest.approx(np.sqrt(1 - 200 / 2000), abs=0.01)


def test_columns_that_repeat_add_no_direction():
    matrix, other = GENERATOR.normal(size=(50, 3)), GENERATOR.normal(size=(50, 2))
    assert subspace_distance(matrix, np.hstack([other, other, 0 * other])) == pytest.approx(
        subspace_distance(matrix, other)
    )


def test_a_projection_of_zeros_has_no_part_outside():
    assert subspace_distance(np.zeros([5, 2]), GENERATOR.normal(size=(5, 2))) == 0


def test_matrices_of_different_vocabularies_are_refused():
    with pytest.raises(ValueError, match="equally many rows"):
        subspace_distance(np.ones([5, 2]), np.ones([6, 2]))
