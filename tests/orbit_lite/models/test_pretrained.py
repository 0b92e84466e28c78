"""Pretrained weights from a server or from the cache, and fast errors without a network."""

import hashlib
import io
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import huggingface_hub
import pytest
import safetensors.torch
import torch
from huggingface_hub import constants

from groundwork.errors import UsageError
from orbit_lite.models import pretrained
from orbit_lite.models.extractor import build_extractor
from orbit_lite.models.pretrained import fetch_from_hub, fetch_from_url


class Files(BaseHTTPRequestHandler):
    """Serves `files` by path, with the headers that the hub's client needs."""

    files: dict[str, bytes]

    def do_HEAD(self) -> None:
        content = self.files.get(self.path)
        self.send_response(404 if content is None else 200)
        self.send_header("Content-Length", str(len(content or b"")))
        self.send_header("ETag", '"e1"')
        self.send_header("X-Repo-Commit", "0" * 40)
        self.end_headers()

    def do_GET(self) -> None:
        self.do_HEAD()
        self.wfile.write(self.files.get(self.path, b""))

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[tuple[str, dict[str, bytes]]]:
    """A local server's address and its files, with separate empty caches."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    content: dict[str, bytes] = {}
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Files,), {"files": content}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", content
    server.shutdown()
    server.server_close()


@pytest.fixture
def dead_address() -> str:
    """An address without a listener."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


def named_by_hash(content: bytes) -> str:
    return f"net-{hashlib.sha256(content).hexdigest()[:8]}.pth"


def test_a_url_is_fetched_once_and_then_found_in_the_cache(files: tuple[str, dict[str, bytes]]) -> None:
    address, content = files
    buffer = io.BytesIO()
    torch.save({"a": torch.ones(2)}, buffer)
    name = named_by_hash(buffer.getvalue())
    content[f"/{name}"] = buffer.getvalue()
    path = fetch_from_url(f"{address}/{name}")
    assert path.read_bytes() == buffer.getvalue()
    content.clear()
    assert fetch_from_url(f"{address}/{name}") == path


def test_a_file_that_is_not_what_its_name_says_is_refused(files: tuple[str, dict[str, bytes]]) -> None:
    address, content = files
    name = named_by_hash(b"right")
    content[f"/{name}"] = b"wrong"
    with pytest.raises(UsageError, match=r"could not fetch .*invalid hash"):
        fetch_from_url(f"{address}/{name}")
    content[f"/{name}"] = b"right"
    assert fetch_from_url(f"{address}/{name}").read_bytes() == b"right"  # nothing of the wrong file was kept


def test_a_hub_serves_a_timm_model_once(files: tuple[str, dict[str, bytes]], monkeypatch: pytest.MonkeyPatch) -> None:
    address, content = files
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(
        constants,
        "HUGGINGFACE_CO_URL_TEMPLATE",
        address + "/{repo_id}/resolve/{revision}/{filename}",
    )
    weights = safetensors.torch.save({"a": torch.ones(2)})
    content["/timm/some_net.tag/resolve/main/model.safetensors"] = weights
    assert fetch_from_hub("some_net.tag").read_bytes() == weights
    content.clear()
    assert fetch_from_hub("some_net.tag").read_bytes() == weights


def test_without_a_network_the_answer_is_quick_and_says_what_to_do(
    files: tuple[str, dict[str, bytes]], dead_address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", dead_address)
    # the hub's own client takes 46 s here, because it waits and retries
    monkeypatch.setattr(time, "sleep", lambda _: pytest.fail("waited"))
    with pytest.raises(UsageError, match=r"could not fetch .* timm's tf_efficientnet_b0\.aa_in1k .*--weights FILE"):
        build_extractor("efficientnet_b0", weights="pretrained")
    with pytest.raises(UsageError, match="--weights FILE"):
        fetch_from_url(f"{dead_address}/net-12345678.pth")


def test_a_host_that_never_answers_does_not_hang(
    files: tuple[str, dict[str, bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pretrained, "PROBE_TIMEOUT_S", 0.3)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda *_: pytest.fail("asked with the hub's patience"))
        with pytest.raises(UsageError, match="timed out"):
            fetch_from_hub("some_net.tag")


def test_hub_offline_is_honoured(files: tuple[str, dict[str, bytes]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(UsageError, match="HF_HUB_OFFLINE is set"):
        fetch_from_hub("some_net.tag")
