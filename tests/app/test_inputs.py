"""Which files are analysed, and where their results go."""

from pathlib import Path

import pytest

from emotrace.app.inputs import Job, find_jobs


def make(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def targets(jobs: list[Job], output: Path) -> dict[str, str]:
    return {job.source.name: job.target.relative_to(output).as_posix() for job in jobs}


def test_a_folder_is_mirrored_and_only_its_media_are_taken(tmp_path: Path) -> None:
    videos = make(tmp_path / "videos", "a.mp4", "day1/b.MOV", "day1/notes.txt", "day1/._b.mov", ".trash/c.mp4")
    out = tmp_path / "out"
    assert targets(find_jobs([str(videos)], out), out) == {"a.mp4": "a", "b.MOV": "day1/b"}


def test_a_glob_is_mirrored_from_its_first_wildcard_on(tmp_path: Path) -> None:
    make(tmp_path / "videos", "day1/a.mp4", "day2/b.mp4", "day2/c.wav")
    out = tmp_path / "out"
    jobs = find_jobs([str(tmp_path / "videos" / "*" / "*.mp4")], out)
    assert targets(jobs, out) == {"a.mp4": "day1/a", "b.mp4": "day2/b"}


def test_a_twin_beside_the_input_keeps_the_suffix_even_when_it_is_not_analysed(tmp_path: Path) -> None:
    make(tmp_path, "a.mp4", "a.mov")
    out = tmp_path / "out"
    both = find_jobs([str(tmp_path / "a.mp4"), str(tmp_path / "a.mov")], out)
    one = find_jobs([str(tmp_path / "a.mp4")], out)
    assert targets(both, out) == {"a.mp4": "a.mp4", "a.mov": "a.mov"}
    assert one[0].target == both[0].target


def test_equal_names_from_two_folders_do_not_overwrite_each_other(tmp_path: Path) -> None:
    make(tmp_path, "x/talk.mp4", "y/talk.mp4", "y/other/x/talk.mp4")
    jobs = find_jobs([str(tmp_path / p) for p in ("x/talk.mp4", "y/talk.mp4", "y/other/x/talk.mp4")], tmp_path)
    assert [job.target.relative_to(tmp_path).as_posix() for job in jobs] == ["x/talk.mp4", "y/talk.mp4", "x/talk.mp4-2"]


def test_the_same_file_is_analysed_once_however_it_is_named(tmp_path: Path) -> None:
    make(tmp_path, "a.mp4")
    (tmp_path / "link.mp4").symlink_to(tmp_path / "a.mp4")
    named = [str(tmp_path / "a.mp4"), str(tmp_path / "link.mp4"), str(tmp_path / "*.mp4"), str(tmp_path)]
    assert len(find_jobs(named, tmp_path / "out")) == 1


def test_our_own_results_are_no_inputs(tmp_path: Path) -> None:
    make(tmp_path, "a.mp4", "results/a.annotated.mp4", "results/clip.mp4", "b.annotated.mp4")
    assert [job.source.name for job in find_jobs([str(tmp_path)], tmp_path / "results")] == ["a.mp4"]


def test_a_linked_folder_is_followed_and_a_circle_ends(tmp_path: Path) -> None:
    make(tmp_path, "videos/a.mp4", "disk/b.mp4")
    (tmp_path / "videos" / "linked").symlink_to(tmp_path / "disk")
    (tmp_path / "videos" / "circle").symlink_to(tmp_path / "videos")
    jobs = find_jobs([str(tmp_path / "videos")], tmp_path / "out")
    assert sorted(job.source.name for job in jobs) == ["a.mp4", "b.mp4"]


@pytest.mark.parametrize("typed", ["missing.mp4", "empty", "*.mkv"])
def test_what_matches_nothing_stays_to_be_reported(typed: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    [job] = find_jobs([str(tmp_path / typed)], tmp_path / "out")
    assert job.source == tmp_path / typed


def test_a_dot_inside_a_name_is_no_suffix(tmp_path: Path) -> None:
    make(tmp_path, "talk.v2.mp4")
    [job] = find_jobs([str(tmp_path / "talk.v2.mp4")], tmp_path)
    assert job.result(".csv") == tmp_path / "talk.v2.csv"
