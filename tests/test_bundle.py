"""A bundle is taken whole and unchanged, or refused with a reason."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from emotrace.bundle import CARD, MANIFEST, NETWORKS, load_bundle, save_bundle
from emotrace.errors import BundleError
from emotrace.inference.session import Session
from emotrace.labels import EMOTIONS
from tests.app import tiny_bundle


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tiny_bundle.write(tmp_path / "tiny")


def edit(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    manifest = json.loads((folder / MANIFEST).read_text())
    change(manifest)
    (folder / MANIFEST).write_text(json.dumps(manifest))


def test_what_was_saved_is_loaded(folder: Path) -> None:
    bundle = load_bundle(folder)
    assert bundle.manifest.name == "tiny"
    assert set(bundle.manifest.files) == {*NETWORKS, CARD}
    assert bundle.card == "# Tiny\n"
    assert load_bundle(folder / MANIFEST) == bundle
    assert load_bundle(str(folder)) == bundle


def test_a_changed_file_of_the_same_size_is_refused(folder: Path) -> None:
    content = bytearray((folder / "face.onnx").read_bytes())
    content[10] ^= 1
    (folder / "face.onnx").write_bytes(content)
    with pytest.raises(BundleError, match=r"face\.onnx does not match its sha256"):
        load_bundle(folder).read("face.onnx")


def test_a_file_of_another_size_is_refused(folder: Path) -> None:
    (folder / "voice.onnx").write_bytes(b"short")
    with pytest.raises(BundleError, match=r"voice\.onnx has 5 bytes, expected \d+"):
        load_bundle(folder).read("voice.onnx")


def test_a_missing_file_is_named(folder: Path) -> None:
    (folder / "fusion.onnx").unlink()
    with pytest.raises(BundleError, match=r"fusion\.onnx is missing"):
        Session(load_bundle(folder))


def test_a_file_that_the_manifest_does_not_list_is_not_read(folder: Path) -> None:
    (folder / "extra.txt").write_text("hello")
    with pytest.raises(BundleError, match=r"lists no file 'extra\.txt'"):
        load_bundle(folder).read("extra.txt")


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "a/b", "..", ".hidden", "", "a\\b", "C:x"])
def test_a_name_that_leads_out_of_the_bundle_is_refused(folder: Path, name: str) -> None:
    edit(folder, lambda manifest: manifest["files"].update({name: manifest["files"][CARD]}))
    with pytest.raises(BundleError, match="only plain names inside the bundle"):
        load_bundle(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda manifest: manifest.update(colour="red"), "colour is refused"),
        (lambda manifest: manifest.update(format=2), "format is refused"),
        (lambda manifest: manifest["recipe"].update(shine=1), "recipe.shine is refused"),
        (lambda manifest: manifest.update(name="../up"), "name is refused"),
        (lambda manifest: manifest["files"][CARD].update(bytes=10**12), "bytes is refused"),
        (lambda manifest: manifest["files"].pop("voice.onnx"), r"lists no file 'voice\.onnx'"),
        (lambda manifest: manifest.update(emotions=list(reversed(EMOTIONS))), "emotions are contempt, neutral"),
        (lambda manifest: manifest.update(voice_classes=["anger"]), "voice_classes are anger"),
        (lambda manifest: manifest["face_prior"].pop(), "face_prior has 7 entries, expected 8"),
        (lambda manifest: manifest["voice_prior"].append(0.1), "voice_prior has 10 entries, expected 9"),
        (lambda manifest: manifest.update(face_prior=[-1.0] * 8), "face_prior.0 is refused"),
        (lambda manifest: manifest["temperature"].update(face=0), "temperature.face is refused"),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused(
    folder: Path, change: Callable[[dict[str, Any]], None], message: str
) -> None:
    edit(folder, change)
    with pytest.raises(BundleError, match=message):
        load_bundle(folder)


@pytest.mark.parametrize("text", [b"", b"{", b"[1]", b"\xff\xfe", b"[" * 100_000], ids=str)
def test_a_manifest_that_is_no_json_object_is_refused(folder: Path, text: bytes) -> None:
    (folder / MANIFEST).write_bytes(text)
    with pytest.raises(BundleError, match=r"bundle\.json: \(whole file\) is refused"):
        load_bundle(folder)


def test_a_manifest_of_absurd_size_is_not_read(folder: Path) -> None:
    (folder / MANIFEST).write_bytes(b" " * 1_000_001)
    with pytest.raises(BundleError, match="larger than 1000000 bytes"):
        load_bundle(folder)


@pytest.mark.parametrize("name", ["no-such-bundle", "nul\0byte", ""])
def test_a_bundle_that_is_not_there_is_named(name: str) -> None:
    with pytest.raises(BundleError, match="No bundle"):
        load_bundle(name)


def replace_network(folder: Path, name: str, content: bytes) -> None:
    """Save the bundle again with another network, so that its checksums are right."""
    bundle = load_bundle(folder)
    contents = {each: bundle.read(each) for each in bundle.manifest.files}
    save_bundle(folder, bundle.manifest, contents | {name: content})


@pytest.mark.parametrize("name", NETWORKS)
def test_a_damaged_network_is_refused(folder: Path, name: str) -> None:
    replace_network(folder, name, b"\x08\x09no graph")
    with pytest.raises(BundleError, match=f"{name} is no usable network"):
        Session(load_bundle(folder))


def test_a_network_with_other_inputs_is_refused(folder: Path) -> None:
    replace_network(folder, "face.onnx", load_bundle(folder).read("voice.onnx"))
    with pytest.raises(BundleError, match=r"face\.onnx has the inputs and outputs .*expected \('crops',\)"):
        Session(load_bundle(folder))


def test_the_digest_changes_with_the_content_and_only_with_it(folder: Path, tmp_path: Path) -> None:
    first = load_bundle(folder)
    again = load_bundle(tiny_bundle.write(tmp_path / "again"))
    assert again.digest == first.digest
    replace_network(folder, CARD, b"# Tiny!\n")
    assert load_bundle(folder).digest != first.digest


def test_saving_replaces_the_older_bundle_whole(folder: Path) -> None:
    (folder / "left-over.txt").write_text("of an older version")
    replace_network(folder, CARD, b"# New\n")
    assert sorted(path.name for path in folder.iterdir()) == sorted([*NETWORKS, CARD, MANIFEST])
    assert load_bundle(folder).card == "# New\n"
    assert [path.name for path in folder.parent.iterdir()] == ["tiny"]


def test_a_bundle_that_would_not_load_leaves_the_older_one(folder: Path) -> None:
    bundle = load_bundle(folder)
    with pytest.raises(BundleError, match="lists no file"):
        save_bundle(folder, bundle.manifest, {"face.onnx": b"x"})
    assert load_bundle(folder) == bundle
    with pytest.raises(BundleError, match="only plain names"):
        save_bundle(folder, bundle.manifest, dict.fromkeys((*NETWORKS, CARD, "../out"), b"x"))
    assert [path.name for path in folder.parent.iterdir()] == ["tiny"]


def test_a_folder_of_other_files_is_never_replaced(folder: Path, tmp_path: Path) -> None:
    bundle = load_bundle(folder)
    contents = {name: bundle.read(name) for name in bundle.manifest.files}
    photographs = tmp_path / "photographs"
    photographs.mkdir()
    (photographs / "one.jpg").write_bytes(b"precious")
    with pytest.raises(BundleError, match="is no bundle: it would be lost"):
        save_bundle(photographs, bundle.manifest, contents)
    assert (photographs / "one.jpg").read_bytes() == b"precious"
    (tmp_path / "empty").mkdir()
    assert save_bundle(tmp_path / "empty", bundle.manifest, contents).digest == bundle.digest


def test_a_folder_named_as_a_shipped_bundle_is_saved_where_it_was_asked_for(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = load_bundle(folder)
    monkeypatch.chdir(tmp_path)
    saved = save_bundle(Path("default"), bundle.manifest, {name: bundle.read(name) for name in bundle.manifest.files})
    assert saved.folder == Path("default")
    assert saved.manifest.name == "tiny"
