"""Turns and explanations from the command line: exit status, stdout, stderr, files."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from emotrace.app import ledger
from emotrace.app.cli import app
from emotrace.turn_table import TURN_COLUMNS
from tests.app import tiny_bundle
from tests.corpora.miniature_clips import write_clip
from tests.media_factory import Sound
from tests.media_factory import write_clip as write_media

CSV = "start,end,speaker\n0.5,1.5,ann\n1.5,2.6,ben\n4,5,ann\n"
RTTM = (
    "SPEAKER talk 1 4.0 1.0 <NA> <NA> ann <NA> <NA>\n"
    "SPEAKER talk 1 0.5 1.0 <NA> <NA> ann <NA> <NA>\n"
    ";; a comment\n"
    "SPEAKER talk 1 1.5 1.1 <NA> <NA> ben <NA> <NA>\n"
)
FURTHER = ("turns.csv", "turns.json", "explained.html", "explained.json")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bundle.write(tmp_path_factory.mktemp("bundle") / "tiny")


@pytest.fixture(scope="module")
def talking(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bundle.write_for_turns(tmp_path_factory.mktemp("bundle") / "talking")


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six seconds of sound; from 2.6 to 3.8 s nothing is said."""
    path = tmp_path_factory.mktemp("talk") / "talk.wav"
    write_clip(path, arousal=0.5, valence=0.4, seconds=6.0, seed=2, video=False, silence=(2.6, 3.8))
    return path


def analyze(talk: Path, bundle: Path, output: Path, *options: str | Path) -> Result:
    given = ("analyze", talk, "--bundle", bundle, "--output", output, "--format", "csv", *options)
    return CliRunner().invoke(app, [str(argument) for argument in given])


def write_silence(path: Path, seconds: float) -> Path:
    samples = np.zeros((1, round(seconds * 16_000)), dtype=np.float32)
    return write_media(path, sounds=[Sound(samples, sample_rate=16_000, codec="pcm_s16le")])


def written(folder: Path) -> set[str]:
    found = {path.name.removeprefix("talk.") for path in folder.iterdir()} if folder.exists() else set()
    return found - {ledger.NAME}


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("level", ["frame", "clip"])
def test_a_dialogue_gives_a_table_of_turns_and_a_document(
    level: str, talk: Path, tiny: Path, talking: Path, tmp_path: Path
) -> None:
    result = analyze(talk, tiny if level == "frame" else talking, tmp_path, "--dialogue")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.split() == [str(tmp_path / f"talk.{kind}") for kind in ("csv", "turns.csv", "turns.json")]
    table = rows(tmp_path / "talk.turns.csv")
    assert tuple(table[0])[: len(TURN_COLUMNS)] == TURN_COLUMNS
    assert ("joy" in table[0]) == (level == "clip")
    assert [(row["turn"], row["speaker"]) for row in table] == [("1", ""), ("2", "")]
    document = json.loads((tmp_path / "talk.turns.json").read_text())
    assert [turn["start"] for turn in document["turns"]] == [float(row["start"]) for row in table]
    assert document["recording"]["source"] == "talk.wav"
    assert document["recording"]["notices"]


@pytest.mark.parametrize(("name", "text"), [("turns.csv", CSV), ("turns.rttm", RTTM)])
def test_turns_may_come_from_a_file(name: str, text: str, talk: Path, talking: Path, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    result = analyze(talk, talking, tmp_path / "out", "--dialogue", "--turns", tmp_path / name)
    assert result.exit_code == 0, result.stderr
    told = [(row["start"], row["end"], row["speaker"]) for row in rows(tmp_path / "out" / "talk.turns.csv")]
    assert told == [("0.5", "1.5", "ann"), ("1.5", "2.6", "ben"), ("4.0", "5.0", "ann")]


def test_what_was_wrong_with_the_turns_is_told_and_kept(talk: Path, talking: Path, tmp_path: Path) -> None:
    (tmp_path / "turns.csv").write_text("start,end\n1,2\n5,8\n9,10\n")
    output = tmp_path / "out"
    result = analyze(talk, talking, output, "--dialogue", "--turns", tmp_path / "turns.csv", "--json")
    assert result.exit_code == 0
    lines = [line.removeprefix(f"{talk}: ") for line in result.stderr.splitlines()]
    assert [line.split(",")[0] for line in lines[-2:]] == ["turns left out", "turns cut"]
    [told] = json.loads(result.stdout)["results"]
    assert told["problems"] == lines
    assert json.loads((output / "talk.turns.json").read_text())["recording"]["problems"] == lines
    assert set(told["files"]) == {"csv", "turns", "turns.json"}


def test_where_nobody_speaks_there_is_no_turn_and_that_is_told(talking: Path, tmp_path: Path) -> None:
    silence = write_silence(tmp_path / "talk.wav", 2.0)
    result = analyze(silence, talking, tmp_path / "out", "--dialogue", "--explain")
    assert result.exit_code == 0
    assert "no turn was found, as no speech was heard" in result.stderr
    assert rows(tmp_path / "out" / "talk.turns.csv") == []


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--turns", "turns.csv"), "no --dialogue"),
        (("--turns", "turns.csv", "--dialogue", "other.wav"), "there are 2 inputs"),
        (("--turns", "missing.csv", "--dialogue"), "missing.csv"),
        (("--turns", "damaged.csv", "--dialogue"), "damaged.csv"),
        (("--turns", "empty.csv", "--dialogue"), "no turn in it"),
        (("--turns", "backwards.csv", "--dialogue"), "backwards.csv, row 2"),
        (("--turns", "no-turns.rttm", "--dialogue"), "expected 8 or more"),
        (("--explain",), "shows nothing: train perception-attention"),
        (("--explain", "--dialogue"), "shows nothing: train perception-attention"),
    ],
)
def test_what_cannot_be_done_is_wrong_usage_and_nothing_is_analysed(
    options: tuple[str, ...], told: str, talk: Path, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("turns.csv").write_text(CSV)
    Path("damaged.csv").write_bytes(b"start,end\n1,\xff\n")
    Path("empty.csv").write_text("start,end,speaker\n")
    Path("backwards.csv").write_text("start,end\n3,1\n")
    Path("no-turns.rttm").write_text("SPEAKER talk 1\n")
    result = analyze(talk, tiny, tmp_path / "out", *options)
    assert result.exit_code == 2
    assert told in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_the_default_bundle_explains_nothing(talk: Path, tmp_path: Path) -> None:
    result = analyze(talk, Path("default"), tmp_path / "out", "--explain")
    assert result.exit_code == 2
    assert "--explain: the bundle default (" in result.stderr


def test_what_was_looked_at_is_a_page_and_a_document(talk: Path, talking: Path, tmp_path: Path) -> None:
    result = analyze(talk, talking, tmp_path, "--explain")
    assert result.exit_code == 0, result.stderr
    assert written(tmp_path) == {"csv", "explained.html", "explained.json"}
    assert [each["name"] for each in explanations(tmp_path)] == ["segments"]
    assert "What each part was taken for" in (tmp_path / "talk.explained.html").read_text()


def explanations(folder: Path) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads((folder / "talk.explained.json").read_text())["explanations"]
    return found


def test_of_a_dialogue_the_turns_that_were_looked_at_are_shown_too(talk: Path, talking: Path, tmp_path: Path) -> None:
    (tmp_path / "turns.csv").write_text(CSV)
    output = tmp_path / "out"
    result = analyze(talk, talking, output, "--explain", "--dialogue", "--turns", tmp_path / "turns.csv")
    assert result.exit_code == 0, result.stderr
    assert written(output) == {"csv", *FURTHER}
    segments, turns = explanations(output)
    assert (segments["name"], turns["name"]) == ("segments", "turns")
    assert turns["rows"] == ["1 ann (0.50 s)", "2 ben (1.50 s)", "3 ann (4.00 s)"]


def test_a_recording_is_skipped_where_all_is_there_and_only_then(talk: Path, talking: Path, tmp_path: Path) -> None:
    options = ("--explain", "--dialogue", "--skip-existing", "--json")
    for name in ("csv", *FURTHER):
        assert json.loads(analyze(talk, talking, tmp_path, *options).stdout)["skipped"] == []
        for each in ("csv", *FURTHER):
            (tmp_path / f"talk.{each}").write_text("mine")
        (tmp_path / f"talk.{name}").unlink()
    (tmp_path / f"talk.{FURTHER[-1]}").touch()
    assert json.loads(analyze(talk, talking, tmp_path, *options).stdout)["skipped"] == [str(talk)]
    assert (tmp_path / "talk.turns.csv").read_text() == "mine"


def test_a_table_that_cannot_be_written_takes_no_other_with_it(talk: Path, talking: Path, tmp_path: Path) -> None:
    (tmp_path / "talk.turns.csv").mkdir()
    result = analyze(talk, talking, tmp_path, "--dialogue", "--explain")
    assert result.exit_code == 1
    assert written(tmp_path) == {"csv", *FURTHER}
    [line] = [line for line in result.stderr.splitlines() if "cannot be written" in line]
    assert line.startswith(f"{talk}: turns: ")


def test_turns_that_fail_are_told_once_and_the_rest_is_there(talk: Path, tmp_path: Path) -> None:
    other = tiny_bundle.write_for_turns(tmp_path / "other", share=-1.0)
    result = analyze(talk, other, tmp_path / "out", "--dialogue", "--explain")
    assert result.exit_code == 1
    [line] = [line for line in result.stderr.splitlines() if "expected shares" in line]
    assert line.startswith(f"{talk}: turns: The explanation turns has values from -1")
    assert line.count("expected shares") == 1
    assert written(tmp_path / "out") == {"csv", "explained.html", "explained.json"}
    assert [each["name"] for each in explanations(tmp_path / "out")] == ["segments"]


def test_a_recording_that_is_too_long_to_explain_is_told_once(talking: Path, tmp_path: Path) -> None:
    long = write_silence(tmp_path / "talk.wav", 61.0)
    result = analyze(long, talking, tmp_path / "out", "--explain")
    assert result.exit_code == 1
    assert result.stderr.count("longer than 60 s") == 1
    assert written(tmp_path / "out") == {"csv"}
