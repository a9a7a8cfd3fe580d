"""What positive sample propagation, the attention led by the voice and the pair similarity loss must keep."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from emotrace.layers.propagation import GuidedAttention, PositiveSamplePropagation, pair_similarity_loss

ALL = torch.ones(5, 6, dtype=torch.bool)


def _items() -> tuple[Tensor, Tensor]:
    return torch.randn(5, 6, 32), torch.randn(5, 6, 32)


def _layer(threshold: float, *, renormalise: bool = True) -> PositiveSamplePropagation:
    torch.manual_seed(0)
    return PositiveSamplePropagation(32, threshold, renormalise=renormalise).eval()


@pytest.mark.parametrize("renormalise", [True, False])
@torch.no_grad()
def test_segments_are_propagated_as_the_equations_say(renormalise: bool) -> None:
    layer = _layer(0.2, renormalise=renormalise)
    face, voice = _items()
    v1, v2 = ((face @ each.weight.T).relu() for each in (layer.face_gives, layer.face_asks))
    a1, a2 = ((voice @ each.weight.T).relu() for each in (layer.voice_asks, layer.voice_gives))
    beta = torch.einsum("bid,bjd->bij", v2, a1).relu() / 32**0.5
    gammas = []
    for each in (beta, beta.mT):
        shares = each / each.sum(dim=2, keepdim=True)
        shares = shares * (shares > 0.2)
        gammas.append(functional.normalize(shares, p=1, dim=2) if renormalise else shares)
    found = layer(face, voice, ALL, ALL)
    torch.testing.assert_close(found[0], face + gammas[0] @ a2)
    torch.testing.assert_close(found[1], voice + gammas[1] @ v1)
    torch.testing.assert_close(found[2], gammas[0])
    torch.testing.assert_close(found[3], gammas[1])


@pytest.mark.parametrize(("threshold", "is_sparse"), [(0.0, False), (0.4, True)])
@torch.no_grad()
def test_every_renormalised_row_sums_to_one_or_zero(threshold: float, is_sparse: bool) -> None:
    layer, (face, voice) = _layer(threshold), _items()
    sums = torch.cat([gamma.sum(dim=2).flatten() for gamma in layer(face, voice, ALL, ALL)[2:]])
    nothing = sums == 0
    assert not nothing.all()
    assert nothing.any() == is_sparse
    torch.testing.assert_close(sums[~nothing], torch.ones(int((~nothing).sum())))


@torch.no_grad()
def test_a_threshold_of_zero_is_plain_attention_with_normalised_relu() -> None:
    layer, (face, voice) = _layer(0.0, renormalise=False), _items()
    likeness = ((face @ layer.face_asks.weight.T).relu() @ (voice @ layer.voice_asks.weight.T).relu().mT).relu()
    for gamma, beta in zip(layer(face, voice, ALL, ALL)[2:], (likeness, likeness.mT), strict=True):
        torch.testing.assert_close(gamma, functional.normalize(beta, p=1, dim=2))


@pytest.mark.parametrize("threshold", [1.0, 2.0])
@torch.no_grad()
def test_a_threshold_of_one_leaves_everything_as_it_is(threshold: float) -> None:
    face, voice = _items()
    fuller_face, fuller_voice, *gammas = _layer(threshold)(face, voice, ALL, ALL)
    assert torch.equal(fuller_face, face)
    assert torch.equal(fuller_voice, voice)
    assert not any(gamma.any() for gamma in gammas)


@torch.no_grad()
def test_what_is_not_known_gives_and_takes_nothing() -> None:
    layer, (face, voice) = _layer(0.1), _items()
    shown, spoken = torch.rand(5, 6) < 0.6, torch.rand(5, 6) < 0.6
    spoken[0] = False
    soiled = face.masked_fill(~shown[..., None], torch.nan), voice.masked_fill(~spoken[..., None], torch.nan)
    fuller_face, fuller_voice, to_face, to_voice = layer(*soiled, shown, spoken)
    assert not fuller_face[~shown].any()
    assert not fuller_voice[~spoken].any()
    assert not to_face[~(shown[:, :, None] & spoken[:, None])].any()
    assert not to_voice[~(spoken[:, :, None] & shown[:, None])].any()
    assert to_face.any()
    assert torch.equal(fuller_face[0], torch.where(shown[0, :, None], face[0], 0.0))
    # Without them altogether the others meet the same.
    face_there, voice_there = face[1][shown[1]], voice[1][spoken[1]]
    alone = layer(face_there[None], voice_there[None], ALL[:1, : len(face_there)], ALL[:1, : len(voice_there)])
    torch.testing.assert_close(fuller_face[1][shown[1]], alone[0][0])


@torch.no_grad()
def test_cells_are_pooled_as_the_equations_say() -> None:
    torch.manual_seed(0)
    layer = GuidedAttention(6, 4, 10, 3)
    cells, guide = torch.randn(2, 5, 7, 6), torch.randn(2, 5, 4)
    v, a = layer.enter_cells(cells).relu(), layer.enter_guide(guide).relu()
    scores = (v @ layer.score_cells.weight.T + (a @ layer.score_guide.weight.T)[:, :, None]).tanh()
    weights = (scores @ layer.weigh.weight[0]).softmax(dim=2)
    out = layer(cells, guide, torch.ones(2, 5, 7, dtype=torch.bool))
    torch.testing.assert_close(out, (weights[..., None] * cells).sum(dim=2))


@torch.no_grad()
def test_the_voice_leads_the_look_and_cells_that_are_not_valid_have_no_share() -> None:
    torch.manual_seed(0)
    layer = GuidedAttention(6, 4, 10, 3)
    cells, guide, valid = torch.randn(1, 7, 6), torch.randn(1, 4), torch.ones(1, 7, dtype=torch.bool)
    assert not torch.allclose(layer(cells, guide, valid), layer(cells, -guide, valid))
    valid[0, 3:] = False
    torch.testing.assert_close(layer(cells, guide, valid), layer(cells[:, :3], guide, valid[:, :3]))
    assert not layer(cells, guide, torch.zeros_like(valid)).any()


def _pairs(*cosines: list[float]) -> tuple[Tensor, Tensor]:
    """Return face and voice [B, T, 2] of these cosines, in many lengths."""
    cosine = torch.tensor(cosines)
    voice = torch.stack([cosine, (1 - cosine.square()).sqrt()], dim=-1)
    lengths = torch.rand(*cosine.shape, 1) + 0.5
    return torch.tensor([1.0, 0.0]) * lengths.flip(1), voice * lengths


def test_the_pair_loss_is_zero_where_voice_and_face_agree_in_the_event_alone() -> None:
    event = torch.tensor([[True, True, False, False], [False, True, False, False]])
    known = torch.ones_like(event)
    face, voice = _pairs([0.4, 0.4, 0.0, -0.7], [-0.1, 0.9, 0.0, 0.0])
    assert pair_similarity_loss(face, voice, event, known).item() == pytest.approx(0, abs=1e-12)
    assert pair_similarity_loss(face, voice, ~event, known).item() > 0.05


def test_the_pair_loss_is_the_mean_squared_error_of_the_profile() -> None:
    event = torch.tensor([[True, True, False, False]])
    face, voice = _pairs([0.2, 0.6, 0.8, -0.5])
    squares = [(0.2 / 1.6 - 0.5) ** 2, (0.6 / 1.6 - 0.5) ** 2, 0.5**2, 0.0]
    loss = pair_similarity_loss(face, voice, event, torch.ones_like(event))
    assert loss.item() == pytest.approx(sum(squares) / 4, rel=1e-5)
    # Of a segment that is not known neither the agreement nor the event counts.
    known = torch.tensor([[True, False, True, True]])
    loss = pair_similarity_loss(face, voice, event, known)
    assert loss.item() == pytest.approx(((0.2 - 1) ** 2 + 0.8**2) / 4, rel=1e-5)


def test_clips_without_a_known_event_do_not_count() -> None:
    face, voice = _pairs([0.2, 0.6], [0.9, 0.1], [0.3, 0.1])
    event = torch.tensor([[True, False], [False, False], [False, True]])
    known = torch.tensor([[True, True], [True, True], [True, False]])
    alone = pair_similarity_loss(face[:1], voice[:1], event[:1], known[:1])
    assert pair_similarity_loss(face, voice, event, known).item() == pytest.approx(alone.item())
    assert pair_similarity_loss(face, voice, torch.zeros_like(event), known).item() == 0


def test_the_slope_of_the_pair_loss_is_finite_where_nothing_is_known() -> None:
    face, voice = torch.zeros(2, 3, 4, requires_grad=True), torch.randn(2, 3, 4, requires_grad=True)
    known = torch.tensor([[True, False, True], [False, False, False]])
    torch.autograd.backward(pair_similarity_loss(face, voice, torch.ones_like(known), known))
    for each in (face, voice):
        assert each.grad is not None
        assert each.grad.isfinite().all()
        assert not each.grad[~known].any()
