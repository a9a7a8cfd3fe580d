"""Whole recordings that few programs expect: of odd size, rate, depth, colour, order of time, number of streams."""

import struct
from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import cache, partial
from typing import Any

from tests.hostile import containers as made
from tests.hostile.case import Case, Expected, holding
from tests.hostile.containers import block, element, matroska, patched, picture_track, png, sound_track
from tests.hostile.seeds import Heard, Seen, recorded, seed

_FEW = tuple(index / 25 for index in range(6))


def odd_cases() -> Iterator[Case]:
    """Yield all cases of this file."""
    yield from _sizes()
    yield from _colours()
    yield from _turned()
    yield from _rates()
    yield from _times()
    yield from _tracks()


def _case(
    name: str, suffix: str, seen: list[Seen], heard: list[Heard], expected: Expected = "read", **judged: Any
) -> Case:
    return Case(name, f"odd{suffix}", holding(lambda: recorded(suffix, seen, heard)), expected, **judged)


def _sizes() -> Iterator[Case]:
    for width, height in ((1, 1), (2, 2), (3, 1), (1, 99), (17, 13), (641, 3), (7680, 8), (8, 7680)):
        still = Seen("png", "rgb24", width, height, _FEW)
        yield _case(f"pictures-of-{width}x{height}", ".mov", [still], [])
    large: dict[str, Any] = {"noise": 0, "width": 8192, "height": 4320, "times": (0.0, 0.04)}
    yield _case("still-8192x4320-jpeg", ".mov", [Seen("mjpeg", "yuvj420p", **large)], [])
    yield _case("still-8192x4320-h264", ".mp4", [Seen(**large)], [])
    yield _case("still-8192x4320-16-bit", ".mov", [Seen("png", "rgb48be", **{**large, "times": (0.0,)})], [])
    yield _case("too-wide-jpeg", ".mov", [Seen("mjpeg", "yuvj420p", 8194, 16, (0.0,))], [], "refused", told="8194x16")
    yield _case("aspect-1000-to-1", ".mp4", [Seen(set_up={"sample_aspect_ratio": Fraction(1000, 1)})], [])
    yield _case("aspect-1-to-1000", ".mkv", [Seen(set_up={"sample_aspect_ratio": Fraction(1, 1000)})], [])
    for width, height in ((65_535, 65_535), (16_384, 16_384), (2**40, 2**40), (0, 0)):
        track = picture_track(1, b"V_MJPEG", width, height)
        blocks = [(40 * number, block(1, jpeg())) for number in range(5)]
        yield Case(f"declared-{width}x{height}-mkv", "a.mkv", holding(matroska([track], blocks)))
    raw = element(0x2EB524, b"I420")
    for width, height in ((65_535, 65_535), (8192, 4352)):
        track = picture_track(1, b"V_UNCOMPRESSED", width, height)
        track = element(made.TRACK, track[9:] + element(made.VIDEO, raw))
        yield Case(f"raw-{width}x{height}-of-9-bytes", "a.mkv", holding(matroska([track], [(0, block(1, bytes(9)))])))
    for side in (65_535, 20_000, 2**31 - 1):
        track = picture_track(1, b"V_MS/VFW/FOURCC", 64, 64, element(made.PRIVATE, _bitmap(b"MPNG", 64)))
        picture = png(side, side, bytes(1000))
        blocks = [(40 * number, block(1, picture)) for number in range(5)]
        yield Case(f"png-of-{side}-in-64-mkv", "a.mkv", holding(matroska([track], blocks)))
    huge_jpeg = patched(jpeg(), b"\xff\xc0", 5, struct.pack(">HH", 65_500, 65_500))
    yield Case("jpeg-of-65500-in-mkv", "a.mkv", holding(jpegs([(0, huge_jpeg)] * 5)))
    yield Case("jpeg-of-65500-alone", "a.mjpeg", holding(huge_jpeg * 5))


@cache
def jpeg(width: int = 96, height: int = 64, bright_corner: bool = False) -> bytes:
    """Return a picture, with its upper left quarter bright and the rest black where that is asked for."""
    content = recorded(".mov", [Seen("mjpeg", "yuvj420p", width, height, (0.0,), bright_corner=bright_corner)])
    start = content.index(b"\xff\xd8\xff")
    return content[start : content.index(b"\xff\xd9", start) + 2]


def jpegs(pictures: list[tuple[int, bytes]], scale: int = 1_000_000, duration: float | None = None) -> bytes:
    """Return a Matroska file of JPEG pictures at these units of time."""
    blocks = [(time, block(1, data)) for time, data in pictures]
    return matroska([picture_track(1, b"V_MJPEG", 96, 64)], blocks, scale=scale, duration=duration)


def _bitmap(codec: bytes, side: int) -> bytes:
    return struct.pack("<IiiHH4sIiiII", 40, side, side, 1, 24, codec, 0, 0, 0, 0, 0)


def _colours() -> Iterator[Case]:
    hdr = {"color_primaries": 9, "color_trc": 16, "colorspace": 9, "color_range": 1}
    coded: dict[str, tuple[str, Seen]] = {
        "10-bit": (".mp4", Seen("libx265", "yuv420p10le", times=_FEW)),
        "12-bit": (".mp4", Seen("libx265", "yuv420p12le", times=_FEW)),
        "hdr-pq": (".mp4", Seen("libx265", "yuv420p10le", times=_FEW, set_up=hdr)),
        "hdr-hlg": (".mkv", Seen("libx265", "yuv420p10le", times=_FEW, set_up={**hdr, "color_trc": 18})),
        "444": (".mp4", Seen("libx264", "yuv444p", times=_FEW)),
        "rgb-h264": (".mp4", Seen("libx264rgb", "rgb24", times=_FEW)),
        "full-range": (".mp4", Seen(times=_FEW, set_up={"color_range": 2})),
    }
    lossless = (
        "yuv422p yuv411p yuv410p yuv440p yuv444p16le yuva420p yuva444p16le gray gray10le gray16le gbrp10le gbrp16le "
        "gbrap16le bgra rgb48le"
    )
    for pixel_format in lossless.split():
        coded[f"ffv1-{pixel_format}"] = (".mkv", Seen("ffv1", pixel_format, times=_FEW))
    for codec, pixel_format in (
        ("png", "monob"),
        ("png", "rgba64be"),
        ("rawvideo", "yuyv422"),
        ("rawvideo", "rgb24"),
        ("rawvideo", "gray"),
        ("v210", "yuv422p10le"),
        ("prores_ks", "yuva444p10le"),
        ("dnxhd", "yuv422p"),
        ("mpeg4", "yuv420p"),
        ("qtrle", "argb"),
        ("gif", "bgr8"),
        ("jpeg2000", "gray16le"),
        ("tiff", "rgba"),
        ("targa", "bgr24"),
        ("sgi", "rgb48be"),
    ):
        options = {"profile": "dnxhr_hq"} if codec == "dnxhd" else {}
        wide = (256, 120) if codec == "dnxhd" else (96, 64)
        coded[f"{codec}-{pixel_format}"] = (".mov", Seen(codec, pixel_format, *wide, times=_FEW, options=options))
    for pixel_format in ("bgr4", "rgb4"):  # FFmpeg can decode these and cannot convert them
        coded[f"raw-{pixel_format}"] = (".nut", Seen("rawvideo", pixel_format, times=_FEW))
    beside = Seen("rawvideo", "bgr4", times=_FEW)
    yield _case("colours-raw-bgr4-with-sound", ".nut", [beside], [Heard("pcm_s16le", 16_000)], told="unconvertible")
    for name, (suffix, seen) in coded.items():
        yield _case(f"colours-{name}", suffix, [seen], [], "refused" if name.startswith("raw-") else "read")


def _turned() -> Iterator[Case]:
    for degrees in (90, 180, 270, 45, 359, -1):
        yield _case(f"rotated-by-{degrees}", ".mp4", [Seen(times=_FEW, rotation=degrees)], [])
    turns = {"mirrored": (-1, 0, 0, 1), "of-zeros": (0, 0, 0, 0), "scaled": (1000, 0, 0, 1000), "sheared": (1, 1, 1, 1)}
    for what, (a, b, c, d) in turns.items():
        matrix = struct.pack(">9i", a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)
        yield Case(f"matrix-{what}", "a.mp4", holding(partial(_with_matrix, matrix)), "read")
    for order in ("tff", "bff"):
        options = {"x264-params": f"{order}=1"}
        yield _case(f"interlaced-{order}", ".ts", [Seen(options=options)], [Heard()])
    yield _case("interlaced-mpeg2", ".mpg", [Seen("mpeg2video", ticks=0, options={"flags": "+ildct+ilme"})], [])
    yield Case("size-changes-in-the-middle", "a.mkv", holding(lambda: jpegs(_growing_pictures())), "read")
    colours = [(0, jpeg()), (40, _coloured("yuvj444p")), (80, _coloured("yuvj422p")), (120, jpeg())]
    yield Case("colour-format-changes-in-the-middle", "a.mkv", holding(jpegs(colours)), "read")
    yield Case("resolution-changes-in-a-stream", "a.h264", holding(_two_resolutions), "read")


def _with_matrix(matrix: bytes) -> bytes:
    return patched(seed("mp4"), b"tkhd", 44, matrix)


def _growing_pictures() -> list[tuple[int, bytes]]:
    sizes = ((96, 64), (16, 16), (640, 480), (8, 1024), (96, 64))
    return [(40 * number, jpeg(*size)) for number, size in enumerate(sizes)]


@cache
def _coloured(pixel_format: str) -> bytes:
    content = recorded(".mov", [Seen("mjpeg", pixel_format, times=(0.0,))])
    start = content.index(b"\xff\xd8\xff")
    return content[start : content.index(b"\xff\xd9", start) + 2]


def _two_resolutions() -> bytes:
    return seed("h264") + recorded(".h264", [Seen(width=160, height=120)]) + seed("h264")


def _rates() -> Iterator[Case]:
    microseconds = [(number, jpeg()) for number in range(200)]
    yield Case("million-fps", "a.mkv", holding(lambda: jpegs(microseconds, 1000)), "read")
    yield Case("billion-fps", "a.mkv", holding(lambda: jpegs(microseconds, 1)), "read")
    slow = [(100_000 * number, jpeg()) for number in range(5)]
    yield Case("hundredth-fps", "a.mkv", holding(lambda: jpegs(slow)), "read", longest_seconds=411)
    yield _case("one-picture", ".mp4", [Seen(times=(0.0,))], [])
    yield _case("one-picture-and-sound", ".mp4", [Seen(times=(0.0,))], [Heard()])
    yield _case("uneven-rate", ".mkv", [Seen(times=(0.0, 0.01, 0.5, 0.51, 0.52, 2.0, 9.0, 9.001))], [Heard()])
    stuck = [(number % 3, jpeg()) for number in range(3000)]
    yield Case("pictures-on-three-times", "a.mkv", holding(lambda: jpegs(stuck)), "read", "out-of-order")


_DAY_MS = 24 * 3600 * 1000


def _times() -> Iterator[Case]:
    small = jpeg()
    timed: dict[str, tuple[list[int], str]] = {
        "back-and-forth": ([0, 40, 80, 40, 0, 120, 160], "out-of-order"),
        "backwards": ([200, 160, 120, 80, 40, 0], "out-of-order"),
        "all-equal": ([500] * 10, "out-of-order"),
        "jump-by-a-day": ([0, 40, _DAY_MS - 1000, _DAY_MS], "absurdly"),
        "jump-by-years": ([0, 40, 400 * _DAY_MS, 400 * _DAY_MS + 40], "absurdly"),
        "jump-by-a-quarter-of-an-hour": ([900_000 * number for number in range(50)], "absurdly"),
        "steps-of-a-minute-for-days": ([59_000 * number for number in range(5000)], "absurdly"),
        "to-the-end-of-time": ([0, 40, 2**62, 2**63 - 1], ""),
        "from-the-end-of-time": ([2**62, 2**62 + 40, 0, 40], ""),
        "from-a-year-on": ([365 * _DAY_MS + 40 * number for number in range(9)], ""),
    }
    for name, (times, told) in timed.items():
        tiny = grey_dots(times) if len(times) > 1000 else jpegs([(time, small) for time in times])
        yield Case(f"times-{name}", "a.mkv", holding(tiny), "read", told, 1900)
    negative = [(0, block(1, small, relative)) for relative in (-2000, -1000, 0, 40)]
    yield Case("times-negative", "a.mkv", holding(matroska([picture_track(1, b"V_MJPEG", 96, 64)], negative)), "read")
    mixed = [(0, block(1, small)), (0, block(2, bytes(3200))), (_DAY_MS * 3, block(2, bytes(3200)))]
    mixed += [(40, block(1, small)), (100, block(2, bytes(3200)))]
    tracks = [picture_track(1, b"V_MJPEG", 96, 64), sound_track(2, b"A_PCM/INT/LIT", 16_000, 1, 16)]
    yield Case("times-of-sound-jump-by-days", "a.mkv", holding(matroska(tracks, mixed)), "read", "absurdly")
    hourly = [(900_000 * number, block(1, bytes(3200))) for number in range(50)]
    alone = [sound_track(1, b"A_PCM/INT/LIT", 16_000, 1, 16)]
    yield Case(
        "times-of-sound-jump-by-a-quarter-of-an-hour",
        "a.mkv",
        holding(matroska(alone, hourly)),
        "read",
        "absurdly",
        1900,
    )
    yield Case("no-times-h264", "a.h264", holding(lambda: seed("h264")), "read")
    yield Case("no-times-mjpeg", "a.mjpeg", holding(small * 30), "read")
    yield Case("declares-ages", "a.mkv", holding(jpegs([(0, small), (40, small)], duration=1e18)), "read")
    yield _case(
        "sound-25-minutes-late",
        ".mkv",
        [Seen()],
        [Heard("pcm_s16le", 16_000, start_seconds=1500.0)],
        longest_seconds=1600.0,
    )
    yield _case("starts-late", ".ts", [Seen(times=[90.0 + time for time in _FEW])], [Heard(start_seconds=90.0)])


def grey_dots(times: Sequence[int], tracks: Sequence[bytes] = (), blocks: Sequence[tuple[int, bytes]] = ()) -> bytes:
    """Return the smallest pictures there are, one byte each, at these milliseconds; further tracks beside them."""
    raw = element(made.VIDEO, element(made.WIDTH, 1) + element(made.HEIGHT, 1) + element(0x2EB524, b"Y800"))
    head = element(made.NUMBER, 1) + element(made.IDENTITY, 1) + element(made.KIND, 1)
    track = element(made.TRACK, head + element(made.CODEC, b"V_UNCOMPRESSED") + raw)
    dots = [(time, block(1, b"\x55")) for time in times]
    return matroska([track, *tracks], sorted([*dots, *blocks]) if blocks else dots)


def _tracks() -> Iterator[Case]:
    small = jpeg()
    subtitle = element(
        made.TRACK,
        element(made.NUMBER, 1)
        + element(made.IDENTITY, 1)
        + element(made.KIND, 17)
        + element(made.CODEC, b"S_TEXT/UTF8"),
    )
    lines = [(1000 * number, block(1, b"a line")) for number in range(5)]
    yield Case("subtitles-alone", "a.mkv", holding(matroska([subtitle], lines)), "refused", "no sound and no video")
    unknown = element(made.TRACK, element(made.NUMBER, 1) + element(made.IDENTITY, 1) + element(made.KIND, 99))
    yield Case("data-alone", "a.mkv", holding(matroska([unknown], lines)), "refused")
    yield Case("no-tracks", "a.mkv", holding(matroska([], lines)), "refused")
    picture, sound = picture_track(1, b"V_MJPEG", 96, 64), sound_track(2, b"A_PCM/INT/LIT", 16_000, 1, 16)
    yield Case("tracks-without-media", "a.mkv", holding(matroska([picture, sound], [])), "refused")
    yield Case(
        "pictures-track-empty",
        "a.mkv",
        holding(matroska([picture, sound], [(0, block(2, bytes(9600)))])),
        "read",
        "no picture could be decoded",
    )
    yield Case(
        "sound-track-empty",
        "a.mkv",
        holding(matroska([picture, sound], [(0, block(1, small))])),
        "read",
        "no sound could be decoded",
    )
    yield Case(
        "empty-packets", "a.mkv", holding(matroska([sound], [(9 * n, block(2, b"")) for n in range(50)])), "refused"
    )
    strange = [(0, block(77, small)), (0, block(1, small))]
    yield Case("blocks-of-a-track-that-is-not-there", "a.mkv", holding(matroska([picture], strange)), "read")
    same = matroska([picture, picture_track(1, b"V_MJPEG", 640, 480)], [(0, block(1, small))])
    yield Case("two-tracks-of-one-number", "a.mkv", holding(same))
    many = [sound_track(number, b"A_PCM/INT/LIT", 16_000, 1, 16) for number in range(1, 51)]
    blocks = [(0, block(number, bytes(9600))) for number in range(1, 51)]
    yield Case("sound-tracks-50", "a.mkv", holding(matroska(many, blocks)), "read")
    crowd = [sound_track(number, b"A_AAC", 48_000, 2, 16) for number in range(1, 127)]
    crowd += [picture_track(number, b"V_MPEG4/ISO/AVC", 96, 64) for number in range(1, 127)] * 20
    yield Case("tracks-2600", "a.mkv", holding(matroska(crowd, blocks)))
    yield Case(
        "codec-that-nobody-knows", "a.mkv", holding(matroska([picture_track(1, b"V_SECRET", 9, 9)], strange)), "refused"
    )
    yield _case("two-pictures-tracks", ".mkv", [Seen(times=_FEW), Seen(times=_FEW, width=160, height=90)], [Heard()])
    yield Case("cover-art-alone", "a.m4a", holding(_cover_alone), "refused")
    yield Case("still-jpeg", "a.jpg", holding(small))
    yield Case("still-png", "a.png", holding(png(64, 64, bytes(65 * 64))))


def _cover_alone() -> bytes:
    """Return an ID3 tag with a picture and no sound behind it."""
    picture = b"\0image/jpeg\0\3\0" + jpeg()
    frame = b"APIC" + struct.pack(">IH", len(picture), 0) + picture
    return b"ID3\3\0\0" + bytes((len(frame) >> shift) & 127 for shift in (21, 14, 7, 0)) + frame
