"""A recording and a system's name -> a system with drawn weights, what training sees of the recording, and a bundle."""

from pathlib import Path

import torch

from emotrace.bundle import Bundle
from emotrace.corpora.labelled import LabelledClip
from emotrace.training.default import RECIPE
from emotrace.training.extraction import extract_all
from emotrace.training.presets import PRESETS
from emotrace.training.settings import EncoderSettings, SystemSettings
from emotrace.training.study import bundle_faces
from emotrace.training.system_bundle import save_as_bundle
from emotrace.training.systems import SavedSystem, build, sizes_of
from emotrace.training.tracks import Track, encode_faces, load_track

CLASSES = ("anger", "happiness", "frustration", "calm")


def features_of(clip: LabelledClip, folder: Path) -> Path:
    """Write what any of the systems reads of a recording; return the folder."""
    extract_all([clip], RECIPE, ["descriptors", "log-mel", "log-spectrogram"], folder, dict, lambda *_: None)
    digest, encode = bundle_faces()
    encode_faces([clip], RECIPE, folder, encode, folder / "regions-bundle", digest)
    return folder


def settings_of(key: str) -> SystemSettings:
    """Return the settings of a preset; with "-own" at the end, with the paper's own network for pictures."""
    settings = PRESETS[key.removesuffix("-own")].settings
    own = EncoderSettings(backbone="own")
    return settings.model_copy(update={"visual": own}) if key.endswith("-own") else settings


def track_of(key: str, clip: LabelledClip, features: Path) -> Track:
    """Return the recording as training reads it for a system."""
    return load_track(features, clip, settings_of(key).front_end, features / "regions-bundle", 25.0, CLASSES)


def saved(settings: SystemSettings, track: Track) -> SavedSystem:
    """Return a system with drawn weights, its standardisation fitted."""
    system = build(settings, sizes_of(settings, track))
    system.fit_standardiser([track])
    generator = torch.Generator().manual_seed(1)
    for name, value in system.named_buffers():
        if "running_mean" in name:  # so that batch normalisation is not the identity
            value.copy_(0.1 * torch.randn(value.shape, generator=generator))
    return SavedSystem(system.eval(), settings, 0, ())


def bundle_of(key: str, clip: LabelledClip, features: Path, folder: Path) -> tuple[SavedSystem, Track, Bundle]:
    """Return a system, the recording as it reads it, and its bundle."""
    track = track_of(key, clip, features)
    system = saved(settings_of(key), track)
    bundle = save_as_bundle(folder / "bundle", system, {}, "ravdess", "Nothing.", tells_emotions=True)
    return system, track, bundle
