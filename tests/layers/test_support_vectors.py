"""What the linear support vector machines find, against scikit-learn's of the same losses."""

import numpy as np
import torch
from sklearn.svm import LinearSVC, LinearSVR
from torch import Generator, Tensor

from emotrace.layers.support_vectors import fit_classes, fit_regression

COUNT, WIDTH = 200, 3


def _vectors() -> Tensor:
    return torch.randn(COUNT, WIDTH, generator=Generator().manual_seed(0))


def test_regression_finds_what_scikit_learn_finds() -> None:
    vectors = _vectors()
    noise = 0.3 * torch.randn(COUNT, 2, generator=Generator().manual_seed(1))
    targets = vectors @ torch.tensor([[1.0, -0.5], [0.0, 0.5], [0.3, 0.0]]) + noise
    penalty = 0.01
    weights, biases = fit_regression(vectors, targets, tube=0.1, penalty=penalty)
    for place in range(2):
        # Its cost is |w|^2 / 2 + C sum, and it penalises the bias unless this is scaled.
        peer = LinearSVR(
            epsilon=0.1,
            C=1 / (penalty * COUNT),
            loss="squared_epsilon_insensitive",
            intercept_scaling=100.0,
            dual=False,
            tol=1e-8,
            max_iter=10_000,
        ).fit(vectors.numpy(), targets[:, place].numpy())
        np.testing.assert_allclose(weights[place].numpy(), peer.coef_, atol=2e-3)
        np.testing.assert_allclose(float(biases[place]), peer.intercept_, atol=2e-3)


def test_classification_finds_what_scikit_learn_finds() -> None:
    vectors = _vectors()
    classes = (vectors @ torch.tensor([[1.0, -1.0, 0.0], [0.5, 0.5, -1.0], [0.0, 0.3, 0.2]])).argmax(dim=1)
    penalty = 0.05
    weights, biases = fit_classes(vectors, classes, 3, penalty=penalty)
    peer = LinearSVC(
        C=1 / (penalty * COUNT), loss="squared_hinge", intercept_scaling=100.0, dual=False, tol=1e-8, max_iter=10_000
    ).fit(vectors.numpy(), classes.numpy())
    np.testing.assert_allclose(weights.numpy(), peer.coef_, atol=2e-3)
    np.testing.assert_allclose(biases.numpy(), peer.intercept_, atol=2e-3)


def test_errors_inside_the_tube_cost_nothing() -> None:
    vectors = _vectors()
    weights, _ = fit_regression(vectors, 0.1 * vectors[:, :1], tube=1.0, penalty=0.01)
    assert weights.abs().max() < 1e-6


def test_a_class_without_vectors_is_never_chosen() -> None:
    vectors = _vectors()
    classes = (vectors[:, 0] > 0).long()
    weights, biases = fit_classes(vectors, classes, 4, penalty=0.01)
    assert (vectors @ weights[2:].T + biases[2:]).max() <= -0.99
    assert (vectors @ weights.T + biases).argmax(dim=1).max() <= 1


def test_the_fit_is_the_same_twice_and_needs_no_gradients_around_it() -> None:
    vectors = _vectors()
    one, _ = fit_regression(vectors, vectors[:, :1], tube=0.1, penalty=0.01)
    with torch.no_grad():
        other, _ = fit_regression(vectors, vectors[:, :1], tube=0.1, penalty=0.01)
    assert torch.equal(one, other)
