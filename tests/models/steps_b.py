"""Toy recordings whose voice, regions, crops and waveform all carry the labels, and what every system must keep.

Axes as in `layers/steps.py`.
"""

import torch
from torch import Generator, Tensor, nn

from emotrace.labels import EMOTIONS
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


def each(steps: Steps) -> list[Steps]:
    """Return the recordings one by one, as `finish` gets them."""
    return [Steps(*(values[index : index + 1] for values in steps)) for index in range(len(steps.emotion))]


def soiled(steps: Steps) -> Steps:
    """Return the same with NaN wherever a modality is not known."""
    return steps._replace(
        voice=_filled(steps.voice, steps.audio_valid, torch.nan),
        regions=_filled(steps.regions, steps.video_valid, torch.nan),
        crops=_filled(steps.crops, steps.video_valid, torch.nan),
        waveform=_filled(steps.waveform, steps.audio_valid, torch.nan),
    )


def with_another_end(steps: Steps, first: int) -> Steps:
    """Return the same up to step `first`, and other inputs and labels from there on."""
    other = Steps(*(values.flip(0).roll(3, dims=1) for values in steps))
    return Steps(*(torch.cat([a[:, :first], b[:, first:]], dim=1) for a, b in zip(steps, other, strict=True)))


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


def assert_one_answer_per_step(output: SystemOutput, steps: Steps) -> None:
    """Check the shapes, that all numbers are finite, and which steps count."""
    assert output.arousal_valence.shape == steps.arousal_valence.shape
    assert output.emotion_logits.shape == (*steps.emotion.shape, len(EMOTIONS))
    assert output.audio_weight.shape == steps.emotion.shape
    assert output.arousal_valence.isfinite().all()
    assert output.emotion_logits.isfinite().all()
    assert torch.equal(output.valid, steps.audio_valid | steps.video_valid)


def assert_same(found: SystemOutput, expected: SystemOutput) -> None:
    """Check that two answers are equal to the bit, NaN weights included."""
    for ours, theirs in zip(found, expected, strict=True):
        assert torch.equal(ours.nan_to_num(-9), theirs.nan_to_num(-9))


def assert_causal(system: System, steps: Steps, first: int) -> None:
    """Check that other steps from `first` on change no earlier answer, and do change a later one."""
    one, other = system(steps), system(with_another_end(steps, first))
    assert not torch.allclose(one.arousal_valence[:, first:], other.arousal_valence[:, first:])
    for ours, theirs in zip(one[:3], other[:3], strict=True):
        torch.testing.assert_close(ours[:, :first], theirs[:, :first], equal_nan=True)


def _filled(values: Tensor, known: Tensor, value: float) -> Tensor:
    return values.masked_fill(~known.reshape(*known.shape, *(1,) * (values.ndim - 2)), value)


def zeroed(values: Tensor, known: Tensor) -> Tensor:
    """Return the values, zero where they are not known."""
    return _filled(values, known, 0)
