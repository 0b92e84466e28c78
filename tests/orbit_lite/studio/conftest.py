"""A running server on a study's folder, used over real connections, and drawn videos for it."""

import http.client
import json
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest

from orbit_lite.models.choice import ModelChoice
from orbit_lite.studio.receiving import Limits
from orbit_lite.studio.server import Address, listening, make_server
from orbit_lite.studio.studio import Studio
from orbit_lite.studio.study import Study
from orbit_lite.studio.teaching import Teacher

TINY = Teacher(ModelChoice("protonets", "tiny", "random"), workers=1)
LIMITS = Limits()
PATIENCE_S = 120.0  # on a busy machine


@dataclass
class Client:
    """A browser without scripts, which keeps the cookie and sends the origin of a form."""

    address: Address
    root: Path
    studio: Studio
    cookie: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    def ask(self, method, place, body=None, **headers):
        """Status, headers and text of one response. A header that is None is not sent."""
        connection = http.client.HTTPConnection("127.0.0.1", self.address.port, timeout=PATIENCE_S)
        own = f"127.0.0.1:{self.address.port}"
        sent = {"Host": own, "Cookie": self.cookie or None}
        if method != "GET":
            sent["Origin"] = f"http://{own}"
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        connection.putrequest(method, place, skip_host=True, skip_accept_encoding=True)
        for name, value in sent.items():
            if value is not None:
                connection.putheader(name, value)
        if body is not None and "Content-Length" not in sent:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders()
        if body:
            connection.send(body)
        answer = connection.getresponse()
        text = answer.read().decode("utf-8", "replace")
        connection.close()
        return answer.status, dict(answer.getheaders()), text

    def let_in(self):
        """Open the printed address with its token."""
        _, headers, _ = self.ask("GET", f"/?token={self.address.token}")
        self.cookie = headers["set-cookie"].split(";")[0]
        return self

    def page(self, *parts):
        """The text of an existing page."""
        status, _, text = self.ask("GET", self.place(*parts))
        assert status == 200, (parts, status, text)
        return text

    def place(self, *parts):
        return "/" + "/".join(quote(part, safe="") for part in parts)

    def form(self, *parts, **fields):
        """Send a form without files."""
        body = urlencode(fields).encode()
        return self.ask("POST", self.place(*parts), body, Content_Type="application/x-www-form-urlencoded")

    def upload(self, *parts, files, place="clean"):
        """Send files, (name, content) each, as the page's script does; return the result for each."""
        body, kind = multipart(files, {"place": place})
        status, _, text = self.ask("POST", self.place(*parts), body, Content_Type=kind, Accept="application/json")
        found = json.loads(text)
        return found["files"] if status == 200 else found["fault"]

    def taught(self, participant):
        """Teach and wait for the end; return the final job."""
        status, _, text = self.form("p", participant, "teach")
        assert status == 303, text
        return wait_for_job(self, participant)


def wait_for_job(client, participant):
    """Wait for a participant's job to end and return it."""
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        job = json.loads(client.page("p", participant, "job"))
        if job["state"] in ("done", "failed"):
            return job
        time.sleep(0.05)
    raise AssertionError("the job did not end")


def multipart(files, fields=(), boundary=None):
    """A form's body and content type."""
    mark = boundary or uuid.uuid4().hex
    parts = [
        f'--{mark}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in dict(fields).items()
    ]
    for name, content in files:
        heading = f'Content-Disposition: form-data; name="files"; filename="{name}"\r\nContent-Type: video/mp4'
        parts.append(f"--{mark}\r\n{heading}\r\n\r\n".encode() + content + b"\r\n")
    return b"".join([*parts, f"--{mark}--\r\n".encode()]), f"multipart/form-data; boundary={mark}"


@contextmanager
def running(root: Path, *, teacher: Teacher = TINY, limits: Limits = LIMITS, port: int = 0) -> Iterator[Client]:
    """A server in a separate thread."""
    with listening(port) as listener:
        study = Study.open(root)
        studio = Studio.of(study, teacher=teacher, limits=limits)
        address = Address(listener.getsockname()[1], uuid.uuid4().hex)
        server = make_server(studio, address)
        thread = threading.Thread(target=lambda: server.run(sockets=[listener]), daemon=True)
        thread.start()
        try:
            yield Client(address, study.root, studio)
        finally:
            server.should_exit = True
            thread.join(timeout=PATIENCE_S)
            studio.close()


@pytest.fixture(scope="module")
def serve() -> Callable[..., object]:
    """Run a server while the block runs."""
    return running


@pytest.fixture(scope="session")
def filmed(made_once) -> Path:
    """A drawn user's folder: 3 things with 2 clean videos and 1 clutter video each, some seconds long. Do not change
    it."""
    from data_prep.pocket.pocket_set import make_pocket

    def make(folder: Path) -> None:
        make_pocket(folder, users=(0, 0, 1), objects=3, clean_videos=2, clutter_videos=1, seed=7)

    return next(path for path in (made_once("studio", make) / "test").iterdir() if path.is_dir())


@pytest.fixture
def study(filmed, tmp_path) -> Path:
    """A study with that user as P01, not taught yet."""
    shutil.copytree(filmed, tmp_path / "study" / "P01")
    return tmp_path / "study"


@pytest.fixture(scope="session")
def taught_study(filmed, made_once) -> Path:
    """The study, taught, checked and tested. Do not change it; copy it."""

    def make(root: Path) -> None:
        shutil.copytree(filmed, root / "P01")
        TINY.teach(Study.open(root), "P01", lambda line: None)

    return made_once("taught-study", make)
