"""Whole recordings -> damaged ones: cut off, bits flipped, stretches lost, headers that say what is not so."""

import struct
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import numpy as np

from tests.hostile.case import Case, Expected, holding
from tests.hostile.containers import HUGE, box, patched, wav
from tests.hostile.seeds import SEEDS, seed

Change = Callable[[bytes], bytes]


def damaged_cases() -> Iterator[Case]:
    """Yield all cases of this file."""
    yield from _cut()
    yield from _hit()
    yield from _wrong_names()
    yield from _wrong_boxes()
    yield from _wrong_chunks()
    yield from _wrong_elements()


def _of(name: str, base: str, change: Change, expected: Expected = "either", told: str = "") -> Case:
    """Return the case of a changed seed."""
    return Case(name, f"file.{base.rpartition('.')[2]}", holding(lambda: change(seed(base))), expected, told)


def _first(size: int) -> Change:
    return lambda data: data[:size]


def _share(percent: int) -> Change:
    return lambda data: data[: len(data) * percent // 100]


def _with(marker: bytes, offset: int, new: bytes, which: int = 0) -> Change:
    return lambda data: patched(data, marker, offset, new, which)


def _cut() -> Iterator[Case]:
    for base in SEEDS:
        for percent in (1, 10, 50, 90, 99):
            yield _of(f"cut-{base}-{percent}", base, _share(percent))
    for size in (1, 4, 8, 20, 32, 36, 44, 100):
        yield _of(f"cut-mp4-after-{size}-bytes", "mp4", _first(size), "refused")
        yield _of(f"cut-wav-after-{size}-bytes", "wav", _first(size))
    yield _of("cut-mp4-before-moov", "mp4", lambda data: data[: data.index(b"moov") - 4], "refused", "no index")
    yield _of("cut-mp4-in-moov", "mp4", lambda data: data[: data.index(b"moov") + 300], "refused")
    yield _of("cut-web-mp4-in-moov", "web.mp4", lambda data: data[: data.index(b"stsz") + 40])
    yield _of("cut-web-mp4-after-moov", "web.mp4", lambda data: data[: data.index(b"mdat") + 4])
    yield _of("start-lost-mp4", "mp4", lambda data: data[1000:])
    yield _of("start-lost-ts", "ts", lambda data: data[1000:], "read")
    yield _of("start-lost-mp3", "mp3", lambda data: data[1000:], "read")
    yield _of("twice-mkv", "mkv", lambda data: data + data)
    yield _of("twice-mp4", "mp4", lambda data: data + data)
    yield _of("tail-of-noise-mp4", "mp4", lambda data: data + np.random.default_rng(1).bytes(20_000), "read")


def _hit() -> Iterator[Case]:
    kinds: dict[str, Callable[[bytearray, np.random.Generator], None]] = {
        "bits-in-head": lambda data, rng: _flip(data, rng, 0, min(len(data), 600), 12),
        "bits-everywhere": lambda data, rng: _flip(data, rng, 0, len(data), 200),
        "bits-in-tail": lambda data, rng: _flip(data, rng, len(data) * 9 // 10, len(data), 30),
        "zeros-in-middle": lambda data, rng: _overwrite(data, len(data) // 2, bytes(len(data) // 6)),
        "noise-in-middle": lambda data, rng: _overwrite(data, len(data) // 3, rng.bytes(len(data) // 6)),
        "ones-in-head": lambda data, rng: _overwrite(data, int(rng.integers(16, 200)), b"\xff" * 8),
    }
    for number, base in enumerate(SEEDS):
        for place, (kind, hit) in enumerate(kinds.items()):
            yield _of(f"{kind}-{base}", base, _struck(hit, (number, place)))


def _struck(hit: Callable[[bytearray, np.random.Generator], None], key: tuple[int, int]) -> Change:
    def change(data: bytes) -> bytes:
        changed = bytearray(data)
        hit(changed, np.random.default_rng(key))
        return bytes(changed)

    return change


def _flip(data: bytearray, rng: np.random.Generator, first: int, stop: int, count: int) -> None:
    for place in rng.integers(first, stop, count):
        data[place] ^= 1 << int(rng.integers(8))


def _overwrite(data: bytearray, place: int, new: bytes) -> None:
    data[place : place + len(new)] = new


def _wrong_names() -> Iterator[Case]:
    for base, name in (("mp4", "a.wav"), ("wav", "a.mp4"), ("mkv", "a.avi"), ("ogg", "a.mp3"), ("ts", "a.jpg")):
        content = holding(partial(seed, base))
        yield Case(f"{base}-under-the-name-{name}", name, content, "read")
    yield Case("mp4-without-suffix", "recording", holding(lambda: seed("mp4")), "read")
    yield _of("wrong-magic-mp4", "mp4", lambda data: patched(data, b"ftyp", 0, b"pytf"))
    yield _of("wrong-magic-mkv", "mkv", lambda data: b"\0\0\0\0" + data[4:])
    yield _of("wrong-magic-wav", "wav", lambda data: b"RIFX" + data[4:])
    yield _of("wrong-magic-flac", "flac", lambda data: b"fLaX" + data[4:])
    yield _of("riff-of-unknown-kind", "wav", lambda data: patched(data, b"WAVE", 0, b"EVAW"))
    yield _of("header-of-mp4-on-mkv", "mkv", lambda data: seed("mp4")[:40] + data)
    yield _of("header-of-wav-on-mp3", "mp3", lambda data: seed("wav")[:44] + data)


def _wrong_boxes() -> Iterator[Case]:
    number = struct.Struct(">I").pack
    sizes = {"0": 0, "1": 1, "7": 7, "half": 0x7FFFFFFF, "sign": 0x80000000, "all": HUGE}
    for what, size in sizes.items():
        yield _of(f"size-of-moov-{what}", "mp4", _with(b"moov", -4, number(size)))
        yield _of(f"size-of-trak-{what}", "web.mp4", _with(b"trak", -4, number(size)))
    tables = {"stts": 8, "stsz": 12, "stsc": 8, "ctts": 8, "stco": 8, "stsd": 8, "stss": 8, "elst": 8}
    for table, offset in tables.items():
        if table == "ctts":
            continue  # the seed has no pictures out of order
        yield _of(f"huge-count-{table}", "mp4", _with(table.encode(), offset, number(HUGE)))
        yield _of(
            f"large-count-{table}",
            "web.mp4",
            _with(table.encode(), offset, number(50_000_000)),
        )
    yield _of("huge-size-of-each-sample", "mp4", lambda data: patched(data, b"stsz", 8, number(0x7FFFFFFF)))
    yield _of("one-sample-size-many-samples", "mp4", lambda d: patched(d, b"stsz", 8, number(1) + number(10_000_000)))
    yield _of("stts-endless-pictures", "mp4", lambda d: patched(d, b"stts", 12, number(HUGE) + number(HUGE)))
    yield _of("stts-zero-durations", "mp4", lambda data: patched(data, b"stts", 12, number(25) + number(0)))
    yield _of("chunks-behind-the-end", "mp4", lambda data: patched(data, b"stco", 12, number(0x7FFFFF00)))
    yield _of("chunks-in-the-header", "mp4", lambda data: patched(data, b"stco", 12, number(4)))
    yield _of("no-timescale", "mp4", lambda data: patched(data, b"mdhd", 16, number(0)))
    yield _of("timescale-one", "mp4", lambda data: patched(data, b"mdhd", 16, number(1)))
    yield _of("timescale-huge", "mp4", lambda data: patched(data, b"mdhd", 16, number(HUGE)))
    yield _of("duration-of-136-years", "mp4", lambda data: patched(data, b"mvhd", 20, number(HUGE - 1)), "read")
    yield _of("edit-list-to-nowhere", "mp4", lambda data: patched(data, b"elst", 16, number(0x7FFFFFF0)))
    yield _of("edit-list-before-the-start", "mp4", lambda data: patched(data, b"elst", 16, number(0xFFFF0000)))
    yield _of("edit-list-empty-edit-of-days", "mp4", _with_empty_edit)
    yield _of("unknown-codec-of-pictures", "mp4", lambda data: patched(data, b"avc1", 0, b"xxxx", 1))
    yield _of("unknown-codec-of-sound", "mp4", lambda data: patched(data, b"mp4a", 0, b"xxxx"))
    yield _of("sound-codec-called-pictures", "mp4", lambda data: patched(data, b"mp4a", 0, b"avc1"))
    yield _of("picture-codec-called-mjpeg", "mp4", lambda data: patched(data, b"avc1", 0, b"jpeg", 1))
    for width, height in ((65535, 65535), (16384, 16384), (0, 0), (1, 65535)):
        side = struct.pack(">HH", width, height)
        yield _of(f"declared-{width}x{height}-mp4", "mp4", _with(b"avc1", 28, side, 1))
    yield _of("no-decoder-settings", "mp4", lambda data: patched(data, b"avcC", 0, b"free"))
    yield _of("wrong-decoder-settings", "mp4", lambda data: patched(data, b"avcC", 4, b"\xff" * 20))
    yield _of("sound-of-65535-channels-mp4", "mp4", lambda data: patched(data, b"mp4a", 20, b"\xff\xff"))
    nested = b""
    for _ in range(4000):
        nested = box(b"moov", nested)
    yield Case("boxes-4000-deep", "a.mp4", holding(seed_head(nested)), "refused")
    yield Case("boxes-100000-flat", "a.mp4", holding(seed_head(box(b"free", b"") * 100_000)), "refused")
    yield Case("traks-of-nothing-2000", "a.mp4", holding(seed_head(box(b"moov", box(b"trak", b"") * 2000))), "refused")


def seed_head(rest: bytes) -> bytes:
    """Return the first box of an mp4 and what follows it."""
    return box(b"ftyp", b"isom\0\0\2\0isomiso2avc1mp41") + rest


def _with_empty_edit(data: bytes) -> bytes:
    """Turn the first edit of the first track into nothing for 23 days."""
    return patched(data, b"elst", 12, struct.pack(">Ii", 2_000_000_000, -1))


def _wrong_chunks() -> Iterator[Case]:
    sound = seed("wav")[44:][:32_000]
    wavs: dict[str, tuple[dict[str, int], Expected, str]] = {
        "wav-declares-4-gb": ({"riff_size": HUGE - 8, "data_size": HUGE - 44}, "read", "cut off"),
        "wav-live": ({"riff_size": HUGE, "data_size": HUGE}, "read", ""),
        "wav-declares-nothing": ({"riff_size": 0, "data_size": 0}, "either", ""),
        "wav-fmt-of-4-gb": ({"fmt_size": HUGE}, "either", ""),
        "wav-fmt-of-2-bytes": ({"fmt_size": 2}, "either", ""),
        "wav-no-channels": ({"channels": 0}, "either", ""),
        "wav-65535-channels": ({"channels": 65_535}, "either", ""),
        "wav-65-channels": ({"channels": 65}, "refused", "at most 64"),
        "wav-0-hz": ({"rate": 0}, "either", ""),
        "wav-1-hz": ({"rate": 1}, "either", ""),
        "wav-4-ghz": ({"rate": HUGE}, "either", ""),
        "wav-0-bits": ({"bits": 0}, "either", ""),
        "wav-1-bit": ({"bits": 1}, "either", ""),
        "wav-4096-bits": ({"bits": 4096}, "either", ""),
        "wav-of-an-unknown-code": ({"code": 0x7777}, "refused", ""),
        "wav-says-float": ({"code": 3}, "either", ""),
        "wav-says-adpcm": ({"code": 2}, "either", ""),
        "wav-says-mp3": ({"code": 0x55}, "either", ""),
        "wav-rate-swapped-high": ({"rate": 48_000}, "read", ""),
        "wav-rate-swapped-low": ({"rate": 8000}, "read", ""),
    }
    for name, (wrong, expected, told) in wavs.items():
        yield Case(name, "a.wav", holding(wav(sound, **wrong)), expected, told)  # type: ignore[arg-type]
    yield Case("wav-with-a-chunk-of-4-gb", "a.wav", holding(wav(sound, before=b"LIST" + b"\xff" * 4)))
    yield Case("wav-with-100000-chunks", "a.wav", holding(wav(sound, before=b"junk\0\0\0\0" * 100_000)), "read")
    yield Case("wav-without-samples", "a.wav", holding(wav(b"")), "refused")
    yield Case("wav-with-half-a-sample", "a.wav", holding(wav(b"\x01", data_size=1)))
    little = struct.Struct("<I").pack
    for what, marker, offset, new in (
        ("size-of-strl", b"strl", -4, little(HUGE)),
        ("size-of-movi", b"movi", -4, little(HUGE)),
        ("size-of-movi-none", b"movi", -4, little(0)),
        ("size-of-index", b"idx1", 4, little(HUGE)),
        ("index-with-wrong-places", b"idx1", 16, b"\xff" * 400),
        ("picture-of-4-gb", b"00dc", 4, little(HUGE)),
        ("no-scale", b"vids", 20, little(0)),
        ("no-rate", b"vids", 24, little(0)),
        ("million-fps", b"vids", 20, little(1) + little(1_000_000)),
        ("twentieth-fps", b"vids", 20, little(20) + little(1)),
        ("picture-lasts-136-years", b"vids", 20, little(HUGE) + little(1)),
        ("starts-after-days", b"vids", 28, little(25 * 3600 * 24 * 3)),
        ("declared-65535x65535", b"strf", 12, little(65_535) * 2),
        ("declared-negative-size", b"strf", 12, little(HUGE - 95) * 2),
        ("many-streams", b"avih", 32, little(HUGE)),
        ("unknown-codec", b"strf", 24, b"ZZZZ"),
    ):
        yield replace(_of(f"avi-{what}", "avi", _with(marker, offset, new)), longest_seconds=1900)


def _wrong_elements() -> Iterator[Case]:
    unknown = b"\x01" + b"\xff" * 7
    clusters = bytes.fromhex("1f43b675")
    yield _of("mkv-segment-of-unknown-size", "mkv", lambda d: patched(d, bytes.fromhex("18538067"), 4, unknown), "read")
    yield _of("mkv-cluster-of-unknown-size", "mkv", lambda data: patched(data, clusters, 4, unknown))
    yield _of("mkv-cluster-of-nothing", "mkv", lambda data: patched(data, clusters, 4, b"\x01" + bytes(7)))
    yield _of("mkv-invalid-size", "mkv", lambda data: patched(data, clusters, 4, bytes(8)))
    yield _of(
        "mkv-tracks-of-petabytes", "mkv", lambda d: patched(d, bytes.fromhex("1654ae6b"), 4, b"\x01\x03" + b"\xff" * 6)
    )
    yield _of("mkv-no-time-scale", "mkv", lambda d: patched(d, bytes.fromhex("2ad7b1"), 4, bytes(3)))
    yield _of("mkv-huge-time-scale", "mkv", lambda d: patched(d, bytes.fromhex("2ad7b1"), 4, b"\xff" * 3))
    yield _of("mkv-duration-nan", "mkv", lambda data: patched(data, bytes.fromhex("448988"), 3, b"\x7f\xf8" + bytes(6)))
    yield _of("mkv-duration-inf", "mkv", lambda data: patched(data, bytes.fromhex("448988"), 3, b"\x7f\xf0" + bytes(6)))
    yield _of("mkv-duration-negative", "mkv", lambda data: patched(data, bytes.fromhex("448988"), 3, b"\xff" * 8))
    yield _of(
        "mkv-duration-of-ages", "mkv", lambda data: patched(data, bytes.fromhex("448988"), 3, b"\x7f\xef" + b"\xff" * 6)
    )
