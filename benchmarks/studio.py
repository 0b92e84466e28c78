"""The local page's live answers: rate and latency over the WebSocket that the page uses.

The server runs in a separate process, started by the command with the embedded start. A client sends JPEGs like the
page does, fifteen per second, whether or not they are answered. The results are compared with the targets for two
cores.
"""

import http.client
import re
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from benchmarks.measure import REPEATS, Comparison, Spread
from benchmarks.recognize import OBJECTS, TAKEN, VIDEOS
from data_prep.video import encode_jpeg
from groundwork.randomness import keyed_rng
from groundwork.strict_json import parse_json
from orbit_lite.models.choice import EMBEDDED_START, ModelChoice
from orbit_lite.personal.file import save_personal
from orbit_lite.personal.recognizer import SupportSet, TaughtVideo
from orbit_lite.personal.teaching.teach import teach_features

LEAST_RATE, MOST_MS = 10.0, 250.0  # the targets for two cores with the embedded start
_PATIENCE_S = 300.0
_SHARE = 0.95  # of the answers must arrive within MOST_MS
_ADDRESS = re.compile(r"http://127\.0\.0\.1:(\d+)/\?token=(\S+)")


@dataclass(frozen=True)
class Workload:
    """How long, how often and in which size frames are sent, and the recognizer's start."""

    seconds: float = 20.0
    fps: float = 15.0
    side_px: int = 224
    start: ModelChoice = EMBEDDED_START


@dataclass(frozen=True)
class Answered:
    """The answers per second, and the 95th percentile and median of their latency in milliseconds."""

    rate: float
    late_ms: float
    median_ms: float
    dropped: int


def run(size: Workload = Workload(), *, repeats: int = REPEATS) -> list[Comparison]:
    """Compare answers per second and latency with their targets."""
    with tempfile.TemporaryDirectory() as name, _served(Path(name) / "study", size.start) as place:
        found = [_ask(place, size) for _ in range(repeats)]
    setting = f"{size.start.backbone}, {size.fps:g} frames of {size.side_px} px sent per second"
    threads = torch.get_num_threads()
    rates, late = Spread.of([one.rate for one in found]), Spread.of([one.late_ms for one in found])
    median, asked = Spread.of([one.median_ms for one in found]), Spread.of([MOST_MS])
    rate = Comparison(
        setting, "answers", "a second", threads, ("asked at least", Spread.of([LEAST_RATE])), ("page", rates)
    )
    most = Comparison(setting, "latency, 95 %", "ms", threads, ("asked at most", asked), ("page", late), at_most=1.0)
    half = Comparison(setting, "latency, median", "ms", threads, ("95 %, asked at most", asked), ("page", median))
    return [rate, most, half]


@contextmanager
def _served(root: Path, start: ModelChoice) -> Iterator[tuple[int, str]]:
    """Start the command on a study with one participant; yields its port and a valid cookie."""
    (root / "P01" / "results").mkdir(parents=True)
    _teach(root / "P01" / "results" / "P01.safetensors", start)
    command = [sys.executable, "-m", "orbit_lite", "studio", str(root), "--no-browser", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        found = _ADDRESS.search(process.stdout.readline() if process.stdout else "")
        if found is None:
            raise RuntimeError("the studio did not print its address")
        connection = http.client.HTTPConnection("127.0.0.1", int(found[1]))
        connection.request("GET", f"/?token={found[2]}")
        yield int(found[1]), (connection.getresponse().getheader("set-cookie") or "").split(";")[0]
    finally:
        process.kill()
        process.communicate()


def _teach(file: Path, start: ModelChoice) -> None:
    """Teach random features, which does not affect the speed."""
    recognizer, rng = start.load(), keyed_rng(0, "studio")
    frames = tuple(range(1, 30 * TAKEN, 30))
    parts = []
    for number in range(OBJECTS * VIDEOS):
        video = TaughtVideo(f"object {number // VIDEOS}", 30 * TAKEN, frames, str(number))
        near = np.eye(OBJECTS, recognizer.extractor.width)[number // VIDEOS] * 5
        features = near + rng.normal(size=(TAKEN, recognizer.extractor.width))
        parts.append((video, torch.from_numpy(features).float()))
    save_personal(file, teach_features(recognizer, "P01", SupportSet.of(parts), origin={}))


def _ask(place: tuple[int, str], size: Workload) -> Answered:
    port, cookie = place
    own = f"127.0.0.1:{port}"
    rng = keyed_rng(0, "frames")
    small = rng.integers(0, 256, (8, 14, 14, 3), dtype=np.uint8)
    jpegs = [encode_jpeg(np.kron(one, np.ones((size.side_px // 14, size.side_px // 14, 1), np.uint8))) for one in small]
    with connect(
        f"ws://{own}/p/P01/live", origin=Origin(f"http://{own}"), additional_headers={"Cookie": cookie}
    ) as socket:
        socket.send(struct.pack(">I", 0) + jpegs[0])
        socket.recv(timeout=_PATIENCE_S)  # wait until the recognizer is loaded
        sent: dict[int, float] = {}
        sender = threading.Thread(target=_send, args=(socket, jpegs, sent, size))
        sender.start()
        latencies, dropped = [], 0
        first_s = last_s = time.monotonic()
        while sender.is_alive():
            try:
                answer = parse_json(socket.recv(timeout=1.0))
            except TimeoutError:
                continue
            last_s = time.monotonic()
            latencies.append(1000 * (last_s - sent[answer["frame"]]))
            dropped = answer["dropped"]
        sender.join()
    rate = len(latencies) / max(last_s - first_s, 1e-9)
    return Answered(rate, float(np.quantile(latencies, _SHARE)), float(np.median(latencies)), dropped)


def _send(socket: ClientConnection, jpegs: list[bytes], sent: dict[int, float], size: Workload) -> None:
    begun_s = time.monotonic()
    for number in range(1, round(size.seconds * size.fps) + 1):
        time.sleep(max(0.0, begun_s + number / size.fps - time.monotonic()))
        sent[number] = time.monotonic()
        socket.send(struct.pack(">I", number) + jpegs[number % len(jpegs)])
