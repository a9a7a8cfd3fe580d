"""The cache gives what `extract` gives, bit for bit, and nothing else."""

import zipfile
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from emotrace.errors import EmotraceError, MediaError
from emotrace.features import cache
from emotrace.features.cache import cached_features
from emotrace.features.extract import extract
from emotrace.features.faces import HaarDetector
from emotrace.media import open_clip
from emotrace.recipe import AudioRecipe, Recipe
from emotrace.types import Features
from tests.media_factory import talking_clip

RECIPE = Recipe(audio=AudioRecipe(window_seconds=0.5, hop_seconds=0.2))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return talking_clip(tmp_path_factory.mktemp("clip") / "talk.mp4", seconds=0.8)


def equal(one: list[Features], other: list[Features]) -> bool:
    names = [each.name for each in fields(Features)]
    pairs = [(getattr(a, name), getattr(b, name)) for a, b in zip(one, other, strict=True) for name in names]
    return all(a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes() for a, b in pairs)


def only_file(folder: Path) -> Path:
    [path] = [path for path in folder.rglob("*") if path.is_file()]
    return path


def test_the_cache_gives_what_extract_gives_bit_for_bit(clip: Path, tmp_path: Path) -> None:
    detector = HaarDetector()
    with open_clip(clip) as opened:
        fresh = list(extract(opened, RECIPE, detector))
    made = cached_features(clip, RECIPE, detector, tmp_path)
    read = cached_features(clip, RECIPE, detector, tmp_path)
    assert len(fresh[0].voice_inputs) > 0
    assert equal(made, fresh)
    assert equal(read, fresh)
    assert only_file(tmp_path).parent.name == f"{RECIPE.digest()}-haar"


def test_the_second_call_reads_what_the_first_has_written(clip: Path, tmp_path: Path) -> None:
    cached_features(clip, RECIPE, None, tmp_path)
    stored = only_file(tmp_path)
    before = stored.stat().st_mtime_ns, stored.stat().st_ino
    cached_features(clip, RECIPE, None, tmp_path)
    assert (stored.stat().st_mtime_ns, stored.stat().st_ino) == before


def test_other_recipes_detectors_and_contents_have_other_files(clip: Path, tmp_path: Path) -> None:
    edited = tmp_path / "edited.mp4"
    content = bytearray(clip.read_bytes())
    edited.write_bytes(bytes(content) + b"\0\0\0\x08free")  # an empty box that players skip
    renamed = tmp_path / "renamed.mp4"
    renamed.write_bytes(content)
    folder = tmp_path / "cache"
    cached_features(clip, RECIPE, None, folder)
    cached_features(renamed, RECIPE, None, folder)
    assert len(list(folder.rglob("*.npz"))) == 1
    cached_features(edited, RECIPE, None, folder)
    cached_features(clip, RECIPE, HaarDetector(), folder)
    cached_features(clip, Recipe(audio=AudioRecipe(window_seconds=0.4, hop_seconds=0.2)), None, folder)
    assert len(list(folder.rglob("*.npz"))) == 4


@pytest.mark.parametrize("share", [0.0, 0.3, 0.999])
def test_a_file_that_was_cut_off_is_made_again(clip: Path, tmp_path: Path, share: float) -> None:
    fresh = cached_features(clip, RECIPE, None, tmp_path)
    stored = only_file(tmp_path)
    whole = stored.read_bytes()
    stored.write_bytes(whole[: int(len(whole) * share)])
    assert equal(cached_features(clip, RECIPE, None, tmp_path), fresh)
    assert equal(cached_features(clip, RECIPE, None, tmp_path), fresh)
    assert stored.stat().st_size == len(whole)


def test_a_flipped_bit_of_the_numbers_is_noticed(clip: Path, tmp_path: Path) -> None:
    fresh = cached_features(clip, RECIPE, None, tmp_path)
    stored = only_file(tmp_path)
    content = bytearray(stored.read_bytes())
    content[len(content) // 2] ^= 1
    stored.write_bytes(content)
    assert equal(cached_features(clip, RECIPE, None, tmp_path), fresh)


def rewritten(stored: Path, name: str, content: bytes, compression: int = zipfile.ZIP_STORED) -> None:
    """Replace one entry of a stored file."""
    with zipfile.ZipFile(stored) as archive:
        entries = {each.filename: archive.read(each) for each in archive.infolist()}
    with zipfile.ZipFile(stored, "w", compression) as archive:
        for each, old in entries.items():
            archive.writestr(each, content if each == name else old)


def header(text: str) -> bytes:
    padded = text.ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(padded).to_bytes(2, "little") + padded.encode()


@pytest.mark.parametrize(
    "content",
    [
        b"no array",
        header("{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }"),
        header("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }") + b"cos\nsystem\n(S'true'\ntR.",
        header("{'descr': '<f8', 'fortran_order': False, 'shape': (-1, -8), }") + b"\0" * 64,
        header("{'descr': '<f8', 'fortran_order': False, 'shape': __import__('os'), }"),
    ],
    ids=["text", "huge", "objects", "negative", "code"],
)
def test_a_foreign_array_is_not_believed(clip: Path, tmp_path: Path, content: bytes) -> None:
    fresh = cached_features(clip, RECIPE, None, tmp_path)
    rewritten(only_file(tmp_path), "0.times.npy", content)
    assert equal(cached_features(clip, RECIPE, None, tmp_path), fresh)


def test_a_compressed_file_is_not_unpacked(clip: Path, tmp_path: Path) -> None:
    fresh = cached_features(clip, RECIPE, None, tmp_path)
    stored = only_file(tmp_path)
    with zipfile.ZipFile(stored) as archive:
        shape = archive.read("0.times.npy")
    rewritten(stored, "0.times.npy", shape, zipfile.ZIP_DEFLATED)
    assert equal(cached_features(clip, RECIPE, None, tmp_path), fresh)
    with zipfile.ZipFile(stored) as archive:
        assert {each.compress_type for each in archive.infolist()} == {zipfile.ZIP_STORED}


def test_the_features_of_another_clip_under_this_name_are_made_again(clip: Path, tmp_path: Path) -> None:
    other = talking_clip(tmp_path / "other.mp4", seconds=0.5)
    cached_features(other, RECIPE, None, tmp_path / "other")
    fresh = cached_features(clip, RECIPE, None, tmp_path / "cache")
    only_file(tmp_path / "cache").write_bytes(only_file(tmp_path / "other").read_bytes())
    assert equal(cached_features(clip, RECIPE, None, tmp_path / "cache"), fresh)


def test_what_was_read_can_be_written_to_as_what_was_made(clip: Path, tmp_path: Path) -> None:
    cached_features(clip, RECIPE, None, tmp_path)
    [block] = cached_features(clip, RECIPE, None, tmp_path)
    block.times[0] = np.float64(1)
    assert block.times[0] == 1


def test_a_clip_with_too_many_features_is_refused(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "MAX_BYTES", 1000)
    with pytest.raises(MediaError, match="1000 bytes of features"):
        cached_features(clip, RECIPE, None, tmp_path)
    assert list(tmp_path.rglob("*.npz")) == []


def test_a_clip_that_is_not_there_and_a_folder_that_cannot_be_are_named(clip: Path, tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"missing\.mp4 cannot be read"):
        cached_features(tmp_path / "missing.mp4", RECIPE, None, tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(EmotraceError, match="cannot be written"):
        cached_features(clip, RECIPE, None, tmp_path / "file")
