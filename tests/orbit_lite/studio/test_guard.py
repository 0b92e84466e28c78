"""Access to the server, and what its responses allow a page to do."""

import base64
import os
import socket

import pytest

FORM = {"Content_Type": "application/x-www-form-urlencoded"}


@pytest.fixture(scope="module")
def client(serve, tmp_path_factory):
    with serve(tmp_path_factory.mktemp("guard")) as client:
        yield client.let_in()


def test_without_a_token_or_cookie_there_is_no_access(client):
    for place in ("/", "/static/studio.css", "/p/P01", "/nowhere"):
        status, _, text = client.ask("GET", place, Cookie=None)
        assert status == 403 and "address that the studio printed" in text
    for cookie in ("", "orbit_studio=x", client.cookie.split("=")[0] + "=wrong", "\x7f;;=,"):
        assert client.ask("GET", "/", Cookie=cookie)[0] == 403
    assert client.ask("GET", "/?token=wrong", Cookie=None)[0] == 403
    assert client.ask("GET", f"/study.csv?token={client.address.token}", Cookie=None)[0] == 403


def test_the_token_gives_a_cookie_hidden_from_scripts_and_other_sites(client):
    status, headers, text = client.ask("GET", f"/?token={client.address.token}", Cookie=None)
    assert status == 200 and "HttpOnly" in headers["set-cookie"] and "samesite=strict" in headers["set-cookie"].lower()
    assert client.address.token not in text and client.address.token not in headers["set-cookie"]
    assert 'http-equiv="refresh" content="0; url=/"' in text  # removed from the address and the history


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1", "127.0.0.1:1", "localhost.evil.example:{port}", "", None]
)
def test_another_host_name_has_no_access(client, host):
    """DNS rebinding: the browser believes that this server belongs to another site."""
    given = host and host.format(port=client.address.port)
    for place in ("/", f"/?token={client.address.token}"):
        status, headers, _ = client.ask("GET", place, Host=given)
        assert status in (400, 403) and "set-cookie" not in headers


def test_localhost_is_accepted(client):
    own = f"localhost:{client.address.port}"
    assert client.ask("GET", "/", Host=own)[0] == 200
    assert client.ask("POST", "/participants", b"name=", Host=own, Origin=f"http://{own}", **FORM)[0] == 422


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "https://127.0.0.1:{port}", "http://localhost:{port}", None]
)
def test_other_pages_can_not_change_anything(client, origin):
    given = origin and origin.format(port=client.address.port)
    status, _, text = client.ask("POST", "/participants", b"name=P99", Origin=given, **FORM)
    assert status == 403 and not (client.root / "P99").exists()
    assert "This request came from another page" in text


def test_the_browsers_site_header_is_checked(client):
    assert client.ask("POST", "/participants", b"name=P98", Sec_Fetch_Site="cross-site", **FORM)[0] == 403
    assert client.ask("POST", "/participants", b"name=", Sec_Fetch_Site="same-origin", **FORM)[0] == 422
    assert client.ask("GET", "/", Origin="http://evil.example")[0] == 403


def socket_status(client, **headers):
    """The response to opening a WebSocket."""
    own = f"127.0.0.1:{client.address.port}"
    given = {"Host": own, "Origin": f"http://{own}", "Cookie": client.cookie} | headers
    lines = [f"{name}: {value}" for name, value in given.items() if value is not None]
    key = base64.b64encode(os.urandom(16)).decode()
    upgrade = ["Upgrade: websocket", "Connection: Upgrade", f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13"]
    with socket.create_connection(("127.0.0.1", client.address.port), timeout=30) as line:
        line.sendall("\r\n".join(["GET /p/P01/live HTTP/1.1", *lines, *upgrade, "", ""]).encode())
        return int(line.recv(4096).split()[1])


def test_a_websocket_is_accepted_only_from_this_servers_page(client):
    assert socket_status(client) == 101
    assert socket_status(client, Origin="http://evil.example") == 403
    assert socket_status(client, Origin=None) == 403
    assert socket_status(client, Cookie=None) == 403
    assert socket_status(client, Host="evil.example") in (400, 403)


def test_every_response_allows_only_the_servers_own_content(client):
    for place in ("/", "/static/studio.css", "/static/words.js", "/nowhere", "/p/nobody"):
        _, headers, _ = client.ask("GET", place)
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy
        assert "script-src 'self';" in policy and "style-src 'self';" in policy and "frame-ancestors 'none'" in policy
        assert headers["x-content-type-options"] == "nosniff" and headers["cache-control"] == "no-store"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert "server" not in headers


def test_the_server_listens_only_on_this_computer(client):
    with socket.socket() as other, pytest.raises(OSError):
        other.settimeout(2)
        other.connect((socket.gethostbyname(socket.gethostname()) or "127.0.0.2", client.address.port))
        if other.getpeername()[0] == "127.0.0.1":
            raise OSError("this computer's name is 127.0.0.1 itself")
