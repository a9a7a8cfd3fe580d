"""A bundle is taken whole and unchanged, or refused with a reason."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from emotrace import bundle as bundles
from emotrace.bundle import CARD, MANIFEST, NETWORKS, load_bundle, save_bundle
from emotrace.errors import BundleError
from emotrace.inference.session import Session
from emotrace.labels import EMOTIONS
from tests.app import tiny_bundle
from tests.bundle_changes import edit, replace_network


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tiny_bundle.write(tmp_path / "tiny")


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


def test_a_graph_of_the_largest_published_system_is_listed(folder: Path) -> None:
    edit(folder, lambda manifest: manifest["files"]["fusion.onnx"].update(bytes=132_000_000 * 4))
    assert load_bundle(folder).manifest.files["fusion.onnx"].bytes == 528_000_000


def test_a_file_that_is_too_large_is_refused_in_plain_words(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundles, "MAX_FILE_BYTES", 1_000)
    with pytest.raises(BundleError, match=r"fusion\.onnx has 1,001 bytes, a bundle's files may have 1,000"):
        replace_network(folder, "fusion.onnx", bytes(1_001))
    assert len(load_bundle(folder).read("fusion.onnx")) != 1_001


@pytest.mark.parametrize("name", [*NETWORKS, CARD, MANIFEST])
def test_a_link_that_leads_out_of_the_folder_is_not_followed(folder: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "outside").mkdir()
    outside = (folder / name).rename(tmp_path / "outside" / name)
    (folder / name).symlink_to(outside)
    with pytest.raises(BundleError, match=f"{name} is a link that leads out of the bundle"):
        load_bundle(folder).read(name)


def test_a_bundle_behind_a_link_is_read(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder)
    assert load_bundle(tmp_path / "link").card == "# Tiny\n"


def test_a_link_that_leads_to_itself_is_refused(folder: Path) -> None:
    (folder / CARD).unlink()
    (folder / CARD).symlink_to(folder / CARD)
    with pytest.raises(BundleError, match=f"{CARD} is missing"):
        load_bundle(folder).read(CARD)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"name"', '"name": "other", "name"', "the key 'name' stands twice"),
        ('"crop_size"', '"crop_size": 48, "crop_size"', "the key 'crop_size' stands twice"),
        ('"settings": {}', '"settings": {"a": ' + "[" * 5000 + "]" * 5000 + "}", "is refused"),
        ('"settings": {}', '"settings": {"a": ' + "9" * 5000 + "}", "is refused: .*number out of range"),
        ('"scale": 1.03', '"scale": NaN', "haar_geometry.scale is refused"),
        ('"scale": 1.03', '"scale": 1e999', "haar_geometry.scale is refused"),
        ('"metrics": {}', '"metrics": {"a": Infinity}', "metrics.a is refused"),
        ('"label_rate_hz": 25.0', '"label_rate_hz": NaN', "label_rate_hz is refused"),
        ('"format": 1', '"format": 1, "\\u001b[31m' + "x" * 3000 + '": 1', r"x\w*(\S*) is refused"),
    ],
)
def test_a_manifest_that_says_it_oddly_is_refused(folder: Path, old: str, new: str, message: str) -> None:
    text = (folder / MANIFEST).read_text()
    assert old in text
    (folder / MANIFEST).write_text(text.replace(old, new, 1))
    with pytest.raises(BundleError, match=message) as refused:
        load_bundle(folder)
    assert len(str(refused.value)) < 1500
    assert str(refused.value).isprintable()


def test_a_name_that_no_folder_can_have_is_no_bundle() -> None:
    with pytest.raises(BundleError, match="No bundle"):
        load_bundle("x" * 5000)


def test_a_card_of_other_bytes_than_text_is_shown_as_far_as_it_goes(folder: Path) -> None:
    replace_network(folder, CARD, b"\xff# Tiny")
    assert load_bundle(folder).card.endswith("# Tiny")
