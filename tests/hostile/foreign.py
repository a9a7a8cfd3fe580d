"""Files that are no recordings: playlists, other kinds, noise, no files at all; and recordings with odd names."""

import gzip
import io
import os
import struct
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np

from tests.hostile import containers as made
from tests.hostile.case import Case, Expected, Write, holding
from tests.hostile.containers import HUGE, MATROSKA, element, matroska, wav
from tests.hostile.damaged import seed_head
from tests.hostile.seeds import seed


def foreign_cases() -> Iterator[Case]:
    """Yield all cases of this file."""
    yield from _playlists()
    yield from _other_kinds()
    yield from _no_files()
    yield from _names()


def _playlists() -> Iterator[Case]:
    address = "http://127.0.0.1:9/secret.ts"
    dash = '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period><AdaptationSet>'
    for target, what in (("/etc/passwd", "file"), (address, "web"), ("concat:/etc/passwd|/etc/hosts", "protocol")):
        texts = {
            "m3u8": f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{target}\n#EXT-X-ENDLIST\n",
            "ffconcat": f"ffconcat version 1.0\nfile '{target}'\nduration 9\n",
            "mpd": dash
            + f'<Representation id="1"><BaseURL>{target}</BaseURL></Representation></AdaptationSet></Period></MPD>',
            "url": f"[InternetShortcut]\nURL={target}\n",
            "html": f'<html><video src="{target}"></video></html>',
            "svg": f'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><image href="{target}"/></svg>',
            "pls": f"[playlist]\nFile1={target}\nNumberOfEntries=1\n",
            "asx": f'<asx version="3.0"><entry><ref href="{target}"/></entry></asx>',
        }
        for kind, text in texts.items():
            yield Case(f"list-{kind}-to-{what}", f"list.{kind}", holding(text.encode()), "refused", "holds text")
    sdp = "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 9 RTP/AVP 0\n"
    yield Case("list-sdp", "a.sdp", holding(sdp.encode()), "refused", "holds text")
    script = 'import vapoursynth as vs\nopen("/tmp/emotrace-was-here", "w")\nvs.core.std.BlankClip().set_output()\n'
    yield Case("script-vapoursynth", "a.vpy", holding(script.encode()), "refused", "holds text")
    yield Case("script-avisynth", "a.avs", holding(b'AviSource("/etc/passwd")\n'), "refused", "holds text")
    yield Case("script-lavfi", "a.lavfi", holding(b"movie=/etc/passwd"), "refused", "holds text")
    yield Case("list-in-an-mp4-name", "a.mp4", holding(b"#EXTM3U\n#EXTINF:1,\n/etc/passwd\n"), "refused", "holds text")
    reference = element(made.TRACK, b"") + element(0x3E83BB, b"../../../etc/passwd\0")
    linked = matroska([reference], [])
    yield Case("matroska-linked-segment", "a.mkv", holding(linked), "refused")
    dref = made.box(b"dref", bytes(4) + struct.pack(">I", 1) + made.box(b"alis", bytes(4) + b"/etc/passwd\0" * 12))
    old = seed("mov")
    place = old.index(b"dref") - 4
    size = int.from_bytes(old[place : place + 4], "big")
    yield Case(
        "mov-data-elsewhere", "a.mov", holding(old[:place] + dref[: size - 8].ljust(size, b"\0") + old[place + size :])
    )


def _other_kinds() -> Iterator[Case]:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(zipfile.ZipInfo("a.mp4"), seed("mp4"))
    kinds: dict[str, bytes] = {
        "empty.mp4": b"",
        "one-byte.mp4": b"\0",
        "zip.mp4": archive.getvalue(),
        "gzip.mp4": gzip.compress(seed("mp4"), mtime=0),
        "tar.mp4": b"a.mp4".ljust(100, b"\0") + b"0000644\0" * 3 + b"00000001000\0" * 2 + bytes(376) + bytes(1024),
        "pdf.mp4": b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n" + b"\xff" * 99,
        "elf.mp4": b"\x7fELF\2\1\1" + bytes(9) + struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, 0, 64, *[0] * 8),
        "exe.avi": b"MZ" + bytes(58) + b"\x80\0\0\0" + b"\x0e\x1f\xba" + bytes(300) + b"PE\0\0" + bytes(400),
        "sqlite.mkv": b"SQLite format 3\0" + bytes(4080),
        "pickle.wav": b"\x80\x04\x95\x10\0\0\0\0\0\0\0\x8c\x05posix\x94\x8c\x06system\x94\x93\x94.",
        "zeros.mp4": bytes(100_000),
        "ones.mp4": b"\xff" * 100_000,
        "mpeg-start-codes.mpg": b"\0\0\1\xba" * 20_000,
        "sync-bytes.ts": (b"G" + bytes(187)) * 500,
        "sync-words.mp3": b"\xff\xfb\x90\x00" * 20_000,
        "adts-words.aac": b"\xff\xf1\x50\x80\x00\x1f\xfc" * 5000,
        "text.mp4": "Kein Video, sondern Text mit Umlauten: äöü.\n".encode() * 50,
        "json.mp4": b'{"format": "emotrace"}' * 100,
        "utf-16.mp4": "only text".encode("utf-16") * 100,
        "srt.srt": b"1\n00:00:00,000 --> 00:00:02,000\nhello\n\n" * 100,
        "edl.edl": b"TITLE: x\n001 AX V C 00:00:00:00 00:00:01:00 00:00:00:00 00:00:01:00\n",
        "midi.mid": b"MThd\0\0\0\6\0\1\0\1\0\x60MTrk\0\0\0\4\0\xff\x2f\0",
        "webp.webp": b"RIFF\x1a\0\0\0WEBPVP8L\x0d\0\0\0\x2f" + bytes(12),
        "flac-head-only.flac": b"fLaC\x80\0\0\x22" + bytes(34),
        "ogg-pages-of-nothing.ogg": (b"OggS\0\2" + bytes(20) + b"\1\0") * 2000,
        "ogg-last-page-at-the-end-of-time.ogg": seed("ogg")[:-200] + b"OggS\0\4" + b"\xff" * 7 + b"\x7f" + bytes(14),
        "caf-of-4-eb.caf": b"caff\0\1\0\0desc" + struct.pack(">QdIIIIII", 32, 8000.0, 0x6C70636D, 0, 2, 1, 1, 16)
        + b"data" + struct.pack(">q", 2**62) + bytes(4000),
        "au-of-nothing.au": b".snd" + struct.pack(">IIIII", 24, HUGE, 3, HUGE, HUGE) + bytes(100),
        "aiff-of-huge-rate.aiff":
        b"FORM\0\0\0\x60AIFFCOMM\0\0\0\x12\0\1\0\0\0\x10\0\x10\x7f\xff" + b"\xff" * 8 + b"SSND"
        + struct.pack(">III", 72, 0, 0) + bytes(64),
        "ivf-of-65535.ivf": b"DKIF\0\0\x20\0VP80" + struct.pack("<HHIIII", 65_535, 65_535, 1, 1, 9, 0)
        + struct.pack("<IQ", 12, 0) + b"\x10\0\0\x9d\x01\x2a\xff\x3f\xff\x3f\0\0",
        "gif-of-65535.gif": b"GIF89a" + b"\xff" * 4 + b"\x80\0\0" + bytes(6) + b"\x2c" + bytes(4) + b"\xff" * 4
        + b"\0\2\2\x4c\1\0\x3b",
        "flv-of-nothing.flv": b"FLV\1\5\0\0\0\x09" + (bytes(4) + b"\x09\0\0\0" + bytes(7)) * 5000,
    }  # fmt: skip
    for name, content in kinds.items():
        certain = name.startswith(
            ("empty", "zip", "gzip", "pdf", "elf", "exe", "sqlite", "pickle", "text", "json", "srt")
        )
        yield Case(f"no-media-{name}".replace(".", "-"), name, holding(content), "refused" if certain else "either")
    heads = (
        *(b"", seed_head(b""), b"RIFF\xff\xff\xff\xffWAVE", b"RIFF\xff\xff\xff\xffAVI ", MATROSKA, b"fLaC", b"OggS\0"),
        *(b"FLV\1\5\0\0\0\x09", b"G", b"\0\0\1\xba", b"ID3\4\0\0\x7f\x7f\x7f\x7f", b"\0\0\0\1\x67"),
    )
    for number, head in enumerate(heads):
        noise = np.random.default_rng(100 + number).bytes(20_000)
        yield Case(f"noise-{number}", "noise.mp4", holding(head + noise))


def _no_files() -> Iterator[Case]:
    special: dict[str, tuple[str, Write, Expected, str]] = {
        "folder": ("folder.mp4", lambda path: path.mkdir(exist_ok=True), "refused", "is a folder"),
        "link-to-itself": ("self.mp4", lambda path: path.symlink_to(path), "refused", ""),
        "broken-link": ("broken.mp4", lambda path: path.symlink_to("nowhere.mp4"), "refused", "does not exist"),
        "pipe": ("pipe.mp4", os.mkfifo, "refused", "is not a file"),
        "link-to-zeros": ("zeros.mp4", lambda path: path.symlink_to("/dev/zero"), "refused", "is not a file"),
        "link-to-the-terminal": ("tty.mp4", lambda path: path.symlink_to("/dev/tty"), "refused", ""),
        "link-to-a-folder": ("link.mp4", lambda path: path.symlink_to("/"), "refused", "is a folder"),
        "link-to-a-recording": ("link.mp4", _linked, "read", ""),
        "sparse-4-gb": ("sparse.mp4", _sparse, "refused", ""),
        "sparse-4-gb-after-a-head": ("sparse.mp4", _sparse_mp4, "either", ""),
        "growing": ("growing.wav", _growing, "read", ""),
        "not-there": ("gone.mp4", lambda path: None, "refused", "does not exist"),
    }
    for name, (file_name, write, expected, told) in special.items():
        yield Case(name, file_name, write, expected, told)
    forbidden: Expected = "read" if os.geteuid() == 0 else "refused"  # the superuser may read everything
    yield Case("without-permission", "secret.mp4", _forbidden, forbidden, "" if forbidden == "read" else "Permission")


def _linked(path: Path) -> None:
    target = path.with_name("target.bin")
    target.write_bytes(seed("mp4"))
    path.symlink_to(target)


def _sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(4 << 30)


def _sparse_mp4(path: Path) -> None:
    with path.open("wb") as file:
        file.write(seed_head(made.box(b"mdat", b"", 1) + struct.pack(">Q", 4 << 30)))
        file.truncate(4 << 30)


def _growing(path: Path) -> None:
    """Write a wav of unknown length to which half a minute of sound is added within three seconds."""
    path.write_bytes(wav(bytes(16_000), riff_size=HUGE, data_size=HUGE))

    def grow() -> None:
        for _ in range(60):
            with suppress(FileNotFoundError), path.open("ab") as file:  # the folder may be gone by then
                file.write(bytes(16_000))
            time.sleep(0.05)

    threading.Thread(target=grow, daemon=True).start()


def _forbidden(path: Path) -> None:
    path.write_bytes(seed("mp4"))
    path.chmod(0)


def _names() -> Iterator[Case]:
    names = {
        "line-break": "two\nlines.mp4",
        "quotes": 'it\'s "quoted" `here` $(touch x).mp4',
        "pattern": "img%03d.mp4",
        "glob": "[a-z]*?.mp4",
        "unicode": "Gesprächsaufnahme 談話 😀 \u202e4pm.mp4",
        "dash": "--help.mp4",
        "long": "x" * 240 + ".mp4",
        "protocol": "concat:a|b.mp4",
        "http": "http:..example.mp4",
        "dots": "...mp4",
        "blank": " .mp4 ",
        "escape": "red\x1b[31m\x1b[2J.mp4",
        "not-utf-8": os.fsdecode(b"caf\xe9.mp4"),
        "markup": "<script>alert(1)</script>".replace("/", "\u2215") + ".mp4",
    }
    for name, file_name in names.items():
        yield Case(f"name-{name}", file_name, holding(lambda: seed("mp4")), "read")
        yield Case(f"name-{name}-of-text", file_name, holding(b"no media"), "refused", "holds text")
