"""What the network from features of segments to their classes must keep."""

import pytest
import torch
from torch import Tensor, nn

from emotrace.layers.localiser import Localised, Localiser, Supervision

EVERY = pytest.mark.parametrize("supervision", ["full", "weak"])


def _localiser(supervision: Supervision, threshold: float = 0.1) -> Localiser:
    torch.manual_seed(0)
    return Localiser("small", supervision, voice_dim=6, cell_dim=5, num_classes=4, threshold=threshold).eval()


def _features() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(3, 8, 7, 5, generator=generator), torch.randn(3, 8, 6, generator=generator)


def _found(localiser: Localiser, *, shown: bool = True, spoken: bool = True) -> Localised:
    cells, voice = _features()
    seen, heard = torch.full((3, 8), shown), torch.full((3, 8), spoken)
    found: Localised = localiser(cells * shown, voice * spoken, seen, heard)
    return found


def test_the_published_full_network_has_the_parameters_of_the_authors_code() -> None:
    with torch.device("meta"):
        network = Localiser("published", "full", voice_dim=128, cell_dim=512, num_classes=29, threshold=0.099)
        found = network(torch.zeros(2, 10, 49, 512), torch.zeros(2, 10, 128), *[torch.ones(2, 10).bool()] * 2)
    assert sum(value.numel() for value in network.parameters()) == 1_548_657
    assert found.fused.shape == (2, 10, 256)
    assert found.scores.shape == (2, 10, 29)
    assert found.ties.shape == (2, 10, 10)


def test_the_published_weak_network_has_no_layers_around_the_voice_and_after_the_propagation() -> None:
    with torch.device("meta"):
        network = Localiser("published", "weak", voice_dim=128, cell_dim=512, num_classes=29, threshold=0.095)
    full, changed = 1_548_657, 128 * 256 + 256 * 128 + 2 * 256 * 256 + 512 * 256 + 256 * 128
    assert sum(value.numel() for value in network.parameters()) == full - changed + 512 * 128 + 128 + 29
    assert network.listen.input_size == 128
    assert not network.propagate.renormalise


@EVERY
@torch.no_grad()
def test_of_a_modality_that_is_missing_the_other_is_all(supervision: Supervision) -> None:
    localiser = _localiser(supervision)
    seen, heard, nothing = (
        _found(localiser, shown=shown, spoken=spoken)
        for shown, spoken in ((True, False), (False, True), (False, False))
    )
    assert torch.equal(seen.fused, seen.face)
    assert torch.equal(heard.fused, heard.voice)
    assert seen.face.any()
    assert heard.voice.any()
    assert not any(values.any() for values in (seen.voice, seen.ties, heard.face, heard.ties, *nothing))
    both = _found(localiser)
    torch.testing.assert_close(both.fused, (both.face + both.voice) / 2)


@torch.no_grad()
def test_the_weak_network_weighs_its_scores_by_a_half_to_one() -> None:
    localiser = _localiser("weak")
    assert localiser.weigh is not None
    found = _found(localiser)
    raw = localiser.classify(found.fused)
    weights = (found.scores / raw).mean(dim=2)
    torch.testing.assert_close(weights, (raw @ localiser.weigh.weight[0]).relu().sigmoid())
    assert (weights > 0.501).any()


@EVERY
@torch.no_grad()
def test_the_threshold_decides_what_is_propagated(supervision: Supervision) -> None:
    assert not _found(_localiser(supervision, 1.0)).ties.any()
    few, many = (_found(_localiser(supervision, each)).ties.count_nonzero() for each in (0.14, 0.0))
    assert 0 < few < many


def test_layers_that_the_authors_draw_by_xavier_are() -> None:
    localiser = _localiser("full")
    drawn = localiser.classify[0], *localiser.leave_face.children(), localiser.look.enter_cells
    for part in (*drawn, localiser.propagate.face_asks):
        if isinstance(part, nn.Linear):
            bound = (6 / (part.in_features + part.out_features)) ** 0.5
            assert part.weight.abs().max().item() == pytest.approx(bound, rel=0.1)
