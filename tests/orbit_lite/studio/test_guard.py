"""Who may talk to the server, and what its answers let a page do."""

import base64
import os
import socket

import pytest

FORM = {"Content_Type": "application/x-www-form-urlencoded"}


@pytest.fixture(scope="module")
def client(serve, tmp_path_factory):
    with serve(tmp_path_factory.mktemp("guard")) as client:
        yield client.let_in()


def test_without_a_token_or_cookie_nothing_is_there(client):
    for place in ("/", "/static/studio.css", "/p/P01", "/nowhere"):
        status, _, text = client.ask("GET", place, Cookie=None)
        assert status == 403 and "address that the studio printed" in text
    for cookie in ("", "orbit_studio=x", client.cookie.split("=")[0] + "=wrong", "\x7f;;=,"):
        assert client.ask("GET", "/", Cookie=cookie)[0] == 403
    assert client.ask("GET", "/?token=wrong", Cookie=None)[0] == 403
    assert client.ask("GET", f"/study.csv?token={client.address.token}", Cookie=None)[0] == 403


def test_the_token_gives_a_cookie_that_no_script_reads_and_no_other_page_sends(client):
    status, headers, text = client.ask("GET", f"/?token={client.address.token}", Cookie=None)
    assert status == 200 and "HttpOnly" in headers["set-cookie"] and "samesite=strict" in headers["set-cookie"].lower()
    assert client.address.token not in text and client.address.token not in headers["set-cookie"]
    assert 'http-equiv="refresh" content="0; url=/"' in text  # out of the address, and out of the history


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1", "127.0.0.1:1", "localhost.evil.example:{port}", "", None]
)
def test_another_name_that_leads_here_reaches_nothing(client, host):
    """DNS rebinding: the browser believes that this server is another site's."""
    given = host and host.format(port=client.address.port)
    for place in ("/", f"/?token={client.address.token}"):
        status, headers, _ = client.ask("GET", place, Host=given)
        assert status in (400, 403) and "set-cookie" not in headers


def test_localhost_is_another_name_of_the_same(client):
    own = f"localhost:{client.address.port}"
    assert client.ask("GET", "/", Host=own)[0] == 200
    assert client.ask("POST", "/participants", b"name=", Host=own, Origin=f"http://{own}", **FORM)[0] == 422


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "https://127.0.0.1:{port}", "http://localhost:{port}", None]
)
def test_another_page_can_change_nothing(client, origin):
    given = origin and origin.format(port=client.address.port)
    status, _, text = client.ask("POST", "/participants", b"name=P99", Origin=given, **FORM)
    assert status == 403 and not (client.root / "P99").exists()
    assert "Another page asked for this" in text


def test_what_a_browser_says_of_the_asking_page_counts_too(client):
    assert client.ask("POST", "/participants", b"name=P98", Sec_Fetch_Site="cross-site", **FORM)[0] == 403
    assert client.ask("POST", "/participants", b"name=", Sec_Fetch_Site="same-origin", **FORM)[0] == 422
    assert client.ask("GET", "/", Origin="http://evil.example")[0] == 403


def socket_status(client, **headers):
    """The answer to a WebSocket's beginning."""
    own = f"127.0.0.1:{client.address.port}"
    given = {"Host": own, "Origin": f"http://{own}", "Cookie": client.cookie} | headers
    lines = [f"{name}: {value}" for name, value in given.items() if value is not None]
    key = base64.b64encode(os.urandom(16)).decode()
    upgrade = ["Upgrade: websocket", "Connection: Upgrade", f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13"]
    with socket.create_connection(("127.0.0.1", client.address.port), timeout=30) as line:
        line.sendall("\r\n".join(["GET /p/P01/live HTTP/1.1", *lines, *upgrade, "", ""]).encode())
        return int(line.recv(4096).split()[1])


def test_a_websocket_is_let_in_from_this_servers_own_page_alone(client):
    assert socket_status(client) == 101
    assert socket_status(client, Origin="http://evil.example") == 403
    assert socket_status(client, Origin=None) == 403
    assert socket_status(client, Cookie=None) == 403
    assert socket_status(client, Host="evil.example") in (400, 403)


def test_every_answer_lets_a_page_run_the_servers_own_alone(client):
    for place in ("/", "/static/studio.css", "/static/words.js", "/nowhere", "/p/nobody"):
        _, headers, _ = client.ask("GET", place)
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy
        assert "script-src 'self';" in policy and "style-src 'self';" in policy and "frame-ancestors 'none'" in policy
        assert headers["x-content-type-options"] == "nosniff" and headers["cache-control"] == "no-store"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert "server" not in headers


def test_only_this_computer_is_listened_to(client):
    with socket.socket() as other, pytest.raises(OSError):
        other.settimeout(2)
        other.connect((socket.gethostbyname(socket.gethostname()) or "127.0.0.2", client.address.port))
        if other.getpeername()[0] == "127.0.0.1":
            raise OSError("this computer's name is 127.0.0.1 itself")
