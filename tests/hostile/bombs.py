"""Small files that would unfold into large ones, and much beside the media: tags, chapters, covers."""

import gzip
import io
import struct
import zipfile
import zlib
from collections.abc import Iterator
from functools import partial

import numpy as np

from tests.hostile import containers as made
from tests.hostile.case import Case, holding
from tests.hostile.containers import HUGE, block, element, matroska, picture_track, png, sound_track, wav
from tests.hostile.seeds import Heard, Seen, recorded, seed


def bomb_cases() -> Iterator[Case]:
    """Yield all cases of this file."""
    yield from _bombs()
    yield from _bombs_beside_the_media()


def _bombs() -> Iterator[Case]:
    zeros = bytes(20_000_000)
    packed = gzip.compress(gzip.compress(zeros, mtime=0), mtime=0)
    yield Case("bomb-gzip", "bomb.mp4", holding(packed), "refused")
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(zipfile.ZipInfo("zeros"), zeros, zipfile.ZIP_DEFLATED)
    yield Case("bomb-zip", "bomb.zip", holding(archive.getvalue()), "refused")
    yield Case("bomb-black-4k", "bomb.mp4", holding(_black), "read")
    yield Case("bomb-flac-of-silence", "bomb.flac", holding(_silence), "read", longest_seconds=700)
    yield Case("bomb-gif", "bomb.gif", holding(_gif(16_000, 16_000)), longest_seconds=4000)
    yield Case("bomb-gif-of-8000", "bomb.gif", holding(_gif(8000, 4000)), longest_seconds=4000)
    yield Case("bomb-apng", "bomb.png", holding(_apng), longest_seconds=4000)
    compressed = zlib.compress(zeros, 9)
    squeezed = element(0x6D80, element(0x6240, element(0x5034, element(0x4254, 0))))
    track = picture_track(1, b"V_MJPEG", 96, 64, squeezed)
    yield Case(
        "bomb-zlib-in-mkv", "bomb.mkv", holding(matroska([track], [(n, block(1, compressed)) for n in range(3)]))
    )
    yield Case(
        "bomb-png-of-8000x4000", "bomb.mkv", holding(lambda: _pngs(8, png(8000, 4000, bytes(8001 * 4000)))), "read"
    )
    deep = holding(lambda: _pngs(2, png(8192, 4352, bytes((8192 * 8 + 1) * 4352), 16, 6)))
    yield Case("bomb-png-of-16-bit", "bomb.mkv", deep, "read")
    sound = sound_track(1, b"A_PCM/INT/LIT", 1000, 64, 8)
    long = holding(matroska([sound], [(0, block(1, zeros[:6_400_000]))]))
    yield Case("bomb-sound-of-64-channels-at-1-khz", "bomb.mkv", long, "read", longest_seconds=110)


def _pngs(count: int, picture: bytes) -> bytes:
    """Return a Matroska file that declares 64x64 and holds these pictures."""
    form = struct.pack("<IiiHH4sIiiII", 40, 64, 64, 1, 24, b"MPNG", 0, 0, 0, 0, 0)
    track = picture_track(1, b"V_MS/VFW/FOURCC", 64, 64, element(made.PRIVATE, form))
    return matroska([track], [(40 * number, block(1, picture)) for number in range(count)])


def _black() -> bytes:
    """Return ten seconds of black 4K pictures in a few kilobytes."""
    times = tuple(index / 2 for index in range(20))
    return recorded(".mp4", [Seen(width=3840, height=2160, times=times, noise=0)])


def _silence() -> bytes:
    return recorded(".flac", [], [Heard("flac", 8000, "mono", np.zeros((1, 8000 * 600), np.float32))])


def _gif(width: int, height: int) -> bytes:
    """Return an animation of one code per picture on a canvas that large."""
    size = struct.pack("<HH", width, height)
    picture = b"\x21\xf9\4\0\1\0\0\0" + b"\x2c" + bytes(4) + size + b"\0\2\2\x4c\1\0"
    return b"GIF89a" + size + b"\x80\0\0" + bytes(6) + picture * 10 + b"\x3b"


def _apng() -> bytes:
    def part(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    side = 6000
    lines = zlib.compress(bytes((side + 1) * side), 9)
    control = struct.pack(">IIIIIHHBB", 0, side, side, 0, 0, 1, 10, 0, 0)
    head = b"\x89PNG\r\n\x1a\n" + part(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0))
    parts = part(b"acTL", struct.pack(">II", 10, HUGE >> 1)) + part(b"fcTL", control) + part(b"IDAT", lines)
    for number in range(9):
        parts += part(b"fcTL", struct.pack(">I", 2 * number + 1) + control[4:])
        parts += part(b"fdAT", struct.pack(">I", 2 * number + 2) + lines)
    return head + parts + part(b"IEND", b"")


def _bombs_beside_the_media() -> Iterator[Case]:
    track = sound_track(1, b"A_PCM/INT/LIT", 16_000, 1, 16)
    sound = [(0, block(1, bytes(32_000)))]
    tag = element(made.SIMPLE_TAG, element(made.TAG_NAME, b"NAME") + element(made.TAG_TEXT, b"text"))
    beside: dict[str, bytes] = {
        "100000-tags": element(made.TAGS, element(made.TAG, tag * 100_000)),
        "title-of-10-mb": element(made.INFO, element(made.TITLE, b"t" * 10_000_000)),
        "title-not-utf-8": element(made.INFO, element(made.TITLE, b"\xff\xfe\xe9" * 100)),
        "20000-chapters": element(made.CHAPTERS, element(made.EDITION, b"".join(
            element(made.CHAPTER, element(made.CHAPTER_ID, n + 1) + element(made.CHAPTER_START, n * 10**6))
            for n in range(20_000)))),
        "tags-2000-deep": element(made.TAGS, element(made.TAG, _nested(2000))),
    }  # fmt: skip
    for name, content in beside.items():
        yield Case(f"beside-{name}", "a.mkv", holding(matroska([track], sound, further=content)))
    covers = {"of-50-megapixels": (8000, 6250, 8001 * 6250), "of-65535": (65_535, 65_535, 99)}
    for what, (width, height, size) in covers.items():
        covered = holding(partial(_covered, width, height, size))
        yield Case(f"beside-cover-{what}", "a.mkv", covered, "read")
    header = b"ID3\4\0\0" + bytes((9_000_000 >> shift) & 127 for shift in (21, 14, 7, 0))
    yield Case("beside-id3-of-9-mb", "a.mp3", holding(header + bytes(9_000_000) + seed("mp3")))
    yield Case("beside-id3-that-declares-256-mb", "a.mp3", holding(b"ID3\4\0\0\x7f\x7f\x7f\x7f" + seed("mp3")))
    listed = b"LIST" + struct.pack("<I", 5_000_004) + b"INFO" + b"ICMT\0\0\0\0" * 625_000
    yield Case("beside-625000-comments-in-wav", "a.wav", holding(wav(bytes(32_000), before=listed)), "read")


def _covered(width: int, height: int, size: int) -> bytes:
    """Return a second of silence with a cover of that size, of which the file holds `size` bytes."""
    track = sound_track(1, b"A_PCM/INT/LIT", 16_000, 1, 16)
    cover = _cover(png(width, height, bytes(size)))
    return matroska([track], [(0, block(1, bytes(32_000)))], further=cover)


def _cover(picture: bytes) -> bytes:
    attached = element(0x466E, b"cover.png") + element(0x4660, b"image/png") + element(0x465C, picture)
    return element(0x1941A469, element(0x61A7, attached + element(0x46AE, 7)))


def _nested(depth: int) -> bytes:
    content = element(made.TAG_NAME, b"NAME")
    for _ in range(depth):
        content = element(made.SIMPLE_TAG, content)
    return content
