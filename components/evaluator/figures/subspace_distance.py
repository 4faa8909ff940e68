"""Measures how far the column space of one matrix is from another's, such as the projection's from the embedding's."""

import numpy as np


def subspace_distance(matrix, other) -> float:
    """Relative residual norm of projecting `matrix` on the column space of `other`: 0 within it, 1 orthogonal to it.

    If the augmented loss alone trains an untied model, the projection W ends up in the column space of the embedding L
    (section 3 of the paper), so that the distance of W from L falls towards 0. Two independent random matrices [n, d]
    are at about sqrt(1 - d / n).

    Args:
        matrix: [n, d], for example W.
        other: [n, k], k <= n, for example L.

    Returns:
        ||M - P M|| / ||M|| in Frobenius norms, P the orthogonal projection; 0 for a matrix of zeros.

    Raises:
        ValueError: If the matrices do not have the same number of rows.

    References:
        Björck & Golub, "Numerical Methods for Computing Angles Between Linear Subspaces" (1973);
        Inan et al., "Tying Word Vectors and Word Classifiers" (arXiv 1611.01462), section 5 and Fig. 1.
    """
    matrix, other = np.asarray(matrix, np.float64), np.asarray(other, np.float64)
    if matrix.ndim != 2 or other.ndim != 2 or len(matrix) != len(other):
        raise ValueError(
            f"The shapes are {matrix.shape} and {other.shape}; column spaces of matrices with equally many rows "
            "(words) can be compared."
        )
    basis, sizes, _ = np.linalg.svd(other, full_matrices=False)
    basis = basis[:, sizes > sizes.max(initial=0) * max(other.shape) * np.finfo(np.float64).eps]  # rank may be low
    norm = np.linalg.norm(matrix)
    return float(np.linalg.norm(matrix - basis @ (basis.T @ matrix)) / norm) if norm else 0.0
