"""Toy recordings whose voice, face and waveform carry the labels, and what tests of every frame-level system need.

Axes as in `layers/steps.py`.
"""

import torch
from torch import Generator, Tensor, nn

from emotrace.layers.steps import Sizes, Steps, System, SystemOutput
from emotrace.losses import ccc_loss

SIZES = Sizes(voice_shape=(12,), num_regions=4, region_dim=6, crop_side=24, step_samples=320, steps_per_second=5)
SPECTRA = Sizes(voice_shape=(48, 36), num_regions=4, region_dim=6, crop_side=24, step_samples=320, steps_per_second=5)


def toy(sizes: Sizes, pictures: int, *, recordings: int = 4, steps: int = 20, seed: int = 0) -> Steps:
    """Return recordings of slowly moving labels, of every kind of step: both modalities, voice, face, neither."""
    generator = Generator().manual_seed(seed)
    phase = torch.rand(recordings, 1, 2, generator=generator) * 6
    labels = torch.sin(torch.arange(steps)[None, :, None] * torch.tensor([0.3, 0.45]) + phase)
    emotion = (labels[..., 0] > 0).long() + 2 * (labels[..., 1] > 0).long()
    kind = torch.rand(recordings, steps, generator=generator)
    audio_valid, video_valid = kind < 0.8, (kind > 0.2) & (kind < 0.95)

    def noisy(values: Tensor, scale: float) -> Tensor:
        return values + scale * torch.randn(values.shape, generator=generator)

    arousal, valence = labels[..., 0], labels[..., 1]
    level = torch.nn.functional.interpolate(labels, sizes.voice_shape[-1])
    voice = level if len(sizes.voice_shape) == 1 else level.unsqueeze(2).expand(-1, -1, sizes.voice_shape[0], -1)
    half = torch.arange(sizes.crop_side) < sizes.crop_side // 2
    faces = torch.where(half, arousal[..., None], valence[..., None])[:, :, None, None]
    crops = (0.5 + 0.2 * faces).expand(-1, -1, pictures, sizes.crop_side, -1)
    time = torch.arange(sizes.step_samples) / sizes.step_samples
    loud, high = (0.5 + 0.4 * labels).unsqueeze(-1).unbind(2)
    waveform = loud * 0.2 * torch.sin(time * 40) + high * 0.2 * torch.sin(time * 400)
    regions = (
        torch.nn.functional.interpolate(labels, sizes.region_dim).unsqueeze(2).expand(-1, -1, sizes.num_regions, -1)
    )
    return Steps(
        voice=zeroed(noisy(voice, 0.2), audio_valid),
        regions=zeroed(noisy(regions, 0.2), video_valid),
        crops=zeroed(noisy(crops, 0.02).clamp(0, 1), video_valid),
        waveform=zeroed(noisy(waveform, 0.01), audio_valid),
        audio_valid=audio_valid,
        video_valid=video_valid,
        speech_energy=audio_valid.float(),
        emotion=torch.where(kind < 0.1, -1, emotion),
        arousal_valence=labels,
    )


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
    """Return recordings, B = 1, with voice and face of a given noise, and steps of every kind as in `toy`."""
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


def each(steps: Steps) -> list[Steps]:
    """Return the recordings one by one, as `finish` gets them."""
    return [Steps(*(values[index : index + 1] for values in steps)) for index in range(len(steps.emotion))]


def soiled(steps: Steps, value: float = torch.nan) -> Steps:
    """Return the same with a value, such as NaN, wherever a modality is not known."""
    return steps._replace(
        voice=_filled(steps.voice, steps.audio_valid, value),
        regions=_filled(steps.regions, steps.video_valid, value),
        crops=_filled(steps.crops, steps.video_valid, value),
        waveform=_filled(steps.waveform, steps.audio_valid, value),
    )


def with_another_end(steps: Steps, first: int) -> Steps:
    """Return the same up to step `first`, and other inputs and labels from there on."""
    other = Steps(*(values.flip(0).roll(3, dims=1) for values in steps))
    return Steps(*(torch.cat([a[:, :first], b[:, first:]], dim=1) for a, b in zip(steps, other, strict=True)))


def with_known(steps: Steps, *, voice: bool | None = None, face: bool | None = None) -> Steps:
    """Return the same with a modality known everywhere or nowhere."""
    audio_valid = steps.audio_valid if voice is None else torch.full_like(steps.audio_valid, voice)
    video_valid = steps.video_valid if face is None else torch.full_like(steps.video_valid, face)
    return steps._replace(audio_valid=audio_valid, video_valid=video_valid)


def without_emotions(steps: Steps) -> Steps:
    return steps._replace(emotion=torch.full_like(steps.emotion, -1))


def loss(output: SystemOutput, steps: Steps) -> Tensor:
    """Return what the learner minimises: 1 - CCC, and the cross-entropy of the emotions that are known."""
    named = output.valid & (steps.emotion >= 0)
    emotions = nn.functional.cross_entropy(output.emotion_logits[named], steps.emotion[named])
    return ccc_loss(output.arousal_valence, steps.arousal_valence, output.valid) + emotions


def train(network: nn.Module, system: System, steps: Steps, updates: int) -> tuple[float, float]:
    """Train by Adam, `network` and `system` being the same; return the loss of all outputs before and after."""
    optimiser = torch.optim.Adam(network.parameters(), lr=5e-3)
    seen = []
    network.train()
    for _ in range(updates):
        total = torch.stack([loss(output, steps) for output in system.outputs_to_train(steps)]).sum()
        optimiser.zero_grad()
        torch.autograd.backward(total)
        optimiser.step()
        seen.append(float(total.detach()))
    network.eval()
    return seen[0], sum(seen[-3:]) / 3


def assert_same(found: SystemOutput, expected: SystemOutput, *, tolerance: float = 0.0) -> None:
    """Check that two answers are equal, to the bit unless told otherwise; NaN weights are."""
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, atol=tolerance, rtol=tolerance, equal_nan=True)


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


def _filled(values: Tensor, known: Tensor, value: float) -> Tensor:
    return values.masked_fill(~known.reshape(*known.shape, *(1,) * (values.ndim - 2)), value)


def zeroed(values: Tensor, known: Tensor) -> Tensor:
    """Return the values, zero where they are not known."""
    return _filled(values, known, 0)
