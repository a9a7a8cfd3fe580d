"""What the disentangled embedding must keep; see `clips.py` for the toy clips."""

import math
from dataclasses import replace
from functools import cache
from typing import get_args

import pytest
import torch
from torch import Generator, Tensor, nn

from emotrace.layers.clips import Clips, Paced, Sampling, Scale
from emotrace.models.disentangled import Disentangled, DisentangledConfig, Disentangling, confusion
from emotrace.training.identity_probe import probe
from tests.models.clips import assert_same, blank_clips, filled, rows, toy_clips, toy_sizes

PERSONS = 6
CLASS_SIZES = toy_sizes(bands=8, crop_side=32, num_regions=2, region_dim=4)
SIZES = replace(CLASS_SIZES, bands=16, region_dim=8, num_persons=PERSONS)
SAMPLING = Sampling(4, 1, 4, 8)
"""Shorter than any of its own, so that it is quick."""
WITH_IDENTITY: tuple[Disentangling, ...] = ("multitask", "gradient-reversal", "confusion", "alternating")
HIDING = WITH_IDENTITY[1:]


def _network(disentangling: Disentangling, seed: int = 0) -> Disentangled:
    torch.manual_seed(seed)
    return Disentangled(DisentangledConfig(sizes=SIZES, disentangling=disentangling)).eval()


def _clips(batch: int, seed: int, *, complete: bool = True) -> Clips:
    """Return clips whose class is in half of the bands and of a region's values, and whose person is in the others.

    Class and person are independent; both look a little different in every clip.
    """
    clips = toy_clips(CLASS_SIZES, SAMPLING, batch, seed, complete=complete)
    generator = Generator().manual_seed(seed + 10_000)

    def noise(*shape: int, scale: float = 0.5) -> Tensor:
        return scale * torch.randn(batch, *shape, generator=generator)

    person = torch.randint(PERSONS, (batch,), generator=generator)
    looks = torch.randn(PERSONS, 12, generator=Generator().manual_seed(7))[person] + noise(12)
    voice, face = looks[:, None, None, :8], looks[:, None, None, None, 8:]
    sound = [clips.sound + noise(1, 1, 8), voice + noise(*clips.sound.shape[1:])]
    regions = [clips.regions + noise(1, 1, 1, 4), face + noise(*clips.regions.shape[1:], scale=0.3)]
    joined = clips._replace(sound=torch.cat(sound, dim=-1), regions=torch.cat(regions, dim=-1), person=person)
    return filled(joined, 0.0)


CLIPS = _clips(18, 3, complete=False)


def _gradients(network: Disentangled, loss: Tensor) -> dict[str, Tensor]:
    network.zero_grad()
    torch.autograd.backward(loss)
    return {name: value.grad.clone() for name, value in network.named_parameters() if value.grad is not None}


def _emotion_loss(network: Disentangled, clips: Clips) -> Tensor:
    return nn.functional.cross_entropy(network(clips).logits, clips.label)


def _identity_loss(network: Disentangled, clips: Clips) -> Tensor:
    return nn.functional.cross_entropy(network.identity_logits(clips), clips.person)


def _norm(gradients: dict[str, Tensor], part: str) -> float:
    squares = [value.square().sum().item() for name, value in gradients.items() if name.startswith(part)]
    return math.sqrt(sum(squares))


@cache
def _trained(disentangling: Disentangling, seed: int) -> tuple[float, float]:
    """Return how well a trained network tells the emotion, and a probe the person, of clips that it never met."""
    network = _network(disentangling, seed).train()
    optimiser, steps = torch.optim.AdamW(network.parameters(), 2e-3), 150
    for step in range(steps):
        network.pace(step, steps)
        optimiser.zero_grad()
        torch.autograd.backward(network.loss(_clips(32, 1000 * (seed + 1) + step)))
        optimiser.step()
    fresh = _clips(300, 100 + seed)
    with torch.no_grad():
        answer = network.eval()(fresh)
    found = probe(answer.embedding.numpy(), fresh.person.numpy())
    assert found is not None
    return float((answer.logits.argmax(dim=1) == fresh.label).float().mean()), found.accuracy


@pytest.mark.parametrize("disentangling", HIDING)
def test_an_embedding_that_hides_persons_gives_fewer_away_and_still_tells_emotions(
    disentangling: Disentangling,
) -> None:
    emotion, person = _trained(disentangling, 0)
    emotion_beside, person_beside = _trained("multitask", 0)
    assert person_beside > 0.75
    assert person < person_beside - 0.3
    assert emotion > max(0.9, emotion_beside - 0.05)


@torch.no_grad()
def test_confusion_is_least_where_every_person_is_as_likely() -> None:
    uniform = torch.full((5, PERSONS), 3.0)
    assert confusion(uniform).item() == pytest.approx(math.log(PERSONS))
    torch.manual_seed(0)
    for scale in (0.1, 1.0, 10.0):
        assert confusion(uniform + scale * torch.randn(5, PERSONS)) > math.log(PERSONS) + 1e-4
    assert confusion(torch.zeros(0, PERSONS)) == 0


@pytest.mark.parametrize("disentangling", WITH_IDENTITY)
def test_every_parameter_learns(disentangling: Disentangling) -> None:
    network = _network(disentangling)
    gradients = _gradients(network, network.loss(CLIPS))
    assert [name for name, _ in network.named_parameters() if name not in gradients or not gradients[name].any()] == []
    assert all(gradient.isfinite().all() for gradient in gradients.values())


def test_without_persons_or_alone_there_is_nothing_that_reads_the_identity() -> None:
    nobody = replace(SIZES, num_persons=0)
    for config in (
        DisentangledConfig(sizes=SIZES, disentangling="single"),
        *(DisentangledConfig(sizes=nobody, disentangling=each) for each in get_args(Disentangling)),
    ):
        network = Disentangled(config).eval()
        assert network.identify is None
        network.pace(1, 2)
        assert torch.equal(network.loss(CLIPS), _emotion_loss(network, CLIPS))


@pytest.mark.parametrize("disentangling", WITH_IDENTITY)
def test_where_no_person_is_known_the_emotion_is_learnt_as_by_single(disentangling: Disentangling) -> None:
    network, single = _network(disentangling), _network("single")
    single.load_state_dict({name: value for name, value in network.state_dict().items() if "identify" not in name})
    unknown = CLIPS._replace(person=torch.full_like(CLIPS.person, -1))
    assert torch.equal(network.loss(unknown), single.loss(unknown))
    expected = _gradients(single, single.loss(unknown))
    found = _gradients(network, network.loss(unknown))
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, expected.get(name, torch.zeros_like(gradient)))
    assert len(found) == len(list(network.parameters()))
    network.pace(1, 2)
    if disentangling == "alternating":
        assert network.loss(unknown).item() == 0
        assert not any(gradient.any() for gradient in _gradients(network, network.loss(unknown)).values())


@pytest.mark.parametrize("disentangling", WITH_IDENTITY)
def test_clips_of_unknown_persons_have_no_share_in_the_identity(disentangling: Disentangling) -> None:
    network = _network(disentangling)
    known = list(range(0, 18, 3))
    person = torch.full_like(CLIPS.person, -1)
    person[known] = CLIPS.person[known]
    some, alone = CLIPS._replace(person=person), rows(CLIPS, known)
    of_some = network.loss(some) - _emotion_loss(network, some)
    of_alone = network.loss(alone) - _emotion_loss(network, alone)
    assert of_some.abs() > 0.1
    torch.testing.assert_close(of_some, of_alone)
    found, expected = _gradients(network, of_some), _gradients(network, of_alone)
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, expected[name], atol=1e-5, rtol=1e-3)


@pytest.mark.parametrize("weight", [0.0, 0.5, 2.0])
def test_multitask_adds_the_weighted_identity(weight: float) -> None:
    config = DisentangledConfig(sizes=SIZES, disentangling="multitask", identity_weight=weight)
    network = Disentangled(config).eval()
    expected = _emotion_loss(network, CLIPS) + weight * _identity_loss(network, CLIPS)
    torch.testing.assert_close(network.loss(CLIPS), expected)


@pytest.mark.parametrize(("step", "strength"), [(None, 1.0), (0, 0.0), (10, 2 / (1 + math.exp(-1)) - 1), (100, 1.0)])
def test_reversal_grows_with_progress_for_the_encoder_and_not_for_the_head(step: int | None, strength: float) -> None:
    network = _network("gradient-reversal")
    assert isinstance(network, Paced)
    emotion = _gradients(network, _emotion_loss(network, CLIPS))
    identity = _gradients(network, _identity_loss(network, CLIPS))
    if step is not None:
        network.pace(step, 100)
    found = _gradients(network, network.loss(CLIPS))
    for name, gradient in found.items():
        if name.startswith("identify"):
            expected = identity[name]
        else:
            expected = emotion[name] - strength * identity.get(name, torch.zeros(()))
        torch.testing.assert_close(gradient, expected, atol=1e-4, rtol=1e-3)


def test_by_confusion_the_head_learns_who_it_is_and_the_encoder_that_the_head_shall_not_know() -> None:
    network = _network("confusion")
    emotion = _gradients(network, _emotion_loss(network, CLIPS))
    identity = _gradients(network, _identity_loss(network, CLIPS))
    fooling = _gradients(network, confusion(network.identity_logits(CLIPS)))
    for name, gradient in _gradients(network, network.loss(CLIPS)).items():
        parts = [identity[name]] if name.startswith("identify") else [emotion[name], fooling.get(name, torch.zeros(()))]
        torch.testing.assert_close(gradient, sum(parts), atol=1e-5, rtol=1e-3)


def test_alternating_learns_the_emotion_and_hides_the_person_in_turns() -> None:
    network = _network("alternating")
    together = network.loss(CLIPS)
    network.pace(0, 100)
    even = network.loss(CLIPS)
    network.pace(1, 100)
    odd = network.loss(CLIPS)
    torch.testing.assert_close(even + odd, together)
    of_even, of_odd = _gradients(network, even), _gradients(network, odd)
    assert _norm(of_even, "classify") > 0
    assert _norm(of_even, "encode") > 0
    assert not any(name.startswith("identify") for name in of_even)
    assert not any(name.startswith("classify") for name in of_odd)
    assert _norm(of_odd, "encode") > 0
    assert _norm(of_odd, "identify") > 0


@torch.no_grad()
def test_garbage_in_what_is_not_valid_and_other_clips_of_the_batch_change_nothing() -> None:
    network = _network("confusion")
    expected = network(CLIPS)
    assert_same(network(filled(CLIPS, torch.nan)), expected, tolerance=0)
    torch.testing.assert_close(network.identity_logits(rows(CLIPS, [4, 2])), network.identity_logits(CLIPS)[[4, 2]])
    assert_same(network(CLIPS._replace(person=torch.full_like(CLIPS.person, -1))), expected, tolerance=0)


@torch.no_grad()
def test_the_sizes_are_those_of_the_design() -> None:
    scales: dict[Scale, tuple[int, int]] = {"small": (64, 256), "published": (128, 512)}
    for scale, (width, hidden) in scales.items():
        network = Disentangled(DisentangledConfig(sizes=SIZES, scale=scale)).eval()
        clips = blank_clips(SIZES, Disentangled.samplings[scale])
        assert network(clips).embedding.shape == (2, width)
        assert network.identity_logits(clips).shape == (2, PERSONS)
        assert network.identify is not None
        assert network.identify[0].out_features == hidden
        assert network.encoders() == {}
    assert list(Disentangled(DisentangledConfig(sizes=SIZES, visual="own")).encoders()) == ["visual"]
