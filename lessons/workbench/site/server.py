"""A web server for one folder, for this machine alone.

It answers GET and HEAD with the regular files below its folder and with nothing else: a link is not followed, wherever
it leads, and a folder is not listed.  It listens on 127.0.0.1 and answers only those who call it by that name, because
any page on the web can make a browser call 127.0.0.1 by a name of its own ("DNS rebinding") and read what comes back.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import socketserver
import stat
import sys
import time
import urllib.parse
from collections.abc import Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from pathlib import Path

from lessons.workbench.errors import UsageError

HOST = "127.0.0.1"
NAMES = (HOST, "localhost")
FIRST_PORT = 8000
TRIES = 20  # ports from FIRST_PORT on, before the system chooses one

KINDS = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".txt": "text/plain; charset=utf-8",
    ".md": "text/plain; charset=utf-8",
    ".svg": "image/svg+xml; charset=utf-8",
    ".png": "image/png",
    ".webp": "image/webp",
    ".gif": "image/gif",
    ".woff2": "font/woff2",
}
OTHER_KIND = "application/octet-stream"

# Two addresses of the server's own, outside of any site: no file's name there begins with "-".
RELOAD_SCRIPT, BUILD = "/-/reload.js", "/-/build"

ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def names_in(target: str) -> tuple[str, ...] | None:
    """The names of folders and file that the target of a request stands for; None for one that we do not answer.

    "/api/index.html?x" is ("api", "index.html"), and a target that ends in "/" means the ``index.html`` there.  Each
    name is decoded once, after the target was split, so that an encoded "/" or ".." is a strange name and no way out.
    """
    path = target.split("#")[0].split("?")[0]
    if not path.startswith("/"):
        return None
    try:
        names = [urllib.parse.unquote(name, errors="strict") for name in path[1:].split("/")]
    except UnicodeDecodeError:
        return None
    names[-1] = names[-1] or "index.html"
    return None if any(map(_strange, names)) else tuple(names)


def _strange(name: str) -> bool:
    """Whether a name is none that a site's file has: hidden, or meaning another place on some operating system."""
    return not name or name.startswith(".") or any(c in '/\\:*?"<>|' or not c.isprintable() for c in name)


def read(root: Path, names: Sequence[str]) -> bytes:
    """The content of the regular file ``root/names[0]/names[1]/...``, which no link leads to or passes.

    Raises ``IsADirectoryError`` for a folder and another ``OSError`` where there is no such file.
    """
    with open(_descriptor(root, names), "rb") as file:
        kind = os.fstat(file.fileno()).st_mode
        if not stat.S_ISREG(kind):
            raise OSError(errno.EINVAL, "no regular file", "/".join(names))
        return file.read()


def _descriptor(root: Path, names: Sequence[str]) -> int:
    """The opened file.  Where the system allows it, each folder is opened in the one before: nobody can swap them."""
    if os.open not in os.supports_dir_fd:
        return _checked_descriptor(root, names)
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for name in names[:-1]:
            inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
            os.close(folder)
            folder = inner
        # Opening a pipe would wait for its writer, but for O_NONBLOCK; a folder can be opened, but is refused here.
        found = os.open(names[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    finally:
        os.close(folder)
    if stat.S_ISDIR(os.fstat(found).st_mode):
        os.close(found)
        raise IsADirectoryError(errno.EISDIR, "a folder", "/".join(names))
    return found


def _checked_descriptor(root: Path, names: Sequence[str]) -> int:
    """The same for Windows: the path must be its own real path, letter by letter."""
    path = root.resolve().joinpath(*names)
    if path.resolve() != path or path.resolve().parts[-len(names) :] != tuple(names):
        raise FileNotFoundError(errno.ENOENT, "no such file", str(path))
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "a folder", str(path))
    return os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))


class Server(ThreadingHTTPServer):
    """Serves ``root`` on ``port`` of 127.0.0.1; 0 is any free one.

    With ``live``, each page gets a script that asks again and again which build is on show; `show_new_build` after a
    build makes the open pages load anew.
    """

    daemon_threads = True  # a browser that keeps a connection open must not keep us from ending
    allow_reuse_address = os.name == "posix"  # on Windows this would share the port with another server

    def __init__(self, root: Path, port: int = 0, live: bool = False) -> None:
        self.root = root
        self.live = live
        self.build = ""
        self.show_new_build()
        super().__init__((HOST, port), Handler)

    def server_bind(self) -> None:
        socketserver.TCPServer.server_bind(self)  # HTTPServer's own would ask the network for this machine's name
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]

    @property
    def address(self) -> str:
        """What to type into a browser."""
        return f"http://{HOST}:{self.server_port}/"

    @property
    def hosts(self) -> frozenset[str]:
        """The values of the header Host that mean us."""
        bare = NAMES if self.server_port == 80 else ()
        return frozenset((*bare, *(f"{name}:{self.server_port}" for name in NAMES)))

    def show_new_build(self) -> None:
        self.build = secrets.token_hex(8)

    def handle_error(self, request: object, client_address: object) -> None:
        """A browser that goes away in the middle of an answer is no news; anything else is a bug of ours."""
        if not isinstance(sys.exc_info()[1], (ConnectionError, TimeoutError)):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class Handler(BaseHTTPRequestHandler):
    """One request.  With HTTP/1.0 a connection has only one, so what follows it is never taken for another."""

    server: Server
    protocol_version = "HTTP/1.0"
    server_version, sys_version = "minigrad", ""
    timeout = 20  # seconds for a request that does not come to its end

    def do_GET(self) -> None:
        if not self._called_by_name():
            self._say(HTTPStatus.FORBIDDEN, f"This server answers to {self.server.address} and to no other name.")
        elif self.server.live and self.path == BUILD:
            self._send(HTTPStatus.OK, self.server.build.encode(), KINDS[".txt"], {"Cache-Control": "no-store"})
        elif self.server.live and self.path == RELOAD_SCRIPT:
            script = resources.files(__package__).joinpath("reload.js").read_bytes()
            self._send(HTTPStatus.OK, script, KINDS[".js"], {"Cache-Control": "no-store"})
        else:
            self._file()

    do_HEAD = do_GET  # `_send` leaves out the content

    def _called_by_name(self) -> bool:
        hosts = self.headers.get_all("Host", [])
        return len(hosts) == 1 and hosts[0].strip().lower() in self.server.hosts

    def _refuse(self) -> None:
        self._say(HTTPStatus.METHOD_NOT_ALLOWED, "This server answers to GET and HEAD.", {"Allow": "GET, HEAD"})

    do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = do_TRACE = do_CONNECT = _refuse

    def _file(self) -> None:
        names = names_in(self.path)
        if names is None:
            self._say(HTTPStatus.NOT_FOUND, "There is nothing of that name here.")
            return
        build = self.server.build  # before the content: a page must never be taken for newer than it is
        try:
            content = _read_soon(self.server.root, names)
        except IsADirectoryError:
            place = "/".join(map(urllib.parse.quote, names))
            self._say(HTTPStatus.FOUND, "That is a folder.", {"Location": f"/{place}/"})
            return
        except OSError:
            self._say(HTTPStatus.NOT_FOUND, "There is nothing of that name here.")
            return
        kind = KINDS.get(Path(names[-1]).suffix.lower(), OTHER_KIND)
        if self.server.live and kind == KINDS[".html"]:
            content = with_reload(content, build)
        mark = f'"{hashlib.blake2b(content, digest_size=12).hexdigest()}"'
        # "no-cache": keep it, but ask each time whether it is still the same.  A new build is seen at once.
        headers = {"Cache-Control": "no-cache", "ETag": mark}
        if mark in self.headers.get("If-None-Match", ""):
            self._send(HTTPStatus.NOT_MODIFIED, b"", kind, headers)
        else:
            self._send(HTTPStatus.OK, content, kind, headers)

    def _say(self, status: HTTPStatus, sentence: str, headers: dict[str, str] | None = None) -> None:
        """Answer with one sentence of our own, in which nothing of the request is repeated."""
        page = f'<!doctype html><meta charset="utf-8"><title>minigrad</title><p>{sentence} <a href="/">First page</a>\n'
        self._send(status, page.encode(), KINDS[".html"], {"Cache-Control": "no-store", **(headers or {})})

    def _send(self, status: HTTPStatus, content: bytes, kind: str, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**ALWAYS, **headers}.items():
            self.send_header(name, value)
        if status != HTTPStatus.NOT_MODIFIED:
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *args: object) -> None:
        """Say nothing about requests: the terminal belongs to the builds."""


def _read_soon(root: Path, names: Sequence[str]) -> bytes:
    """`read`, which waits for a folder that a build is just putting in the place of the old one."""
    try:
        return read(root, names)
    except FileNotFoundError:
        deadline = time.monotonic() + 0.5
        while not root.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        return read(root, names)


def with_reload(page: bytes, build: str) -> bytes:
    """The page with the script that loads it anew when another build than ``build`` is on show."""
    script = f'<script src="{RELOAD_SCRIPT}" data-build="{build}" defer></script>'.encode()
    before, end, after = page.rpartition(b"</body>")
    return before + script + end + after if end else page + script


def listen(root: Path, port: int | None = None, live: bool = False) -> Server:
    """A server that listens; without ``port`` on the first free one from `FIRST_PORT` on.

    Raises `UsageError` when ``port`` is taken or not for us.
    """
    if port is not None:
        try:
            return Server(root, port, live)
        except OSError as error:
            raise UsageError(
                f"--port {port}: cannot listen there ({error.strerror}); name another port, or leave --port out and "
                f"take the first free one from {FIRST_PORT} on"
            ) from error
    for candidate in (*range(FIRST_PORT, FIRST_PORT + TRIES), 0):
        with contextlib.suppress(OSError):
            return Server(root, candidate, live)
    raise UsageError(f"cannot listen on {HOST}: this machine has no free port for us")
