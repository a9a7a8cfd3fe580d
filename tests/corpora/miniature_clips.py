"""A point of the plane of arousal and valence -> a small recording of a drawn person who shows and voices it."""

import os
import wave
from pathlib import Path

import numpy as np

from emotrace.corpora import synthetic_face, synthetic_voice
from emotrace.corpora.synthetic_story import LABEL_RATE_HZ, PICTURE_RATE_HZ, Story
from emotrace.labels import CIRCUMPLEX, timeline_emotion
from emotrace.media_writer import ClipWriter
from emotrace.recipe import SAMPLE_RATE
from emotrace.types import FloatArray

_PLACED = {
    "calm": (-0.8, 0.6),
    "disgust": (0.15, -0.8),
    "fear": (0.8, -0.1),
    "frustration": (0.15, -0.9),
    "anticipation": (0.1, 0.45),
    "trust": (-0.4, 0.9),
    "excitement": (0.95, 0.9),
}
"""Ours: far from the other classes of their corpora; a published point lies too near to another or is not there."""


def point_of(label: str) -> tuple[float, float]:
    """Return arousal and valence in [-1, 1] that stand for a class of any corpus."""
    emotion = timeline_emotion(label)
    if label in _PLACED or emotion is None:
        return _PLACED[label]
    return CIRCUMPLEX[emotion].arousal, CIRCUMPLEX[emotion].valence


def write_clip(
    path: Path,
    *,
    arousal: float,
    valence: float,
    seconds: float = 2.0,
    seed: int = 0,
    video: bool = True,
    audio: bool = True,
    silence: tuple[float, float] = (0.0, 0.0),
) -> None:
    """Write a recording of one mood in 200x160 pixels, 12.5 pictures a second, and mono sound of 16 kHz.

    Args:
        path: sound alone becomes a wav whatever the name, everything else an mp4; its folder is made.
        arousal: in [-1, 1].
        valence: in [-1, 1].
        seconds: rounded to pictures.
        seed: of the person, of what is said and of noise.
        video: whether there are pictures.
        audio: whether there is sound.
        silence: seconds [start, end) in which nothing is said.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    story = _one_mood(arousal, valence, round(seconds * PICTURE_RATE_HZ), silence)
    spoken, heard, seen = (np.random.default_rng(each) for each in np.random.SeedSequence(seed).spawn(3))
    speech = synthetic_voice.speak(story, spoken)
    sound = synthetic_voice.microphone(speech, story, heard)
    if not video:
        _write_sound(path, sound)
        return
    with ClipWriter(
        path,
        width=synthetic_face.WIDTH,
        height=synthetic_face.HEIGHT,
        frame_rate=PICTURE_RATE_HZ,
        sample_rate=SAMPLE_RATE if audio else None,
    ) as clip:
        for index, picture in enumerate(synthetic_face.film(story, speech, seen)):
            clip.write_frame(index / PICTURE_RATE_HZ, picture)
        if audio:
            clip.write_audio(sound)


def _one_mood(arousal: float, valence: float, pictures: int, silence: tuple[float, float]) -> Story:
    ticks = round(pictures * LABEL_RATE_HZ / PICTURE_RATE_HZ)
    mood = np.tile(np.array([arousal, valence], np.float32), (ticks, 1))
    always = np.ones(ticks, np.float32)
    times = np.arange(ticks) / LABEL_RATE_HZ
    spoken = np.where((times >= silence[0]) & (times < silence[1]), np.float32(0), always)
    return Story(mood=mood, voice=mood, face=mood, voice_reliability=spoken, face_reliability=always)


def _write_sound(path: Path, samples: FloatArray) -> None:
    temporary = path.with_name(f".{path.name}.part")
    with temporary.open("wb") as file, wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(SAMPLE_RATE)
        sound.writeframes(np.round(samples * 32767).astype("<i2").tobytes())
    os.replace(temporary, path)
