"""Multi-head attention against torch's own, and with items that are missing."""

import pytest
import torch
from torch import Tensor, nn

from emotrace.layers.multihead import AttentionBlock, ChannelBlock, MultiHeadAttention, heads_of

WIDTH, HEADS, LENGTH = 12, 3, 5


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def _torchs(attention: MultiHeadAttention, items: Tensor, known: Tensor) -> Tensor:
    """The same by torch's function, for items [B, L, E] of which each clip knows some."""

    def split(part: nn.Module) -> Tensor:
        heads: Tensor = part(items).reshape(len(items), -1, attention.heads, WIDTH // attention.heads)
        return heads.transpose(1, 2)

    query, key, value = (split(part) for part in (attention.query, attention.key, attention.value))
    mask = known[:, None, None]
    mixed = nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    projected: Tensor = attention.project(mixed.transpose(1, 2).reshape(items.shape))
    return projected


@pytest.mark.parametrize("heads", [1, HEADS])
@torch.no_grad()
def test_it_is_torchs_scaled_dot_product_attention(heads: int) -> None:
    attention = MultiHeadAttention(WIDTH, heads, 7)
    items, known = torch.randn(4, LENGTH, WIDTH), torch.rand(4, LENGTH) < 0.6
    known[:, 2] = True
    torch.testing.assert_close(attention(items, known), _torchs(attention, items, known))
    everything = torch.ones_like(known)
    torch.testing.assert_close(attention(items), _torchs(attention, items, everything))


@torch.no_grad()
def test_leading_axes_are_each_by_themselves() -> None:
    attention = MultiHeadAttention(WIDTH, HEADS, WIDTH)
    items, known = torch.randn(2, 3, LENGTH, WIDTH), torch.rand(2, 3, LENGTH) < 0.6
    torch.testing.assert_close(attention(items, known)[1, 2], attention(items[1, 2], known[1, 2]))


@pytest.mark.parametrize("literal", [True, False])
def test_what_is_not_known_is_zero_and_changes_nothing(literal: bool) -> None:
    block = AttentionBlock(WIDTH, 8, literal=literal)
    items, known = torch.randn(4, LENGTH, WIDTH), torch.rand(4, LENGTH) < 0.6
    out = block(items, known)
    assert not out[~known].any()
    torch.testing.assert_close(block(items.masked_fill(~known[..., None], 1e3), known), out)


@pytest.mark.parametrize("literal", [True, False])
def test_with_nothing_known_it_gives_zeros_and_no_gradient(literal: bool) -> None:
    block = AttentionBlock(WIDTH, 8, literal=literal)
    items = torch.randn(4, LENGTH, WIDTH, requires_grad=True)
    out = block(items, torch.zeros(4, LENGTH, dtype=torch.bool))
    torch.autograd.backward(out.sum())
    assert not out.any()
    assert items.grad is not None
    assert not items.grad.any()


@torch.no_grad()
def test_around_the_attention_there_is_a_way_and_a_normalisation_unless_literal() -> None:
    items, known = torch.randn(4, LENGTH, WIDTH), torch.ones(4, LENGTH, dtype=torch.bool)
    literal, ours = AttentionBlock(WIDTH, WIDTH, literal=True), AttentionBlock(WIDTH, WIDTH, literal=False)
    torch.testing.assert_close(literal(items, known), literal.attention(items))
    expected = nn.functional.layer_norm(items + ours.attention(items), (WIDTH,))
    torch.testing.assert_close(ours(items, known), expected)
    narrowing = AttentionBlock(WIDTH, 8, literal=False)
    assert narrowing(items, known).shape == (4, LENGTH, 8)


@torch.no_grad()
def test_channels_attend_to_each_other_as_items_of_the_transpose_do() -> None:
    items = torch.randn(4, LENGTH, WIDTH)
    literal, ours = ChannelBlock(LENGTH, WIDTH, literal=True), ChannelBlock(LENGTH, WIDTH, literal=False)
    expected = literal.attention(items.transpose(1, 2)).transpose(1, 2)
    torch.testing.assert_close(literal(items), expected)
    assert ours(items).shape == items.shape


@torch.no_grad()
def test_behind_the_channel_block_the_mean_over_items_still_tells_them_apart() -> None:
    block = ChannelBlock(LENGTH, WIDTH, literal=False)
    means = block(torch.randn(6, LENGTH, WIDTH)).mean(dim=1)
    assert means.std(dim=0).mean() > 0.1


def test_heads_divide_the_width_and_are_at_most_eight() -> None:
    assert [heads_of(width) for width in (1, 7, 11, 16, 49, 36, 2048)] == [1, 7, 1, 8, 7, 6, 8]
