"""Few numbers -> recordings as a system may read them, whose labels stand in voice and face."""

from dataclasses import replace

import torch

from emotrace.training.tracks import Track

RATE_HZ = 25.0


def sliced(of: Track, bands: int) -> Track:
    """Return the same whose voice is a slice of a spectrogram at every tick; its lowest bands follow the labels."""
    ticks = len(of)
    generator = torch.Generator().manual_seed(ticks)
    voice = torch.randn(ticks, 4, bands, generator=generator)
    voice[:, :, :8] += 3 * of.arousal_valence[:, None, :1]
    voice[:, :, 8:16] += 3 * of.arousal_valence[:, None, 1:]
    return replace(of, voice=voice.half(), voice_index=torch.arange(ticks))


def track(name: str = "a", ticks: int = 200, seed: int = 0, *, voice_shape: tuple[int, ...] = (6,)) -> Track:
    """Return a recording: a voice input every ten ticks, a face every two; the first second has neither."""
    generator = torch.Generator().manual_seed(seed)
    phase = 6.28 * torch.rand(2, generator=generator)
    times = torch.arange(ticks) / RATE_HZ
    labels = 0.8 * torch.stack([torch.sin(0.9 * times + phase[0]), torch.cos(0.7 * times + phase[1])], dim=1)
    heard, seen = labels[::10], labels[::2]
    voice = torch.randn(len(heard), *voice_shape, generator=generator)
    voice.flatten(1)[:, :2] += 3 * heard
    regions = torch.randn(len(seen), 4, 5, generator=generator)
    regions[..., :2] += 3 * seen[:, None]
    grey = (128 + 100 * seen[:, 1])[:, None, None] + 5 * torch.randn(len(seen), 48, 48, generator=generator)
    begun = torch.arange(ticks) >= RATE_HZ
    return Track(
        name=name,
        subject=name,
        voice=voice,
        voice_index=torch.arange(ticks) // 10,
        audio_valid=begun,
        speech_energy=begun.float(),
        waveform=(torch.randn(ticks * 640, generator=generator) * 3000).to(torch.int16),
        crops=grey.clamp(1, 255).to(torch.uint8),
        regions=regions.half(),
        face_index=torch.where(begun, torch.arange(ticks) // 2, -1),
        emotion=(torch.arange(ticks) // 50) % 3,
        arousal_valence=labels,
        reliability=torch.full((ticks, 2), torch.nan),
        ticks_per_second=RATE_HZ,
    )
