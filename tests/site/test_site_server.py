"""The server, spoken to byte by byte: what it serves, and all that it must refuse."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lessons.workbench.errors import UsageError
from lessons.workbench.site import server as server_
from lessons.workbench.site.server import Server, listen, names_in, read

SECRET = b"nobody outside may read this"
PAGE = b"<!doctype html><title>t</title><body><p>\xc3\xa9</p></body>\n"


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    content: bytes


def answer_to(port: int, request: bytes) -> Answer:
    """What the server says to these bytes."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(request)
        received = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, content = received.partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    assert status.startswith("HTTP/1.0 "), received[:200]
    return Answer(int(status.split()[1]), dict(line.split(": ", 1) for line in lines), content)


def asked(port: int, target: str | bytes, method: str = "GET", host: str | None = None, **headers: str) -> Answer:
    target = target.encode() if isinstance(target, str) else target
    fields = {"Host": f"127.0.0.1:{port}" if host is None else host, **headers}
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items() if value)
    return answer_to(port, method.encode() + b" " + target + b" HTTP/1.1\r\n" + lines.encode() + b"\r\n")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small site, beside and in which lie things that are none of it."""
    base = tmp_path_factory.mktemp("served")
    (base / "secret.txt").write_bytes(SECRET)
    (base / "outside").mkdir()
    (base / "outside" / "index.html").write_bytes(SECRET)
    site = base / "site"
    for name in ("api", "assets", "empty"):
        (site / name).mkdir(parents=True)
    (site / "index.html").write_bytes(PAGE)
    (site / "api" / "index.html").write_bytes(PAGE)
    (site / "api" / "nn.functional.conv2d.html").write_bytes(PAGE)
    (site / ".hidden.html").write_bytes(SECRET)
    for suffix in ("css", "js", "svg", "webp", "png", "gif", "woff2", "json", "strange"):
        (site / "assets" / f"file.{suffix}").write_bytes(b"content")
    if os.name == "posix":
        (site / "link.txt").symlink_to(base / "secret.txt")
        (site / "relative.txt").symlink_to("../secret.txt")
        (site / "away").symlink_to(base / "outside", target_is_directory=True)
        (site / "inside.html").symlink_to("index.html")
        os.mkfifo(site / "pipe.html")
    return site


@contextmanager
def running(server: Server) -> Iterator[int]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def port(folder: Path) -> Iterator[int]:
    with running(Server(folder)) as port:
        yield port


# ---- what is served


@pytest.mark.parametrize(
    "target", ["/", "/index.html", "/index.html?a=b", "/index.html#c", "/api/", "/api/index.html", "/%69ndex.html"]
)
def test_pages_are_served(port: int, target: str) -> None:
    answer = asked(port, target)
    assert (answer.status, answer.content) == (200, PAGE)
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.headers["Content-Length"] == str(len(PAGE))
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    ("suffix", "kind"),
    [
        ("css", "text/css; charset=utf-8"),
        ("js", "text/javascript; charset=utf-8"),
        ("svg", "image/svg+xml; charset=utf-8"),
        ("webp", "image/webp"),
        ("png", "image/png"),
        ("gif", "image/gif"),
        ("woff2", "font/woff2"),
        ("json", "application/json"),
        ("strange", "application/octet-stream"),
    ],
)
def test_every_file_says_what_it_is(port: int, suffix: str, kind: str) -> None:
    answer = asked(port, f"/assets/file.{suffix}")
    assert (answer.status, answer.headers["Content-Type"], answer.content) == (200, kind, b"content")


def test_head_has_the_headers_of_get_and_no_content(port: int) -> None:
    head, get = asked(port, "/", "HEAD"), asked(port, "/")
    assert head.content == b""
    assert {**head.headers, "Date": ""} == {**get.headers, "Date": ""}


def test_the_server_says_little_about_itself(port: int) -> None:
    assert "Python" not in asked(port, "/").headers["Server"]
    assert "Python" not in asked(port, "/nowhere").headers["Server"]


def test_a_browser_keeps_what_has_not_changed_and_sees_at_once_what_has(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_bytes(b"old")
    with running(Server(tmp_path)) as port:
        first = asked(port, "/")
        assert first.headers["Cache-Control"] == "no-cache"
        again = asked(port, "/", If_None_Match=first.headers["ETag"])
        assert (again.status, again.content) == (304, b"")
        stamp = (tmp_path / "index.html").stat()
        (tmp_path / "index.html").write_bytes(b"new")  # as long as before and, by its time, as old
        os.utime(tmp_path / "index.html", ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
        assert asked(port, "/", If_None_Match=first.headers["ETag"]).content == b"new"


def test_a_folder_leads_to_its_index_and_is_never_listed(port: int) -> None:
    answer = asked(port, "/api")
    assert (answer.status, answer.headers["Location"]) == (302, "/api/")
    for target in ("/empty/", "/assets/"):
        answer = asked(port, target)
        assert answer.status == 404
        assert b"file." not in answer.content


# ---- what is refused

WAYS_OUT = [
    "/../secret.txt",
    "/api/../../secret.txt",
    "/..%2fsecret.txt",
    "/..%2Fsecret.txt",
    "/%2e%2e/secret.txt",
    "/%2E%2E/secret.txt",
    "/.%2e/secret.txt",
    "/%2e%2e%2fsecret.txt",
    "/%252e%252e/secret.txt",
    "/%252e%252e%252fsecret.txt",
    "/..%5csecret.txt",
    "/..\\secret.txt",
    "/..%c0%afsecret.txt",
    "/%c0%ae%c0%ae/secret.txt",
    "/%uff0e%uff0e/secret.txt",
    "/api/%2e%2e/%2e%2e/secret.txt",
    "/./../secret.txt",
    "//../secret.txt",
    "../secret.txt",
    "/{base}/secret.txt",
    "//{base}/secret.txt",
    "/%2f{base}/secret.txt",
    "{base}/secret.txt",
    "file://{base}/secret.txt",
    "http://127.0.0.1/../secret.txt",
    "/index.html%00/../../secret.txt",
    "/link.txt",
    "/relative.txt",
    "/away/",
    "/away/index.html",
    "/away",
    "/.hidden.html",
    "/C:/secret.txt",
    "/index.html::$DATA",
]


@pytest.mark.parametrize("target", WAYS_OUT)
def test_no_way_leads_out_of_the_folder(port: int, folder: Path, target: str) -> None:
    answer = asked(port, target.format(base=folder.parent))
    assert answer.status in (400, 404)
    assert SECRET not in answer.content


@pytest.mark.parametrize("target", ["/index.html%00", "/%00", "/index.html%0d%0aX:%20y", "/\x7f", "/a%ff", "/*", "*"])
def test_what_is_no_name_is_refused(port: int, target: str) -> None:
    answer = asked(port, target)
    assert answer.status in (400, 404)
    assert "X" not in answer.headers


@pytest.mark.skipif(os.name != "posix", reason="links and pipes of POSIX")
def test_links_are_not_followed_wherever_they_lead_and_pipes_do_not_hang(port: int) -> None:
    assert asked(port, "/inside.html").status == 404
    assert asked(port, "/pipe.html").status == 404


@given(st.lists(st.sampled_from(["..", ".", "", "%2e", "%2f", "%5c", "\\", "/", "secret.txt", "api", "%00", "~"])))
def test_names_hold_no_step_upwards(parts: list[str]) -> None:
    names = names_in("/" + "/".join(parts))
    for name in names or ():
        assert name not in ("", ".", "..")
        assert not set(name) & set("/\\\0")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT"])
def test_only_get_and_head_are_answered(port: int, method: str) -> None:
    answer = asked(port, "/", method)
    assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")
    assert asked(port, "/", "INVENT").status == 501


def test_what_follows_a_request_is_not_taken_for_another(port: int) -> None:
    more = f"GET /api/ HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n"
    request = f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: keep-alive\r\nContent-Length: 4\r\n\r\n{more}"
    answer = answer_to(port, request.encode())
    assert answer.content == PAGE


@pytest.mark.parametrize(
    "host",
    [
        "example.org",
        "example.org:{port}",
        "127.0.0.1",
        "127.0.0.1:1",
        "localhost.example.org:{port}",
        "127.0.0.1.nip.io:{port}",
        "0.0.0.0:{port}",
        "[::1]:{port}",
        "user@127.0.0.1:{port}",
        "",
    ],
)
def test_other_names_of_this_machine_are_refused(port: int, host: str) -> None:
    for target in ("/", "/-/build"):
        answer = asked(port, target, host=host.format(port=port))
        assert answer.status == 403
        assert PAGE not in answer.content
        assert b"example" not in answer.content


def test_two_hosts_are_none(port: int) -> None:
    hosts = f"Host: 127.0.0.1:{port}\r\nHost: example.org\r\n"
    assert answer_to(port, f"GET / HTTP/1.1\r\n{hosts}\r\n".encode()).status == 403


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "LocalHost"])
def test_our_own_names_are_answered(port: int, name: str) -> None:
    assert asked(port, "/", host=f"{name}:{port}").status == 200


def test_it_listens_on_this_machine_alone(port: int, folder: Path) -> None:
    with Server(folder) as server:
        assert server.socket.getsockname()[0] == "127.0.0.1"
        assert server.address == f"http://127.0.0.1:{server.server_port}/"


@pytest.mark.parametrize(
    "request_", [b"\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\xff\xfe\r\n\r\n", b"GET /"]
)
def test_nonsense_ends_and_leaves_the_server_alive(
    port: int, request_: bytes, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(server_.Handler, "timeout", 0.2)
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(request_)
        connection.shutdown(socket.SHUT_WR)
        received = b"".join(iter(lambda: connection.recv(65536), b""))
    assert SECRET not in received
    assert asked(port, "/").status == 200
    assert "Traceback" not in capfd.readouterr().err


def test_a_browser_that_leaves_early_is_no_news(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "large.png").write_bytes(bytes(50_000_000))
    with running(Server(tmp_path)) as port:
        for _ in range(3):
            with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
                connection.sendall(f"GET /large.png HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
                connection.recv(10)
        assert len(asked(port, "/large.png").content) == 50_000_000
    assert capfd.readouterr().err == ""


# ---- folders that change


@pytest.mark.skipif(os.name != "posix", reason="links of POSIX")
@pytest.mark.parametrize("moment", ["api", "index.html"])
def test_a_folder_that_becomes_a_link_while_it_is_read_leads_nowhere(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """The worst moments: just before the folder is opened, and just before the file in the open folder is."""
    root = tmp_path / "site"
    (root / "api").mkdir(parents=True)
    (root / "api" / "index.html").write_bytes(PAGE)
    opened = os.open

    def swaps(path: object, flags: int, *args: object, **more: object) -> int:
        if path == moment:
            (root / "api").rename(root / "was-api")
            (root / "api").symlink_to(folder.parent / "outside", target_is_directory=True)
        return opened(path, flags, *args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", swaps)
    monkeypatch.setattr(os, "supports_dir_fd", {swaps, *os.supports_dir_fd})
    if moment == "api":
        with pytest.raises(OSError, match="api"):
            read(root, ("api", "index.html"))
    else:
        assert read(root, ("api", "index.html")) == PAGE


def test_a_build_that_takes_the_place_of_the_old_one_is_served(tmp_path: Path) -> None:
    root, following = tmp_path / "site", tmp_path / "following"
    for place, content in ((root, b"old"), (following, b"new")):
        place.mkdir()
        (place / "index.html").write_bytes(content)
    with running(Server(root)) as port:
        assert asked(port, "/").content == b"old"
        root.rename(tmp_path / "old")
        threading.Timer(0.1, lambda: following.rename(root)).start()
        assert asked(port, "/").content == b"new"  # it waits a moment for the folder
        root.rename(tmp_path / "gone")
        assert asked(port, "/").status == 404  # but no longer than that


def fallback(root: Path, names: tuple[str, ...]) -> bytes:
    with open(server_._checked_descriptor(root, names), "rb") as file:
        return file.read()


@pytest.mark.parametrize("way", [read, fallback])
def test_both_ways_of_reading_refuse_links(folder: Path, way: Callable[[Path, tuple[str, ...]], bytes]) -> None:
    assert way(folder, ("api", "index.html")) == PAGE
    with pytest.raises(IsADirectoryError):
        way(folder, ("api",))
    with pytest.raises(FileNotFoundError):
        way(folder, ("api", "nothing.html"))
    if os.name == "posix":
        for names in (("link.txt",), ("away", "index.html"), ("inside.html",), ("relative.txt",)):
            with pytest.raises(OSError, match="|".join(names)):
                way(folder, names)


# ---- pages that load anew


def test_pages_get_their_script_in_watch_mode_and_only_then(folder: Path, port: int) -> None:
    assert asked(port, "/-/reload.js").status == 404
    assert asked(port, "/-/build").status == 404
    server = Server(folder, live=True)
    with running(server) as live:
        first = asked(live, "/")
        script = f'<script src="/-/reload.js" data-build="{server.build}" defer></script></body>'
        assert first.content == PAGE.replace(b"</body>", script.encode())
        assert asked(live, "/assets/file.svg").content == b"content"
        assert asked(live, "/-/build").content.decode() == server.build
        assert b"location.reload" in asked(live, "/-/reload.js").content
        server.show_new_build()
        assert asked(live, "/-/build").content.decode() == server.build
        assert asked(live, "/", If_None_Match=first.headers["ETag"]).status == 200
    assert (folder / "index.html").read_bytes() == PAGE


# ---- ports


def test_a_port_that_is_taken_is_ours_to_explain_or_to_avoid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        with pytest.raises(UsageError, match=f"--port {taken}: cannot listen there"):
            listen(tmp_path, taken)
        monkeypatch.setattr(server_, "FIRST_PORT", taken)
        with listen(tmp_path) as server:
            assert server.server_port != taken
        monkeypatch.setattr(server_, "TRIES", 1)
        with listen(tmp_path) as server:
            assert server.server_port != taken
