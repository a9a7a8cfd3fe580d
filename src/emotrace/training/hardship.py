"""A recording -> the same with a share of its faces or voices missing or contradicting: the protocol for all systems.

Stretches of two seconds are drawn by the recording's name, the same for every system and seed. "missing" takes a
modality away, as a camera or a microphone that fails; "contradicting" puts that of another recording in its place, so
that it is there, loud and clear, and wrong.
"""

import math
import zlib
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from emotrace.recipe import SAMPLE_RATE
from emotrace.training.tracks import Track

Kind = Literal["missing", "contradicting"]
Modality = Literal["face", "voice"]
KINDS: tuple[Kind, ...] = get_args(Kind)
MODALITIES: tuple[Modality, ...] = get_args(Modality)
_STRETCH_SECONDS = 2.0


@dataclass(frozen=True)
class Hardship:
    """What is done to a recording.

    Attributes:
        kind: missing or contradicting.
        face_percent: of the time.
        voice_percent: of the time, other stretches than the face's as long as both fit.
    """

    kind: Kind
    face_percent: int
    voice_percent: int


def mixed(kind: Kind) -> Hardship:
    """Return what the audio weight is judged on: faces bad for a third of the time, voices for another third."""
    return Hardship(kind, 33, 33)


def endure(track: Track, hardship: Hardship, other: Track) -> Track:
    """Return the recording made hard; its reliability [T, 2] says where voice and face are still right (1) or not (0).

    Args:
        track: the recording.
        hardship: what is done to it.
        other: the recording that contradicts it.
    """
    bad_face, bad_voice = _stretches(track, hardship)
    reliability = 1 - torch.stack([bad_voice, bad_face], dim=1).float()
    # What was not there before is not reliable either.
    known = torch.stack([track.audio_valid, track.video_valid], dim=1)
    track = replace(track, reliability=reliability * known)
    if hardship.kind == "missing":
        return replace(
            track,
            face_index=torch.where(bad_face, -1, track.face_index),
            audio_valid=track.audio_valid & ~bad_voice,
            speech_energy=torch.where(bad_voice, 0.0, track.speech_energy),
        )
    return _voice_of_other(_face_of_other(track, bad_face, other), bad_voice, other)


def _stretches(track: Track, hardship: Hardship) -> tuple[Tensor, Tensor]:
    """Return where face and voice are bad, [T] each."""
    length = round(_STRETCH_SECONDS * track.ticks_per_second)
    count = -(-len(track) // length)
    rng = np.random.default_rng(zlib.crc32(track.name.encode()))
    order = rng.permutation(count)
    # Rounded by chance, so that the share is right over many recordings, however few stretches each has.
    num_face, num_voice = (
        math.floor(percent / 100 * count + rng.random()) for percent in (hardship.face_percent, hardship.voice_percent)
    )
    face, voice = np.zeros(count, dtype=bool), np.zeros(count, dtype=bool)
    face[order[:num_face]] = True
    voice[order[::-1][:num_voice]] = True
    cell = torch.arange(len(track)) // length
    return torch.from_numpy(face)[cell], torch.from_numpy(voice)[cell]


def _face_of_other(track: Track, bad: Tensor, other: Track) -> Track:
    if not bad.any():
        return track
    theirs = _wrapped(other.face_index, len(track))
    moved = torch.where(theirs >= 0, theirs + len(track.crops), -1)
    return replace(
        track,
        crops=torch.cat([track.crops, other.crops]),
        regions=torch.cat([track.regions, other.regions]),
        face_index=torch.where(bad, moved, track.face_index),
    )


def _voice_of_other(track: Track, bad: Tensor, other: Track) -> Track:
    if not bad.any():
        return track
    theirs = _wrapped(other.voice_index, len(track))
    moved = torch.where(theirs >= 0, theirs + len(track.voice), -1)
    per_tick = round(SAMPLE_RATE / track.ticks_per_second)
    bad_samples = bad.repeat_interleave(per_tick)
    bad_samples = torch.nn.functional.pad(bad_samples, (0, max(0, len(track.waveform) - len(bad_samples))))
    their_sound = _wrapped(other.waveform, len(track.waveform)) if len(other.waveform) else track.waveform * 0
    return replace(
        track,
        voice=torch.cat([track.voice, other.voice]),
        voice_index=torch.where(bad, moved, track.voice_index),
        audio_valid=torch.where(bad, _wrapped(other.audio_valid, len(track)), track.audio_valid),
        speech_energy=torch.where(bad, _wrapped(other.speech_energy, len(track)), track.speech_energy),
        waveform=torch.where(bad_samples[: len(track.waveform)], their_sound, track.waveform),
    )


def _wrapped(values: Tensor, length: int) -> Tensor:
    """Return [length]: the values, from the start again where they end."""
    return values[torch.arange(length) % len(values)]
