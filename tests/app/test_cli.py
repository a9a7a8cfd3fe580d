"""The command line as a user meets it: exit status, stdout, stderr, files."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from emotrace.app import ledger
from emotrace.app.cli import app
from emotrace.catalogue import CATALOGUE
from emotrace.timeline import COLUMNS, Timeline
from tests.app import tiny_bundle
from tests.corpora.trees import write_sound
from tests.media_factory import talking_clip

COMMANDS = ("analyze", "demo", "models", "systems", "corpora", "train", "compare", "evaluate", "bench", "doctor")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bundle.write(tmp_path_factory.mktemp("bundle") / "tiny")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return talking_clip(tmp_path_factory.mktemp("clip") / "talk.mp4", seconds=1.0)


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_a_clip_gives_a_csv_a_json_and_a_report_and_their_paths_on_stdout(
    clip: Path, tiny: Path, tmp_path: Path
) -> None:
    result = run("analyze", clip, "--bundle", tiny, "--output", tmp_path)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.split() == [str(tmp_path / f"talk.{kind}") for kind in ("csv", "json", "html")]
    header = (tmp_path / "talk.csv").read_text().splitlines()[0]
    assert header.split(",") == [column.name for column in COLUMNS]
    # One second of video; the last block of AAC may end a tick later.
    assert len(Timeline.from_json(tmp_path / "talk.json")) in (25, 26)


def test_one_bad_file_is_named_and_the_others_are_kept(clip: Path, tiny: Path, tmp_path: Path) -> None:
    text = tmp_path / "letter.mp4"
    text.write_text("Dear video,")
    missing = tmp_path / "missing.mp4"
    result = run("analyze", text, clip, missing, "--bundle", tiny, "--output", tmp_path / "out", "--format", "csv")
    assert result.exit_code == 1
    assert result.stdout.split() == [str(tmp_path / "out" / "talk.csv")]
    lines = result.stderr.splitlines()
    told = {line.split(": ")[0]: line for line in lines[:2]}
    assert set(told) == {str(text), str(missing)}
    assert "text" in told[str(text)]
    assert "does not exist" in told[str(missing)]
    assert lines[2] == "2 of 3 inputs failed:"
    assert [line.split()[0] for line in lines[3:]] == [str(text), str(missing)]
    kept = (tmp_path / "out" / "failures.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in kept] == ["input", str(text), str(missing)]


def test_json_holds_results_and_failures_in_one_document(clip: Path, tiny: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty.mp4"
    empty.touch()
    result = run("analyze", clip, empty, "--bundle", tiny, "--output", tmp_path, "--format", "csv", "--json")
    document = json.loads(result.stdout)
    assert result.exit_code == 1
    assert [each["input"] for each in document["results"]] == [str(clip)]
    assert document["results"][0]["files"] == {"csv": str(tmp_path / "talk.csv")}
    assert document["results"][0]["summary"]["duration_seconds"] == pytest.approx(1.0, abs=0.1)
    assert [each["input"] for each in document["failed"]] == [str(empty)]


def test_a_result_that_cannot_be_written_takes_no_other_with_it(clip: Path, tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "talk.json").mkdir()
    result = run("analyze", clip, "--bundle", tiny, "--output", tmp_path)
    assert result.exit_code == 1
    assert result.stdout.split() == [str(tmp_path / f"talk.{kind}") for kind in ("csv", "html")]
    assert all((tmp_path / f"talk.{kind}").is_file() for kind in ("csv", "html"))
    assert result.stderr.startswith(f"{clip}: json: ")
    assert len(result.stderr.splitlines()) == 1
    document = json.loads(run("analyze", clip, "--bundle", tiny, "--output", tmp_path, "--json").stdout)
    assert list(document["results"][0]["files"]) == ["csv", "html"]
    assert document["failed"][0]["reason"].startswith("json: ")


def test_annotate_draws_on_pictures_and_lets_sound_alone_be(clip: Path, tiny: Path, tmp_path: Path) -> None:
    sound = write_sound(tmp_path / "voice.wav", 1.0, 0)
    options = ("--bundle", tiny, "--output", tmp_path / "out", "--annotate", "--format", "csv")
    result = run("analyze", clip, sound, *options)
    assert result.exit_code == 0
    assert {Path(line).name for line in result.stdout.split()} == {"talk.csv", "talk.annotated.mp4", "voice.csv"}
    assert result.stderr.splitlines() == [f"{sound}: sound alone: there are no pictures to draw the trace on"]
    skipped = json.loads(run("analyze", clip, sound, *options, "--skip-existing", "--json").stdout)["skipped"]
    assert skipped == [str(clip), str(sound)]


def test_existing_results_are_left_alone_on_request(clip: Path, tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "talk.csv").write_text("mine")
    options = ("--bundle", tiny, "--output", tmp_path, "--skip-existing", "--json", "--format", "csv")
    assert json.loads(run("analyze", clip, *options).stdout)["skipped"] == [str(clip)]
    assert (tmp_path / "talk.csv").read_text() == "mine"
    assert json.loads(run("analyze", clip, *options, "--format", "json").stdout)["skipped"] == []


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("analyze",), "INPUT"),
        (("analyze", "a.mp4", "--format", "xml"), "xml"),
        (("analyze", "a.mp4", "--only", "nose"), "nose"),
        (("analyze", "a.mp4", "--bundle", "no-such-bundle"), "no-such-bundle"),
        (("train", "fast", "--data", "."), "fast"),
        (("no-such-command",), "no-such-command"),
    ],
)
def test_wrong_usage_ends_with_2_and_names_the_mistake(arguments: tuple[str, ...], named: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert named in result.stderr
    assert "Traceback" not in result.stderr


def test_a_folder_that_cannot_be_written_is_one_line(clip: Path, tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file, not a folder")
    result = run("analyze", clip, "--bundle", tiny, "--output", tmp_path / "out")
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 1
    assert (tmp_path / "out").read_text() == "a file, not a folder"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_one_line_and_leaves_no_half_file(clip: Path, tiny: Path, tmp_path: Path) -> None:
    # A limit on the size of files stands in for a full disk: the write itself fails.
    script = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000));"
        "from emotrace.app.start import main; main()"
    )
    arguments = ["analyze", str(clip), "--bundle", str(tiny), "--output", str(tmp_path / "out")]
    done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "cannot be written" in done.stderr
    assert "the rows so far are in" in done.stderr
    left = {path.name for path in (tmp_path / "out").iterdir()}
    assert left == {ledger.NAME, "talk.csv.partial"}


def test_an_interrupt_keeps_what_is_finished(clip: Path, tiny: Path, tmp_path: Path) -> None:
    long = talking_clip(tmp_path / "long.mp4", seconds=1.0)
    copies = [tmp_path / f"copy{number:02}.mp4" for number in range(60)]
    for copy in copies:
        copy.write_bytes(long.read_bytes())
    options = ("--bundle", str(tiny), "--output", str(tmp_path / "out"), "--format", "csv")
    process = subprocess.Popen(
        [sys.executable, "-m", "emotrace", "analyze", str(clip), *map(str, copies), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell without job control lets its background processes ignore the signal, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stdout is not None
    first = process.stdout.readline()
    process.send_signal(signal.SIGINT)
    printed, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert Path(first.strip()).is_file()
    assert said.startswith("Interrupted: ")
    assert "Traceback" not in said
    assert all(Path(path).is_file() for path in printed.splitlines())
    assert [path.name for path in (tmp_path / "out").glob(".*")] == [ledger.NAME]


def test_help_names_every_command_and_imports_nothing_heavy() -> None:
    script = (
        "import sys; from emotrace.app.cli import app; app(['--help'], standalone_mode=False);"
        "print(sorted({'numpy', 'pandas', 'cv2', 'av', 'onnxruntime', 'torch', 'pydantic'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert all(f"\n  {command} " in done.stdout for command in COMMANDS)


def test_version_is_printed() -> None:
    from emotrace import __version__

    assert run("--version").stdout == f"emotrace {__version__}\n"


def test_corpora_come_with_citation_and_licence() -> None:
    printed = run("corpora", "--json").stdout
    assert run("corpora", "list", "--json").stdout == printed
    rows = {row["name"]: row["text"] for row in json.loads(printed)}
    assert set(rows) == {*CATALOGUE, "composed", "synthetic"}
    assert "CC BY-NC-SA 4.0" in rows["ravdess"]


def test_systems_come_with_their_papers() -> None:
    rows = {row["name"]: row["text"] for row in json.loads(run("systems", "--json").stdout)}
    assert "Liu" in rows["bimodal-attention"]


def test_a_model_card_is_shown_for_a_folder(tiny: Path) -> None:
    assert run("models", "show", tiny).stdout.strip() == "# Tiny"


def test_an_unknown_bundle_is_one_line() -> None:
    result = run("models", "show", "nobody")
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 1


def test_doctor_names_versions_and_exits_by_what_it_found() -> None:
    result = run("doctor", "--json")
    findings = json.loads(result.stdout)
    assert {"emotrace", "numpy", "codecs", "face detector", "bundle default"} <= {each["name"] for each in findings}
    assert result.exit_code == (0 if all(each["ok"] for each in findings) else 1)


def test_the_manifest_of_a_bundle_is_given_as_json(tiny: Path) -> None:
    manifest = json.loads(run("models", "show", tiny, "--json").stdout)
    assert manifest["name"] == "tiny"
    assert json.loads(run("models", "--json").stdout) == json.loads(run("models", "list", "--json").stdout)
