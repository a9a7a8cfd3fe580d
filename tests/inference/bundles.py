"""A recording and a system's name -> a system with drawn weights, what training sees of the recording, and a bundle."""

import wave
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from emotrace.bundle import Bundle, save_bundle
from emotrace.corpora.labelled import LabelledClip
from emotrace.recipe import SAMPLE_RATE
from emotrace.training.default import RECIPE
from emotrace.training.extraction import extract_all
from emotrace.training.presets import PRESETS
from emotrace.training.settings import EncoderSettings, SystemSettings
from emotrace.training.study import bundle_faces
from emotrace.training.system_bundle import save_as_bundle
from emotrace.training.systems import SavedSystem, build, sizes_of
from emotrace.training.tracks import Track, encode_faces, load_track

Made = tuple[SavedSystem, Track, Bundle]
"""A system, a recording as it reads it, and its bundle."""
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


def bundle_of(key: str, clip: LabelledClip, features: Path, folder: Path) -> Made:
    """Return a system, the recording as it reads it, and its bundle."""
    track = track_of(key, clip, features)
    system = saved(settings_of(key), track)
    bundle = save_as_bundle(folder / "bundle", system, {}, "ravdess", "Nothing.", tells_emotions=True)
    return system, track, bundle


def write_sound(path: Path, samples: np.ndarray) -> Path:
    """Write a mono WAV file of 16 kHz; return its path."""
    with wave.open(str(path), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(SAMPLE_RATE)
        sound.writeframes(np.round(samples * 32767).astype("<i2").tobytes())
    return path


def noise(seconds: int) -> np.ndarray:
    """Return sound that is taken for speech: noise whose level changes four times a second."""
    rng = np.random.default_rng(0)
    levels = np.repeat(rng.uniform(0.05, 0.8, seconds * 4), SAMPLE_RATE // 4)
    return levels * rng.uniform(-1, 1, seconds * SAMPLE_RATE)


def with_answer(bundle: Bundle, file: str, output: str, operation: str, folder: Path, **attributes: int) -> Bundle:
    """Return the bundle with one more operation before an output of a graph.

    Args:
        bundle: as it was.
        file: the graph.
        output: of the graph.
        operation: of ONNX, and what it takes beside the output: "again" is the output, "infinity", "nothing" and
            "minus" are numbers.
        folder: where the bundle goes.
        attributes: of the operation.
    """
    model = onnx.load_from_string(bundle.read(file))
    graph = model.graph
    for node in graph.node:
        for names in (node.input, node.output):
            names[:] = [f"{name}-before" if name == output else name for name in names]
    [told] = [each for each in graph.output if each.name == output]
    told.CopyFrom(helper.make_tensor_value_info(output, attributes.get("to", TensorProto.FLOAT), None))
    name, *others = operation.split()
    inputs = [f"{output}-before", *(f"{output}-before" if other == "again" else other for other in others)]
    node = helper.make_node(name, inputs, [output])
    node.attribute.extend(helper.make_attribute(key, value) for key, value in attributes.items())
    graph.node.append(node)
    constants = {"infinity": np.inf, "nothing": np.nan, "minus": -1.0}
    graph.initializer.extend(numpy_helper.from_array(np.array(constants[each], np.float32), each) for each in constants)
    contents = {each: bundle.read(each) for each in bundle.manifest.files}
    return save_bundle(folder / "other", bundle.manifest, contents | {file: model.SerializeToString()})
