"""The default bundle's voice network: the bounded z-score of its training rows; an ensemble averages logits."""

import torch
from torch import Tensor

from emotrace.encoders.descriptor_mlp import DescriptorMlp, DescriptorMlpConfig, Ensemble

CONFIG = DescriptorMlpConfig(num_descriptors=6, hidden_dims=(8, 5), num_classes=4)


def network(seed: int) -> DescriptorMlp:
    torch.manual_seed(seed)
    return DescriptorMlp(CONFIG).eval()


def rows() -> Tensor:
    scale = torch.tensor([1e-3, 1.0, 1e3, 1.0, 1.0, 0.0])  # the last descriptor never changes
    return torch.randn(200, 6, generator=torch.Generator().manual_seed(0)) * scale + 7 * scale


def test_descriptors_become_an_embedding_and_logits() -> None:
    embedding, logits = network(0)(torch.randn(3, 6))
    assert embedding.shape == (3, 5)
    assert logits.shape == (3, 4)


def test_the_unit_of_a_descriptor_does_not_matter() -> None:
    one, other = network(0), network(0)
    factor = torch.tensor([1e3, 1.0, 1e-3, 5.0, 1.0, 1.0])
    one.fit_normaliser(rows())
    other.fit_normaliser(rows() * factor)
    torch.testing.assert_close(one(rows())[1], other(rows() * factor)[1], atol=1e-3, rtol=1e-3)


def test_mean_and_deviation_are_those_of_the_rows_and_travel_with_the_weights() -> None:
    one = network(0)
    one.fit_normaliser(rows())
    torch.testing.assert_close(one.mean, rows().mean(dim=0))
    torch.testing.assert_close(one.std[:5], rows().std(dim=0)[:5])
    assert one.std[5] > 0
    other = network(1)
    other.load_state_dict(one.state_dict())
    torch.testing.assert_close(other(rows())[1], one(rows())[1])


def test_a_descriptor_far_off_counts_as_five_deviations() -> None:
    one = network(0)
    one.fit_normaliser(rows())
    far, further = one.mean + 5 * one.std, one.mean + 1e6 * one.std
    torch.testing.assert_close(one(further[None])[1], one(far[None])[1])
    assert not torch.allclose(one((one.mean + 4 * one.std)[None])[1], one(far[None])[1])


def test_an_ensemble_gives_the_mean_of_the_logits_and_all_embeddings() -> None:
    first, second = network(0), network(1)
    embedding, logits = Ensemble([first, second]).eval()(rows())
    torch.testing.assert_close(logits, (first(rows())[1] + second(rows())[1]) / 2)
    torch.testing.assert_close(embedding, torch.cat([first(rows())[0], second(rows())[0]], dim=1))
    assert not torch.allclose(first(rows())[1], second(rows())[1])
