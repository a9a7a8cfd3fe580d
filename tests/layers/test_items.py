"""What a network makes of items, some of them missing."""

import pytest
import torch
from torch import nn

from emotrace.layers.items import ItemNorm, encode_items


def _network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 4), ItemNorm(4), nn.Tanh())


@pytest.mark.parametrize("training", [True, False])
def test_known_items_are_encoded_and_others_are_zero(training: bool) -> None:
    network, items, known = _network().train(training), torch.randn(3, 6, 5), torch.rand(3, 6) < 0.6
    out = encode_items(network, items * known[..., None], known, 4)
    torch.testing.assert_close(out[known], network(items[known]))
    assert not out[~known].any()


def test_the_normalisation_learns_from_known_items_only() -> None:
    network, alone = _network(), _network()
    items, known = torch.randn(3, 6, 5), torch.rand(3, 6) < 0.6
    encode_items(network, items * known[..., None], known, 4)
    alone(items[known])
    for name, value in network.state_dict().items():
        torch.testing.assert_close(value, alone.state_dict()[name])


@pytest.mark.parametrize("count", [0, 1])
def test_a_batch_without_spread_can_be_learnt_from(count: int) -> None:
    network = _network()
    known = torch.arange(6).reshape(2, 3) < count
    out = encode_items(network, torch.randn(2, 3, 5) * known[..., None], known, 4)
    assert out.isfinite().all()
    assert out.any() == (count > 0)


def test_a_single_value_is_normalised_by_the_batches_before() -> None:
    norm = ItemNorm(4)
    for _ in range(100):
        norm(torch.randn(64, 4) + 3)
    row = torch.randn(1, 4)
    alone = norm(row)
    torch.testing.assert_close(alone, norm.eval()(row))
    assert (alone - (row - 3)).abs().max() < 0.5
