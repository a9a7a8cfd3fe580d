"""Rows of features: any number of them and of features, their mean over the valid ones alone."""

import pytest
import torch

from emotrace.encoders.feature_rows import FeatureRows, FeatureRowsConfig


def _network(features: int, width: int = 8) -> FeatureRows:
    torch.manual_seed(0)
    return FeatureRows(FeatureRowsConfig(num_features=features, embedding_dim=width))


@pytest.mark.parametrize(("rows", "features"), [(1, 1), (1, 6000), (5, 12)])
@torch.no_grad()
def test_any_number_of_rows_and_features_will_do(rows: int, features: int) -> None:
    network, table = _network(features), torch.randn(2, 3, rows, features)
    valid = torch.ones(2, 3, rows, dtype=torch.bool)
    cells = network.cells(table, valid)
    assert network.embedding_dim == 8
    assert cells.shape == (2, 3, rows, 8)
    assert (cells >= 0).all()
    assert network(table, valid).shape == (2, 3, 8)
    assert network(table, valid).std() > 0.1


@torch.no_grad()
def test_every_row_is_a_layer_of_its_own_features() -> None:
    network, table = _network(4), torch.randn(3, 5, 4)
    (weight, bias), valid = network.parameters(), torch.ones(3, 5, dtype=torch.bool)
    expected = (torch.einsum("em,nfm->nfe", weight, table) + bias).clamp(min=0)
    torch.testing.assert_close(network.cells(table, valid), expected)
    torch.testing.assert_close(network(table, valid), expected.mean(dim=1))


@torch.no_grad()
def test_the_mean_is_that_of_the_valid_rows_and_zero_without_any() -> None:
    network, table = _network(4), torch.randn(3, 5, 4)
    valid = torch.tensor([[True] * 5, [False, True, False, True, False], [False] * 5])
    found = network(table, valid)
    torch.testing.assert_close(found[1], network(table[1, [1, 3]], torch.ones(2, dtype=torch.bool)))
    assert found[1].any()
    assert not found[2].any()
    assert not network.cells(table, valid)[~valid].any()


@pytest.mark.parametrize("garbage", [torch.nan, torch.inf])
def test_rows_that_are_not_valid_change_neither_vectors_nor_gradients(garbage: float) -> None:
    network, table = _network(4), torch.randn(2, 5, 4)
    valid = torch.tensor([[False, True, True, False, True], [False] * 5])
    found = []
    for rows in (table, table.masked_fill(~valid[..., None], garbage)):
        network.zero_grad()
        vectors = network(rows, valid)
        torch.autograd.backward(vectors.sum())
        found.append([vectors, *(value.grad for value in network.parameters())])
    for clean, soiled in zip(*found, strict=True):
        torch.testing.assert_close(soiled, clean, atol=0, rtol=0)
