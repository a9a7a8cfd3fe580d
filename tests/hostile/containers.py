"""Numbers -> bytes of containers that no muxer would write: boxes of mp4, elements of Matroska, chunks of RIFF."""

import struct
import zlib
from collections.abc import Sequence

HUGE = 0xFFFFFFFF


def box(kind: bytes, payload: bytes, size: int | None = None) -> bytes:
    """Return a box of mp4; `size` replaces the true one."""
    return struct.pack(">I4s", len(payload) + 8 if size is None else size, kind) + payload


def patched(content: bytes, marker: bytes, offset: int, new: bytes, which: int = 0) -> bytes:
    """Return the content with bytes replaced, counted from the n-th place of a marker.

    Raises:
        ValueError: the marker is not there so often.
    """
    place = -1
    for _ in range(which + 1):
        place = content.index(marker, place + 1)
    return content[: place + offset] + new + content[place + offset + len(new) :]


def with_index_first(mp4: bytes) -> bytes:
    """Move the moov box before the mdat box, as web servers want it, and correct its chunk offsets."""
    boxes: dict[bytes, bytes] = {}
    position = 0
    while position < len(mp4):
        size = int.from_bytes(mp4[position : position + 4], "big")
        boxes[mp4[position + 4 : position + 8]] = mp4[position : position + size]
        position += size
    moov = bytearray(boxes[b"moov"])
    table = moov.find(b"stco")
    while table >= 0:
        count = int.from_bytes(moov[table + 8 : table + 12], "big")
        for entry in range(table + 12, table + 12 + 4 * count, 4):
            moved = int.from_bytes(moov[entry : entry + 4], "big") + len(moov)
            moov[entry : entry + 4] = moved.to_bytes(4, "big")
        table = moov.find(b"stco", table + 4)
    return boxes[b"ftyp"] + bytes(moov) + boxes.get(b"free", b"") + boxes[b"mdat"]


def chunk(kind: bytes, payload: bytes, size: int | None = None) -> bytes:
    """Return a chunk of RIFF, padded to even length; `size` replaces the true one."""
    return kind + struct.pack("<I", len(payload) if size is None else size) + payload + bytes(len(payload) % 2)


def wav(
    data: bytes,
    *,
    code: int = 1,
    channels: int = 1,
    rate: int = 16_000,
    bits: int = 16,
    riff_size: int | None = None,
    data_size: int | None = None,
    fmt_size: int | None = None,
    before: bytes = b"",
) -> bytes:
    """Return a wav file around raw samples; the sizes declared may be wrong.

    Args:
        data: the samples.
        code: of the format: 1 integers, 3 floats, 6 a-law, 7 mu-law.
        channels: how many.
        rate: Hz.
        bits: of a sample.
        riff_size: instead of the true one.
        data_size: instead of the true one.
        fmt_size: instead of the true one.
        before: chunks between fmt and data.
    """
    bytes_per_frame = channels * bits // 8
    byte_rate, align = (rate * bytes_per_frame) & HUGE, bytes_per_frame & 0xFFFF
    fmt = struct.pack("<HHIIHH", code, channels, rate, byte_rate, align, bits)
    body = b"WAVE" + chunk(b"fmt ", fmt, fmt_size) + before + chunk(b"data", data, data_size)
    return chunk(b"RIFF", body, riff_size)


UNKNOWN_SIZE = b"\x01\xff\xff\xff\xff\xff\xff\xff"


def element(identity: int, payload: bytes | int | float, size: bytes | None = None) -> bytes:
    """Return an element of Matroska; a number becomes an unsigned integer or a float; `size` replaces the true one."""
    if isinstance(payload, float):
        payload = struct.pack(">d", payload)
    elif isinstance(payload, int):
        payload = payload.to_bytes(max(1, (payload.bit_length() + 7) // 8), "big")
    name = identity.to_bytes((identity.bit_length() + 7) // 8, "big")
    return name + (struct.pack(">Q", len(payload) | 1 << 56) if size is None else size) + payload


EBML, SEGMENT, INFO, TRACKS, TRACK, CLUSTER = 0x1A45DFA3, 0x18538067, 0x1549A966, 0x1654AE6B, 0xAE, 0x1F43B675
DOC_TYPE, TIMECODE_SCALE, DURATION, CLUSTER_TIME, SIMPLE_BLOCK = 0x4282, 0x2AD7B1, 0x4489, 0xE7, 0xA3
NUMBER, IDENTITY, KIND, CODEC, PRIVATE, DEFAULT_DURATION = 0xD7, 0x73C5, 0x83, 0x86, 0x63A2, 0x23E383
VIDEO, WIDTH, HEIGHT, SOUND, RATE, CHANNELS, BITS = 0xE0, 0xB0, 0xBA, 0xE1, 0xB5, 0x9F, 0x6264
CHAPTERS, EDITION, CHAPTER, CHAPTER_ID, CHAPTER_START, TAGS, TAG, SIMPLE_TAG = (
    0x1043A770,
    0x45B9,
    0xB6,
    0x73C4,
    0x91,
    0x1254C367,
    0x7373,
    0x67C8,
)
TAG_NAME, TAG_TEXT, TITLE = 0x45A3, 0x4487, 0x7BA9
MATROSKA = element(EBML, element(DOC_TYPE, b"matroska"))


def picture_track(number: int, codec: bytes, width: int, height: int, extra: bytes = b"") -> bytes:
    """Return a track of pictures; `extra` are further elements of it."""
    size = element(VIDEO, element(WIDTH, width) + element(HEIGHT, height))
    head = element(NUMBER, number) + element(IDENTITY, number) + element(KIND, 1) + element(CODEC, codec)
    return element(TRACK, head + size + extra)


def sound_track(number: int, codec: bytes, rate: float, channels: int, bits: int) -> bytes:
    """Return a track of sound."""
    form = element(SOUND, element(RATE, float(rate)) + element(CHANNELS, channels) + element(BITS, bits))
    head = element(NUMBER, number) + element(IDENTITY, number) + element(KIND, 2) + element(CODEC, codec)
    return element(TRACK, head + form)


def block(track: int, data: bytes, relative: int = 0) -> bytes:
    """Return a block that is a key frame."""
    return element(SIMPLE_BLOCK, struct.pack(">BhB", 0x80 | track, relative, 0x80) + data)


def matroska(
    tracks: Sequence[bytes],
    blocks: Sequence[tuple[int, bytes]],
    *,
    scale: int = 1_000_000,
    further: bytes = b"",
    duration: float | None = None,
    segment_size: bytes | None = None,
    cluster_size: bytes | None = None,
) -> bytes:
    """Return a Matroska file with one cluster for every block.

    Args:
        tracks: made by `picture_track` and `sound_track`.
        blocks: (time of the cluster, block).
        scale: nanoseconds of a unit of time.
        further: elements before the clusters.
        duration: declared, in units of time.
        segment_size: instead of the true one.
        cluster_size: instead of the true one, of every cluster.
    """
    length = b"" if duration is None else element(DURATION, duration)
    clusters = [element(CLUSTER, element(CLUSTER_TIME, time) + made, cluster_size) for time, made in blocks]
    info = element(INFO, element(TIMECODE_SCALE, scale) + length)
    body = info + element(TRACKS, b"".join(tracks)) + further + b"".join(clusters)
    return MATROSKA + element(SEGMENT, body, segment_size)


def png(width: int, height: int, scanlines: bytes, bit_depth: int = 8, colour: int = 0) -> bytes:
    """Return a PNG whose header may promise more than its lines hold."""

    def part(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, bit_depth, colour, 0, 0, 0)
    parts = part(b"IHDR", header) + part(b"IDAT", zlib.compress(scanlines, 9)) + part(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts
