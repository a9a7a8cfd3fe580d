"""Toy recordings whose voice and face both carry the labels, for tests of compared systems."""

import torch
from torch import Tensor, nn

from emotrace.layers.steps import Sizes, Steps, SystemOutput
from tests.models.steps_b import zeroed

EMOTIONS_SHOWN = 4
"""One for each quadrant of arousal and valence."""


def toy_sizes(voice_shape: tuple[int, ...] = (6,)) -> Sizes:
    return Sizes(
        voice_shape=voice_shape,
        num_regions=9,
        region_dim=5,
        crop_side=8,
        step_samples=0,
        steps_per_second=5.0,
    )


def toy_steps(
    sizes: Sizes,
    *,
    recordings: int = 6,
    num_steps: int = 80,
    voice_noise: float = 0.5,
    face_noise: float = 0.5,
    seed: int = 0,
) -> list[Steps]:
    """Return recordings, B = 1, with steps of every kind: both modalities, voice alone, face alone, neither."""
    world = torch.Generator().manual_seed(100)
    to_voice = torch.randn(2, *sizes.voice_shape, generator=world)
    to_face = torch.randn(2, sizes.region_dim, generator=world)
    generator = torch.Generator().manual_seed(seed)
    return [
        _recording(sizes, num_steps, to_voice, voice_noise, to_face, face_noise, generator) for _ in range(recordings)
    ]


def _recording(
    sizes: Sizes,
    num_steps: int,
    to_voice: Tensor,
    voice_noise: float,
    to_face: Tensor,
    face_noise: float,
    generator: torch.Generator,
) -> Steps:
    def noise(*shape: int) -> Tensor:
        return torch.randn(1, num_steps, *shape, generator=generator)

    time = torch.arange(num_steps).unsqueeze(1)
    phase = 6.3 * torch.rand(2, generator=generator)
    labels = (0.6 * torch.sin(time * torch.tensor([0.11, 0.17]) + phase)).unsqueeze(0)
    voice = torch.tensordot(labels, to_voice, dims=1) + voice_noise * noise(*sizes.voice_shape)
    face = torch.tensordot(labels, to_face, dims=1) + face_noise * noise(sizes.region_dim)
    regions = face.unsqueeze(2) + 0.1 * noise(sizes.num_regions, sizes.region_dim)
    audio_valid = torch.rand(1, num_steps, generator=generator) < 0.7
    video_valid = torch.rand(1, num_steps, generator=generator) < 0.7
    positive = (labels > 0).long()
    nothing = torch.zeros(1, num_steps, 0)
    return Steps(
        voice=zeroed(voice, audio_valid),
        regions=zeroed(regions, video_valid),
        crops=nothing,
        waveform=nothing,
        audio_valid=audio_valid,
        video_valid=video_valid,
        speech_energy=audio_valid.float(),
        emotion=2 * positive[..., 0] + positive[..., 1],
        arousal_valence=labels,
    )


def changed_from(steps: Steps, first: int) -> Steps:
    """Return the same up to a step, with other inputs, validity and labels from there on."""

    def changed(values: Tensor, other: Tensor) -> Tensor:
        return torch.cat([values[:, :first], other[:, first:]], dim=1)

    return Steps(*(changed(values, values.flip(1)) for values in steps))


def with_known(steps: Steps, *, voice: bool | None = None, face: bool | None = None) -> Steps:
    """Return the same with a modality known everywhere or nowhere."""
    audio_valid = steps.audio_valid if voice is None else torch.full_like(steps.audio_valid, voice)
    video_valid = steps.video_valid if face is None else torch.full_like(steps.video_valid, face)
    return steps._replace(audio_valid=audio_valid, video_valid=video_valid)


def without_emotions(steps: Steps) -> Steps:
    return steps._replace(emotion=torch.full_like(steps.emotion, -1))


def assert_same(found: SystemOutput, expected: SystemOutput, *, steps: slice = slice(None)) -> None:
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours[:, steps], theirs[:, steps], equal_nan=True)


def assert_finite(output: SystemOutput) -> None:
    assert output.arousal_valence.isfinite().all()
    assert output.emotion_logits.isfinite().all()


def squared_error(system: nn.Module, recordings: list[Steps]) -> Tensor:
    """Return [2]: mean squared error of arousal and of valence over all steps."""
    said = torch.cat([system(steps).arousal_valence for steps in recordings], dim=1)
    return (said - torch.cat([steps.arousal_valence for steps in recordings], dim=1)).square().mean(dim=(0, 1))


def spread(recordings: list[Steps]) -> Tensor:
    """Return [2]: mean squared error of the best constant."""
    return torch.cat([steps.arousal_valence for steps in recordings], dim=1).var(dim=1, correction=0)[0]


def accuracy(system: nn.Module, recordings: list[Steps]) -> float:
    """Return the share of steps whose emotion is found."""
    hits = [(system(steps).emotion_logits.argmax(dim=-1) == steps.emotion).float() for steps in recordings]
    return float(torch.cat(hits, dim=1).mean())
