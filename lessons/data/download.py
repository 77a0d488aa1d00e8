"""Bring the full MNIST to this machine: over the network when asked to, or from a folder of files.

A file is built under the name `NAME.gz.part` beside its final place and gets its final name only after the
SHA-256 of its content was checked. Whatever interrupts us leaves at most a `.part`, and a download goes on
from there the next time.
"""

from __future__ import annotations

import contextlib
import gzip
import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

from .errors import DataError
from .files import MNIST_FILES, IdxFile, MnistFiles
from .idx import is_packed, read_idx

MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)

BLOCK = 2**16  # what a broken connection or an interrupt can cost

Progress = Callable[[str, int, "int | None"], None]
"""Called as progress(file name, bytes so far, bytes in total or None if nobody knows)."""


class _Unavailable(Exception):
    """A mirror, or in the end every mirror, could not give a file; the text says why."""


def fetch_mnist(
    source: Path | None,
    destination: Path,
    progress: Progress | None = None,
    *,
    mirrors: Sequence[str] = MIRRORS,
    files: MnistFiles = MNIST_FILES,
    timeout: float = 30.0,
) -> list[Path]:
    """Put the four MNIST files into `destination`, each checked by SHA-256; files already there stay.

    Args:
        source: a folder to copy from (IDX files, packed or not), or None to download.
        destination: the folder to fill; made if it does not exist.
        progress: called often while bytes arrive, see `Progress`.
        mirrors: base addresses, tried in this order for each file.
        files: what to fetch.
        timeout: seconds of silence after which a server counts as dead.

    Returns:
        The four paths, in the order of `files`.

    Raises:
        DataError: a file is missing from `source`, is not the true one, cannot be downloaded or cannot be
            written. Files finished before that stay, and so does the `.part` of a broken download.
    """
    report: Progress = progress or (lambda name, done, total: None)
    destination = Path(destination)
    origins: Sequence[Path | None] = [None] * len(files)
    if source is not None:
        source = Path(source)
        if not source.is_dir():
            raise DataError(f"{source}: {'not a folder' if source.exists() else 'no such folder'}")
        origins = files.locate(source)
    try:
        destination.mkdir(parents=True, exist_ok=True)
        return [
            _fetch(file, origin, destination, report, mirrors, timeout)
            for file, origin in zip(files, origins, strict=True)
        ]
    except _Unavailable as error:
        raise DataError(f"{error}\n{_advice(mirrors, files)}") from error
    except OSError as error:
        raise DataError(f"cannot write to {destination}: {error}") from error


def _fetch(
    file: IdxFile,
    origin: Path | None,
    destination: Path,
    report: Progress,
    mirrors: Sequence[str],
    timeout: float,
) -> Path:
    present = file.find(destination)
    if present is not None and _is_true(file, present):
        size = present.stat().st_size
        report(present.name, size, size)
        return present
    # Always packed, so that it takes the place of a damaged file: `find` looks for the packed name first.
    final = destination / f"{file.name}.gz"
    part = final.with_name(f"{final.name}.part")
    if origin is None:
        _download(file, part, report, mirrors, timeout)
    else:
        _copy(file, origin, part, report)
    os.replace(part, final)
    return final


def _is_true(file: IdxFile, path: Path) -> bool:
    try:
        read_idx(path, len(file.shape), file.sha256)
    except DataError:
        return False
    return True


def _copy(file: IdxFile, path: Path, part: Path, report: Progress) -> None:
    """Copy one checked file to `part`, packing it if it is not packed; on any failure `part` goes away."""
    read_idx(path, len(file.shape), file.sha256)  # refuse a wrong file under its own name, before copying
    done, total = 0, path.stat().st_size
    report(path.name, done, total)
    try:
        with contextlib.ExitStack() as stack:
            reader = stack.enter_context(path.open("rb"))
            writer: BinaryIO | gzip.GzipFile = stack.enter_context(part.open("wb"))
            if not is_packed(reader):
                writer = stack.enter_context(gzip.GzipFile("", "wb", compresslevel=4, fileobj=writer, mtime=0))
            while chunk := reader.read(BLOCK):
                writer.write(chunk)
                done += len(chunk)
                report(path.name, done, total)
        read_idx(part, len(file.shape), file.sha256)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _download(file: IdxFile, part: Path, report: Progress, mirrors: Sequence[str], timeout: float) -> None:
    """Fill `part` with a checked download from the first mirror that gives the true file."""
    failures = []
    for mirror in mirrors:
        url = _address(mirror, file)
        resumed = part.exists()
        try:
            _transfer(file, url, part, report, timeout)
            if resumed and not _is_true(file, part):
                # What an earlier run left may be the bad half, so this mirror gets a second try from zero.
                part.unlink()
                _transfer(file, url, part, report, timeout)
            try:
                read_idx(part, len(file.shape), file.sha256)
            except DataError as error:
                part.unlink()
                raise _Unavailable(f"a wrong file, removed again: {error}") from error
            return
        except _Unavailable as failure:
            failures.append(f"  {url}\n    {failure}")
    raise _Unavailable("\n".join([f"{file.name}.gz could not be downloaded", *failures]))


def _transfer(file: IdxFile, url: str, part: Path, report: Progress, timeout: float) -> None:
    """Append to `part` what it lacks of `url`, or start over if the server cannot go on from the middle."""
    offset = part.stat().st_size if part.exists() else 0
    # A gzip of incompressible values is a little larger than they are; nothing true is larger than that.
    limit = file.content_bytes + 2**20
    request = urllib.request.Request(url, headers={"Range": f"bytes={offset}-"} if offset else {})
    try:
        response = urllib.request.urlopen(request, timeout=timeout)
    except urllib.error.HTTPError as error:
        with error:  # it holds the connection
            if error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE or not offset:
                raise _Unavailable(f"the server answers {error.code} {error.reason}") from error
        # Nothing lies beyond what we have: it is complete, or it is not this file's beginning.
        if not _is_true(file, part):
            part.unlink()
            _transfer(file, url, part, report, timeout)
        return
    except (OSError, http.client.HTTPException) as error:
        raise _Unavailable(f"no connection: {getattr(error, 'reason', error)}") from error
    with response:
        if response.status == http.HTTPStatus.PARTIAL_CONTENT:
            if not response.headers.get("Content-Range", "").startswith(f"bytes {offset}-"):
                if not offset:
                    raise _Unavailable("the server answers with a part of the file, unasked")
                part.unlink()
                _transfer(file, url, part, report, timeout)
                return
        elif response.status == http.HTTPStatus.OK:
            offset = 0  # a server that ignores Range sends the file from its beginning
        else:
            raise _Unavailable(f"the server answers {response.status} {response.reason}")
        length = response.headers.get("Content-Length", "")
        total = offset + int(length) if length.isdecimal() else None
        done = offset
        report(f"{file.name}.gz", done, total)
        with part.open("ab" if offset else "wb") as writer:
            while done <= limit:
                try:
                    chunk = response.read(BLOCK)
                except (OSError, http.client.HTTPException) as error:
                    raise _Unavailable(f"the connection broke after {done:,} bytes: {error!r}") from error
                if not chunk:
                    break
                writer.write(chunk)
                done += len(chunk)
                report(f"{file.name}.gz", done, total)
        if done > limit:
            part.unlink()
            raise _Unavailable(f"a wrong file, removed again: more than {limit:,} bytes")
        if total is not None and done < total:
            raise _Unavailable(f"the connection broke after {done:,} of {total:,} bytes")


def _address(mirror: str, file: IdxFile) -> str:
    return f"{mirror.rstrip('/')}/{file.name}.gz"


def _advice(mirrors: Sequence[str], files: MnistFiles) -> str:
    """What to do when the network did not give us the files."""
    addresses = "\n".join(f"    {_address(mirrors[0], file)}" for file in files)
    return (
        "What to do:\n"
        "  type the command again: it goes on from what has arrived; or\n"
        "  download these four files by hand, on any machine, into one folder DIR:\n"
        f"{addresses}\n"
        "  and then type: minigrad data mnist --from DIR"
    )
