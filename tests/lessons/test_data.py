"""The data part: the subset that ships, the IDX reader, the download, the helpers for batches.

No network: a server on 127.0.0.1 plays the mirrors, with the faults that real ones have. The full MNIST is
played by a small set of the same form, whose hashes are computed here.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
import threading
import time
import tracemalloc
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from lessons.data import batches, download, idx, make_mnist_subset, mnist
from lessons.data.download import fetch_mnist
from lessons.data.errors import DataError
from lessons.data.files import MNIST_FILES, IdxFile, MnistFiles, data_folder, mnist_folder
from minigrad.errors import ArgumentError, MinigradError

MNIST_TRAIN_COUNTS = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
MNIST_TEST_COUNTS = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


def idx_bytes(array: np.ndarray, kind: int = 0x08) -> bytes:
    header = bytes([0, 0, kind, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.tobytes()


def small_set() -> tuple[MnistFiles, dict[str, bytes]]:
    """Files of MNIST's form with 300 and 100 random digits: the records, and name -> unpacked content."""
    rng = np.random.default_rng(7)
    contents = {}
    for prefix, n in (("train", 300), ("t10k", 100)):
        images = rng.integers(0, 256, (n, 28, 28), dtype=np.uint8)
        labels = rng.choice(10, n, p=np.arange(6, 16) / 105).astype(np.uint8)
        contents[f"{prefix}-images-idx3-ubyte"] = idx_bytes(images)
        contents[f"{prefix}-labels-idx1-ubyte"] = idx_bytes(labels)
    files = MnistFiles(
        *(
            IdxFile(
                file.name,
                (300 if "train" in file.name else 100, *file.shape[1:]),
                hashlib.sha256(contents[file.name]).hexdigest(),
            )
            for file in MNIST_FILES
        )
    )
    return files, contents


FILES, CONTENTS = small_set()
PACKED = {f"{name}.gz": gzip.compress(content, mtime=0) for name, content in CONTENTS.items()}
NAMES = list(PACKED)
FIRST = NAMES[0]  # training images: 236 kB packed, several blocks


def write_all(folder: Path, contents: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return folder


def listing(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def refused(path: Path, *fragments: str, ndim: int = 3, sha256: str | None = None) -> str:
    """`read_idx` refuses `path`: the message names the file and holds every fragment."""
    with pytest.raises(DataError) as caught:
        idx.read_idx(path, ndim, sha256)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    for fragment in fragments:
        assert fragment in message
    return message


# --- the subset that ships -----------------------------------------------------------------------------


def test_subset_has_the_promised_arrays():
    data = mnist.load()
    assert data.train_images.shape == (5000, 28, 28)
    assert data.test_images.shape == (1000, 28, 28)
    assert data.train_labels.shape == (5000,)
    assert data.test_labels.shape == (1000,)
    assert [array.dtype for array in data] == [np.uint8, np.int64, np.uint8, np.int64]
    for array in data:
        assert not array.flags.writeable
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
    assert data.train_images.min() == 0
    assert data.train_images.max() == 255


def test_subset_is_about_one_megabyte_and_needs_no_pickle():
    path = Path(mnist.__file__).with_name(mnist.SUBSET_NAME)
    assert path.stat().st_size == 968_519
    with np.load(path, allow_pickle=False) as arrays:
        assert sorted(arrays) == sorted(mnist.MNIST._fields)


@pytest.mark.parametrize(
    ("labels", "counts", "source"),
    [
        ("train_labels", [494, 562, 496, 511, 487, 452, 493, 522, 487, 496], MNIST_TRAIN_COUNTS),
        ("test_labels", [98, 114, 103, 101, 98, 89, 96, 103, 97, 101], MNIST_TEST_COUNTS),
    ],
)
def test_subset_keeps_the_class_balance_of_its_source(labels, counts, source):
    drawn = np.bincount(getattr(mnist.load(), labels), minlength=10)
    assert drawn.tolist() == counts
    exact = np.array(source) * drawn.sum() / np.sum(source)
    assert np.abs(drawn - exact).max() < 1  # within one digit of the exact share


def test_subset_is_shuffled():
    """Neighbours have the same label as often as chance says (a tenth), not as often as in sorted labels."""
    for labels in (mnist.load().train_labels, mnist.load().test_labels):
        same = np.mean(labels[1:] == labels[:-1])
        assert same == pytest.approx(0.1, abs=4 * np.sqrt(0.1 * 0.9 / len(labels)))


def test_subset_has_no_digit_twice():
    data = mnist.load()
    images = [image.tobytes() for image in (*data.train_images, *data.test_images)]
    assert len(set(images)) == 6000


def test_subset_labels_belong_to_their_images():
    """Nearest class mean gets 836 of the 1,000 test digits right, 100 if labels were out of step."""
    data = mnist.load()
    train, test = (batches.as_float(images) for images in (data.train_images, data.test_images))
    means = np.stack([train[data.train_labels == digit].mean(axis=0) for digit in range(10)])
    guesses = np.linalg.norm(test[:, None] - means, axis=2).argmin(axis=1)
    assert np.mean(guesses == data.test_labels) > 0.8


@pytest.mark.parametrize("position", [0, 1000, 500_000, -1])
def test_one_flipped_bit_in_the_subset_is_refused_by_name(tmp_path, position):
    content = bytearray(Path(mnist.__file__).with_name(mnist.SUBSET_NAME).read_bytes())
    copy = tmp_path / mnist.SUBSET_NAME
    copy.write_bytes(content)
    assert len(mnist.load(root=tmp_path).train_images) == 5000
    content[position] ^= 1
    copy.write_bytes(content)
    with pytest.raises(DataError, match=re.escape(f"{copy}: damaged")) as caught:
        mnist.load(root=tmp_path)
    assert mnist.SUBSET_SHA256 in str(caught.value)
    assert "install minigrad again" in str(caught.value)


def test_a_missing_subset_is_refused_by_name(tmp_path):
    with pytest.raises(DataError, match=re.escape(str(tmp_path / mnist.SUBSET_NAME))):
        mnist.load(root=tmp_path)


def test_the_readme_states_the_recorded_facts():
    readme = Path(mnist.__file__).with_name("README.md").read_text(encoding="utf-8")
    data = mnist.load()
    assert mnist.SUBSET_SHA256 in readme
    assert "968,519 bytes" in readme
    assert "CC BY-SA 3.0" in readme
    for labels in (data.train_labels, data.test_labels):
        assert " | ".join(map(str, np.bincount(labels))) in readme
    for file in MNIST_FILES:
        assert file.sha256 in readme


# --- making the subset ---------------------------------------------------------------------------------


@pytest.fixture
def small_mnist(tmp_path, monkeypatch):
    """The small set in a folder, and the loader told that this is what MNIST is."""
    monkeypatch.setattr(mnist, "MNIST_FILES", FILES)
    return write_all(tmp_path / "source", PACKED)


def test_quotas_add_up_and_stay_within_one_of_the_exact_share():
    rng = np.random.default_rng(3)
    for size in (1, 7, 50, 299):
        labels = rng.choice(10, 300, p=np.arange(6, 16) / 105)
        quotas = make_mnist_subset.class_quotas(labels, size)
        assert quotas.sum() == size
        assert np.abs(quotas - np.bincount(labels, minlength=10) * size / 300).max() < 1


def test_the_maker_draws_training_digits_from_training_files_only(small_mnist):
    source = mnist.load_idx(small_mnist)
    subset = make_mnist_subset.draw_subset(source, train=100, test=40)
    for part in ("train", "test"):
        pool = {
            image.tobytes(): label
            for image, label in zip(getattr(source, f"{part}_images"), getattr(source, f"{part}_labels"), strict=True)
        }
        images, labels = getattr(subset, f"{part}_images"), getattr(subset, f"{part}_labels")
        assert [pool[image.tobytes()] for image in images] == labels.tolist()
        assert len({image.tobytes() for image in images}) == len(images) == {"train": 100, "test": 40}[part]
        quotas = make_mnist_subset.class_quotas(getattr(source, f"{part}_labels"), len(labels))
        assert np.bincount(labels, minlength=10).tolist() == quotas.tolist()
        assert np.any(np.diff(labels) < 0)  # not sorted by class


def test_the_maker_gives_the_same_bytes_whatever_the_clock_says(small_mnist, monkeypatch):
    outputs = []
    for when in (1e9, 1.5e9):
        monkeypatch.setattr(time, "time", lambda when=when: when)
        subset = make_mnist_subset.draw_subset(mnist.load_idx(small_mnist), train=100, test=40)
        outputs.append(make_mnist_subset.pack(subset))
    assert outputs[0] == outputs[1]
    with np.load(io.BytesIO(outputs[0]), allow_pickle=False) as arrays:
        np.testing.assert_array_equal(arrays["train_images"], subset.train_images)


def test_the_maker_writes_a_file_and_prints_what_to_record(small_mnist, tmp_path, monkeypatch, capsys):
    draw = make_mnist_subset.draw_subset
    monkeypatch.setattr(make_mnist_subset, "draw_subset", lambda source: draw(source, train=100, test=40))
    out = tmp_path / "out.npz"
    assert make_mnist_subset.main(["--from", str(small_mnist), "--out", str(out)]) == 0
    assert hashlib.sha256(out.read_bytes()).hexdigest() in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".part"] == []


def test_the_maker_names_a_folder_without_the_files(tmp_path, capsys):
    assert make_mnist_subset.main(["--from", str(tmp_path)]) == 1
    assert f"{tmp_path} has no train-images-idx3-ubyte" in capsys.readouterr().err


def test_the_maker_runs_as_a_module():
    result = subprocess.run(
        [sys.executable, "-m", "lessons.data.make_mnist_subset", "--help"], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert "--from DIR" in result.stdout


def test_the_shipped_subset_is_the_one_that_the_maker_draws():
    try:
        full = mnist.load(full=True)
    except DataError:
        pytest.skip("needs the full MNIST: minigrad data mnist")
    for made, shipped in zip(make_mnist_subset.draw_subset(full), mnist.load(), strict=True):
        np.testing.assert_array_equal(made, shipped)


# --- where the full set lives, and loading it ----------------------------------------------------------


@pytest.mark.parametrize(
    ("platform", "variables", "expected"),
    [
        ("linux", {}, "HOME/.cache/minigrad"),
        ("linux", {"XDG_CACHE_HOME": "/somewhere"}, "/somewhere/minigrad"),
        ("linux", {"XDG_CACHE_HOME": "relative"}, "HOME/.cache/minigrad"),
        ("linux", {"MINIGRAD_DATA": "/mine", "XDG_CACHE_HOME": "/somewhere"}, "/mine"),
        ("linux", {"MINIGRAD_DATA": "~/mine"}, "HOME/mine"),
        ("linux", {"MINIGRAD_DATA": ""}, "HOME/.cache/minigrad"),
        ("darwin", {"XDG_CACHE_HOME": "/somewhere"}, "HOME/Library/Caches/minigrad"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/minigrad"),
        ("win32", {}, "HOME/AppData/Local/minigrad"),
    ],
)
def test_data_folder(tmp_path, monkeypatch, platform, variables, expected):
    for name in ("MINIGRAD_DATA", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"HOME": str(tmp_path), "USERPROFILE": str(tmp_path), **variables}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", platform)
    assert data_folder() == Path(expected.replace("HOME", str(tmp_path)))
    assert mnist_folder() == data_folder() / "mnist"


def test_no_home_folder_is_an_error_of_ours(monkeypatch):
    def nobody():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("MINIGRAD_DATA", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", nobody)
    monkeypatch.setattr(sys, "platform", "linux")
    with pytest.raises(DataError, match="set MINIGRAD_DATA"):
        data_folder()


def test_the_full_set_when_missing_says_what_to_type(tmp_path, monkeypatch):
    monkeypatch.setenv("MINIGRAD_DATA", str(tmp_path))
    with pytest.raises(DataError) as caught:
        mnist.load(full=True)
    message = str(caught.value)
    assert str(tmp_path / "mnist") in message
    assert "  minigrad data mnist  " in message
    assert "  minigrad data mnist --from DIR  " in message
    assert all(file.name in message for file in MNIST_FILES)


@pytest.mark.parametrize("form", ["packed", "unpacked", "dotted"])
def test_the_full_set_loads_from_packed_and_unpacked_files(tmp_path, monkeypatch, form):
    contents = {
        "packed": PACKED,
        "unpacked": CONTENTS,
        "dotted": {name.replace("-idx", ".idx"): content for name, content in CONTENTS.items()},
    }[form]
    monkeypatch.setenv("MINIGRAD_DATA", str(tmp_path))
    monkeypatch.setattr(mnist, "MNIST_FILES", FILES)
    write_all(tmp_path / "mnist", contents)
    data = mnist.load(full=True)
    assert [array.shape for array in data] == [(300, 28, 28), (300,), (100, 28, 28), (100,)]
    assert [array.dtype for array in data] == [np.uint8, np.int64, np.uint8, np.int64]
    assert not any(array.flags.writeable for array in data)
    assert data.train_images.tobytes() == CONTENTS["train-images-idx3-ubyte"][16:]
    assert bytes(data.test_labels.tolist()) == CONTENTS["t10k-labels-idx1-ubyte"][8:]


@pytest.mark.parametrize("file", FILES, ids=MnistFiles._fields)
def test_the_full_set_refuses_sound_files_that_are_not_mnist(small_mnist, file):
    path = small_mnist / f"{file.name}.gz"
    path.write_bytes(gzip.compress(idx_bytes(np.zeros(file.shape, np.uint8))))
    with pytest.raises(DataError, match="not the expected file") as caught:
        mnist.load(full=True, root=small_mnist)
    assert str(path) in str(caught.value)
    assert file.sha256 in str(caught.value)
    assert "minigrad data mnist --from DIR" in str(caught.value)


# --- the IDX reader ------------------------------------------------------------------------------------

DIGITS = np.random.default_rng(11).integers(0, 256, (5, 28, 28), dtype=np.uint8)
LABELS = np.array([3, 1, 4, 1, 5], np.uint8)


@pytest.fixture(params=["plain", "gzip"])
def save(request, tmp_path):
    """Write content to a file, plain or packed; every complaint about the content holds for both."""

    def save(content: bytes, name: str = "file-idx3-ubyte") -> Path:
        path = tmp_path / name
        path.write_bytes(gzip.compress(content) if request.param == "gzip" else content)
        return path

    return save


def test_read_idx_returns_what_was_written(save):
    path = save(idx_bytes(DIGITS))
    array = idx.read_idx(path, 3, hashlib.sha256(idx_bytes(DIGITS)).hexdigest())
    np.testing.assert_array_equal(array, DIGITS)
    assert array.dtype == np.uint8
    assert not array.flags.writeable
    assert idx.read_idx(save(idx_bytes(DIGITS[:0])), 3).shape == (0, 28, 28)


def test_wrong_magic(save):
    refused(save(b"<html><body>Sign in"), "not an IDX file", "b'<htm'")
    refused(save(b"\0\x01\x08\x03" + bytes(12)), "not an IDX file")


@pytest.mark.parametrize(("kind", "name"), [(0x0D, "float32"), (0x09, "int8"), (0x77, "unknown type 0x77")])
def test_wrong_dtype(save, kind, name):
    refused(save(idx_bytes(DIGITS, kind)), f"holds {name}, expected uint8")


def test_wrong_dims(save):
    refused(save(idx_bytes(LABELS)), "has 1 dimension (labels), expected 3 dimensions (images)")
    refused(save(idx_bytes(DIGITS)), "has 3 dimensions (images), expected 1 dimension (labels)", ndim=1)
    refused(save(idx_bytes(DIGITS[0])), "has 2 dimensions, expected")


def test_every_truncation_is_refused(save):
    content = idx_bytes(DIGITS[:1, :3, :3])
    refused(save(b""), "the file is empty")
    for length in range(1, len(content)):
        where = "inside the header" if length < 16 else f"{length - 16} of the 9 values"
        refused(save(content[:length]), f"truncated{',' if length >= 16 else ''} {where}")
    idx.read_idx(save(content), 3)


def test_too_long(save):
    refused(save(idx_bytes(DIGITS) + b"x"), "too long")
    refused(save(idx_bytes(DIGITS) + bytes(10_000)), "too long")


def test_another_hash(save):
    want = "0" * 64
    refused(save(idx_bytes(DIGITS)), "not the expected file", want, sha256=want)


def test_a_missing_file_a_folder_and_an_empty_file(tmp_path):
    refused(tmp_path / "nothing", "no such file")
    refused(tmp_path, "a folder")
    (tmp_path / "empty").touch()
    refused(tmp_path / "empty", "the file is empty")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this platform")
def test_a_named_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    refused(tmp_path / "pipe", "not a regular file")


def test_an_unreadable_file(tmp_path, monkeypatch):
    def denied(*arguments, **keywords):
        raise PermissionError(13, "Permission denied")

    path = tmp_path / "file"
    path.write_bytes(idx_bytes(DIGITS))
    monkeypatch.setattr(Path, "open", denied)
    refused(path, "cannot be read", "Permission denied")


def test_every_cut_of_a_gzip_file_is_refused(tmp_path):
    packed = gzip.compress(idx_bytes(DIGITS[:1, :3, :3]), mtime=0)
    path = tmp_path / "file.gz"
    for length in range(len(packed)):
        path.write_bytes(packed[:length])
        refused(path)
    path.write_bytes(packed)
    idx.read_idx(path, 3)


def test_every_flipped_byte_of_a_gzip_file_is_refused_or_harmless(tmp_path):
    """Flips in gzip's own header may not matter; then the array must be the true one."""
    digits = DIGITS[:1, :3, :3]
    packed = gzip.compress(idx_bytes(digits), mtime=0)
    path = tmp_path / "file.gz"
    refusals = 0
    for position in range(len(packed)):
        damaged = bytearray(packed)
        damaged[position] ^= 0xFF
        path.write_bytes(damaged)
        try:
            array = idx.read_idx(path, 3)
        except DataError as error:
            assert str(error).startswith(f"{path}: ")  # noqa: PT017 (either outcome is right)
            refusals += 1
        else:
            assert position < 10  # gzip's header
            np.testing.assert_array_equal(array, digits)
    assert refusals >= len(packed) - 10


def peak_memory(path: Path, *fragments: str) -> int:
    tracemalloc.start()
    try:
        refused(path, *fragments)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("shape", [(2**32 - 1, 28, 28), (2**32 - 1,) * 3, (400_000, 28, 28)])
def test_a_header_that_claims_too_much_is_refused_before_memory_is_taken(save, shape):
    path = save(bytes([0, 0, 8, 3]) + struct.pack(">3I", *shape))
    assert peak_memory(path, "the header claims", "damaged or not MNIST") < 4 * idx.CHUNK


def test_a_header_within_the_bound_takes_only_what_is_there(save):
    path = save(bytes([0, 0, 8, 3]) + struct.pack(">3I", 300_000, 28, 28) + bytes(100))
    assert peak_memory(path, "truncated, 100 of the 235,200,000") < 4 * idx.CHUNK


def test_a_gzip_bomb_is_not_unpacked(tmp_path):
    path = tmp_path / "bomb.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(idx_bytes(DIGITS))
        for _ in range(64):
            file.write(bytes(2**20))
    assert peak_memory(path, "too long") < 8 * idx.CHUNK


def test_read_pair(save):
    images, labels = save(idx_bytes(DIGITS), "images"), save(idx_bytes(LABELS), "labels")
    digits, answers = idx.read_pair(images, labels)
    np.testing.assert_array_equal(digits, DIGITS)
    np.testing.assert_array_equal(answers, LABELS)


def test_read_pair_refuses_files_that_do_not_belong_together(save):
    images, labels = save(idx_bytes(DIGITS), "images"), save(idx_bytes(LABELS[:4]), "labels")
    with pytest.raises(DataError, match=r"holds 5 images but .*labels holds 4 labels"):
        idx.read_pair(images, labels)
    labels = save(idx_bytes(np.array([3, 1, 10, 1, 5], np.uint8)), "labels")
    with pytest.raises(DataError, match="labels: label 10 at position 2, expected 0 to 9"):
        idx.read_pair(images, labels)
    with pytest.raises(DataError, match="images: has 3 dimensions"):
        idx.read_pair(images, images)
    images = save(idx_bytes(DIGITS[:, :, :20]), "images")
    with pytest.raises(DataError, match="images: holds images of 28 x 20 pixels, expected 28 x 28"):
        idx.read_pair(images, labels)


# --- the download --------------------------------------------------------------------------------------


class Mirror(ThreadingHTTPServer):
    """A server of files with the faults that a test asks for; remembers the requests as (name, Range)."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = dict(PACKED)
        self.ranges = True  # False: ignores Range, as some servers do
        self.lengths = True  # False: says no Content-Length, the end of the connection is the end of the file
        self.drop_after: int | None = None  # bytes of each answer after which the connection breaks
        self.wrong_range = False  # True: answers every Range with the first ten bytes
        self.status: int | None = None  # answer everything with this
        self.requests: list[tuple[str, str | None]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/mnist/"

    def handle_error(self, request, client_address):
        """A client that goes away in the middle is part of the tests."""


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *arguments):
        pass

    def do_GET(self):
        server = self.server
        name = self.path.removeprefix("/mnist/")
        wanted = self.headers.get("Range")
        server.requests.append((name, wanted))
        if server.status or name not in server.files:
            body = b"" if server.status == 204 else b"an explanation"
            self.send_response(server.status or 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            return
        content, start = server.files[name], 0
        if wanted and server.ranges:
            start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1])
            if start >= len(content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(content)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            body = content[:10] if server.wrong_range else content[start:]
            first = 0 if server.wrong_range else start
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{first + len(body) - 1}/{len(content)}")
        else:
            body = content
            self.send_response(200)
        if server.lengths:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: server.drop_after])


@pytest.fixture
def start_mirror(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with contextlib.ExitStack() as stack:

        def start() -> Mirror:
            server = stack.enter_context(Mirror())
            thread = threading.Thread(target=server.serve_forever, args=(0.01,))
            thread.start()
            stack.callback(thread.join)
            stack.callback(server.shutdown)
            return server

        yield start


@pytest.fixture
def mirror(start_mirror):
    return start_mirror()


@pytest.fixture
def answers(monkeypatch):
    """Every answer that the download got from a server, to see whether it was closed."""
    urlopen, seen = urllib.request.urlopen, []

    def remember(*arguments, **keywords):
        try:
            seen.append(urlopen(*arguments, **keywords))
        except urllib.error.HTTPError as error:
            seen.append(error.fp)
            raise
        return seen[-1]

    monkeypatch.setattr(urllib.request, "urlopen", remember)
    return seen


def fetch(mirrors, destination: Path, source: Path | None = None, progress=None) -> list[Path]:
    addresses = [mirror if isinstance(mirror, str) else mirror.url for mirror in mirrors]
    return fetch_mnist(source, destination, progress, mirrors=addresses, files=FILES, timeout=10)


def fetch_fails(mirrors, destination: Path, *fragments: str) -> str:
    with pytest.raises(DataError) as caught:
        fetch(mirrors, destination)
    message = str(caught.value)
    for fragment in (*fragments, "minigrad data mnist --from DIR"):
        assert fragment in message
    return message


def closed_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}/"


def test_full_download(mirror, tmp_path):
    seen = []
    destination = tmp_path / "a" / "b"
    paths = fetch([mirror], destination, progress=lambda *report: seen.append(report))
    assert [path.name for path in paths] == NAMES
    assert listing(destination) == PACKED
    assert mirror.requests == [(name, None) for name in NAMES]
    for name, content in PACKED.items():
        reports = [(done, total) for seen_name, done, total in seen if seen_name == name]
        assert reports[0] == (0, len(content))
        assert reports[-1] == (len(content), len(content))
        assert reports == sorted(reports)
    assert len([name for name, _, _ in seen if name == FIRST]) > 3


def test_what_is_there_and_true_is_not_downloaded_again(mirror, tmp_path):
    fetch([mirror], tmp_path)
    mirror.requests.clear()
    seen = []
    assert [path.name for path in fetch([mirror], tmp_path, progress=lambda *r: seen.append(r))] == NAMES
    assert mirror.requests == []
    assert seen == [(name, len(content), len(content)) for name, content in PACKED.items()]


def test_a_damaged_file_is_replaced(mirror, tmp_path):
    write_all(tmp_path, PACKED)
    (tmp_path / FIRST).write_bytes(PACKED[FIRST][:-100])
    fetch([mirror], tmp_path)
    assert listing(tmp_path) == PACKED
    assert mirror.requests == [(FIRST, None)]


def test_a_damaged_unpacked_file_is_not_in_the_way_of_the_new_one(mirror, tmp_path, monkeypatch):
    name = FILES.train_images.name
    write_all(tmp_path, {name: CONTENTS[name][:-1]})
    fetch([mirror], tmp_path)
    monkeypatch.setattr(mnist, "MNIST_FILES", FILES)
    assert mnist.load(full=True, root=tmp_path).train_images.shape == (300, 28, 28)


def test_files_packed_by_another_gzip_are_accepted(mirror, tmp_path):
    mirror.files = {f"{name}.gz": gzip.compress(content, 1, mtime=99) for name, content in CONTENTS.items()}
    assert mirror.files != PACKED
    fetch([mirror], tmp_path)
    assert listing(tmp_path) == mirror.files


def test_resume_asks_for_the_rest_only(mirror, tmp_path):
    half = len(PACKED[FIRST]) // 2
    (tmp_path / f"{FIRST}.part").write_bytes(PACKED[FIRST][:half])
    seen = []
    fetch([mirror], tmp_path, progress=lambda *report: seen.append(report))
    assert mirror.requests[0] == (FIRST, f"bytes={half}-")
    assert len(mirror.requests) == 4
    assert seen[0] == (FIRST, half, len(PACKED[FIRST]))
    assert listing(tmp_path) == PACKED


def test_resume_from_a_server_without_range_starts_over(mirror, tmp_path):
    mirror.ranges = False
    (tmp_path / f"{FIRST}.part").write_bytes(PACKED[FIRST][:1000])
    seen = []
    fetch([mirror], tmp_path, progress=lambda *report: seen.append(report))
    assert seen[0] == (FIRST, 0, len(PACKED[FIRST]))
    assert len(mirror.requests) == 4
    assert listing(tmp_path) == PACKED


def test_resume_of_a_complete_part_needs_no_bytes(mirror, tmp_path):
    """The process may have ended between the last byte and the rename: the server answers 416."""
    (tmp_path / f"{FIRST}.part").write_bytes(PACKED[FIRST])
    fetch([mirror], tmp_path)
    assert mirror.requests[:2] == [(FIRST, f"bytes={len(PACKED[FIRST])}-"), (NAMES[1], None)]
    assert listing(tmp_path) == PACKED


def test_a_part_that_is_too_long_starts_over(mirror, tmp_path):
    (tmp_path / f"{FIRST}.part").write_bytes(PACKED[FIRST] + b"more")
    fetch([mirror], tmp_path)
    assert [wanted for name, wanted in mirror.requests if name == FIRST] == [
        f"bytes={len(PACKED[FIRST]) + 4}-",
        None,
    ]
    assert listing(tmp_path) == PACKED


def test_a_part_that_is_another_files_beginning_starts_over(mirror, tmp_path):
    (tmp_path / f"{FIRST}.part").write_bytes(bytes(1000))
    fetch([mirror], tmp_path)
    assert [wanted for name, wanted in mirror.requests if name == FIRST] == ["bytes=1000-", None]
    assert listing(tmp_path) == PACKED


def test_a_server_that_answers_another_range_starts_over(mirror, tmp_path):
    mirror.wrong_range = True
    (tmp_path / f"{FIRST}.part").write_bytes(PACKED[FIRST][:1000])
    fetch([mirror], tmp_path)
    assert listing(tmp_path) == PACKED


def test_a_server_that_says_no_length(mirror, tmp_path):
    mirror.lengths = False
    seen = []
    fetch([mirror], tmp_path, progress=lambda *report: seen.append(report))
    assert seen[0] == (FIRST, 0, None)
    assert listing(tmp_path) == PACKED


def test_a_broken_connection_keeps_the_part_and_the_next_run_goes_on(mirror, tmp_path):
    mirror.drop_after = 100_000
    size = len(PACKED[FIRST])
    message = fetch_fails([mirror], tmp_path, f"{FIRST} could not be downloaded")
    assert f"the connection broke after 100,000 of {size:,} bytes" in message
    assert listing(tmp_path) == {f"{FIRST}.part": PACKED[FIRST][:100_000]}
    mirror.drop_after = None
    fetch([mirror], tmp_path)
    assert mirror.requests[1] == (FIRST, "bytes=100000-")
    assert listing(tmp_path) == PACKED


def test_the_next_mirror_goes_on_where_the_first_one_broke(start_mirror, tmp_path):
    first, second = start_mirror(), start_mirror()
    first.drop_after = 1000
    fetch([first, second], tmp_path)
    assert second.requests[0] == (FIRST, "bytes=1000-")
    assert listing(tmp_path) == PACKED


def test_wrong_content_is_refused_by_name_and_removed(mirror, tmp_path):
    third = NAMES[2]
    wrong = idx_bytes(np.zeros((100, 28, 28), np.uint8))
    mirror.files[third] = gzip.compress(wrong)
    message = fetch_fails([mirror], tmp_path, f"{third} could not be downloaded", "a wrong file, removed again")
    assert hashlib.sha256(wrong).hexdigest() in message
    assert FILES.test_images.sha256 in message
    assert listing(tmp_path) == {name: PACKED[name] for name in NAMES[:2]}


def test_a_sign_in_page_instead_of_the_file(start_mirror, tmp_path):
    """What a hotel network does; the next mirror is tried, and its file is taken."""
    captive, good = start_mirror(), start_mirror()
    captive.files = dict.fromkeys(NAMES, b"<html>Please sign in</html>")
    fetch_fails([captive], tmp_path, "not an IDX file")
    assert listing(tmp_path) == {}
    fetch([captive, good], tmp_path)
    assert listing(tmp_path) == PACKED


def test_an_endless_file_is_cut_off(mirror, tmp_path):
    limit = FILES.train_images.content_bytes + 2**20
    mirror.files[FIRST] = bytes(limit + 2**20)
    seen = []
    with pytest.raises(DataError, match=f"a wrong file, removed again: more than {limit:,} bytes"):
        fetch([mirror], tmp_path, progress=lambda name, done, total: seen.append(done))
    assert limit < max(seen) <= limit + download.BLOCK
    assert listing(tmp_path) == {}


@pytest.mark.parametrize("status", [404, 500, 416, 204, 206])
def test_a_server_that_answers_something_else(mirror, tmp_path, answers, status):
    mirror.status = status
    expected = "unasked" if status == 206 else f"the server answers {status}"
    fetch_fails([mirror], tmp_path, f"{mirror.url}{FIRST}", expected)
    assert listing(tmp_path) == {}
    assert mirror.requests == [(FIRST, None)]
    assert [answer.isclosed() for answer in answers] == [True]


def test_no_server_says_what_to_do(tmp_path):
    addresses = [closed_port(), closed_port()]
    message = fetch_fails(addresses, tmp_path, "no connection")
    for address in addresses:
        assert f"{address}{FIRST}" in message
    for name in NAMES:  # the four addresses for a download by hand
        assert f"{addresses[0]}{name}" in message
    assert listing(tmp_path) == {}


def test_a_server_that_falls_silent(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts, never answers
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        with pytest.raises(DataError, match="timed out"):
            fetch_mnist(None, tmp_path, mirrors=[address], files=FILES, timeout=0.2)


@pytest.mark.parametrize("moment", [0, 1, 2])
def test_an_interrupted_download_leaves_a_part_and_can_go_on(mirror, tmp_path, answers, moment):
    def interrupt(name, done, total):
        if done >= moment * download.BLOCK:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch([mirror], tmp_path, progress=interrupt)
    assert [answer.isclosed() for answer in answers] == [True]
    left = listing(tmp_path)
    assert list(left) in ([], [f"{FIRST}.part"])
    assert PACKED[FIRST].startswith(left.get(f"{FIRST}.part", b""))
    assert len(left.get(f"{FIRST}.part", b"")) >= moment * download.BLOCK
    fetch([mirror], tmp_path)
    assert listing(tmp_path) == PACKED


def test_a_destination_that_cannot_be_written(mirror, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="cannot write to"):
        fetch([mirror], tmp_path / "file")
    assert mirror.requests == []


def test_the_mirrors_are_https():
    assert len(download.MIRRORS) >= 2
    assert all(mirror.startswith("https://") for mirror in download.MIRRORS)


# --- files that are already on this machine ------------------------------------------------------------


def test_from_a_folder_of_packed_files(tmp_path):
    source = write_all(tmp_path / "source", PACKED)
    seen = []
    paths = fetch([], tmp_path / "to", source, lambda *report: seen.append(report))
    assert [path.name for path in paths] == NAMES
    assert listing(tmp_path / "to") == PACKED
    assert seen[0] == (FIRST, 0, len(PACKED[FIRST]))
    assert (FIRST, len(PACKED[FIRST]), len(PACKED[FIRST])) in seen


@pytest.mark.parametrize(("old", "new"), [("", ""), ("-idx", ".idx")])
def test_from_a_folder_of_unpacked_files(tmp_path, monkeypatch, old, new):
    source = write_all(tmp_path / "source", {name.replace(old, new): CONTENTS[name] for name in CONTENTS})
    fetch([], tmp_path / "to", source)
    assert {name: gzip.decompress(content) for name, content in listing(tmp_path / "to").items()} == {
        f"{name}.gz": content for name, content in CONTENTS.items()
    }
    monkeypatch.setattr(mnist, "MNIST_FILES", FILES)
    assert len(mnist.load(full=True, root=tmp_path / "to").train_labels) == 300


def test_from_a_folder_where_names_and_packing_disagree(tmp_path, monkeypatch):
    """Browsers unpack without renaming, and people rename without unpacking: the first bytes decide."""
    mixed = {f"{name}.gz": CONTENTS[name] for name in list(CONTENTS)[:2]}
    mixed |= {name: PACKED[f"{name}.gz"] for name in list(CONTENTS)[2:]}
    fetch([], tmp_path / "to", write_all(tmp_path / "source", mixed))
    assert {name: gzip.decompress(content) for name, content in listing(tmp_path / "to").items()} == {
        f"{name}.gz": content for name, content in CONTENTS.items()
    }


def test_from_a_folder_names_everything_that_is_missing_before_copying(tmp_path):
    source = write_all(tmp_path / "source", {FIRST: PACKED[FIRST]})
    with pytest.raises(DataError) as caught:
        fetch([], tmp_path / "to", source)
    assert str(caught.value).startswith(f"{source} has no ")
    for name in NAMES[1:]:
        assert name.removesuffix(".gz") in str(caught.value)
    assert not (tmp_path / "to").exists()
    with pytest.raises(DataError, match="no such folder"):
        fetch([], tmp_path / "to", tmp_path / "nowhere")
    with pytest.raises(DataError, match="not a folder"):
        fetch([], tmp_path / "to", source / FIRST)


@pytest.mark.parametrize("damage", ["truncated", "other"])
def test_from_a_folder_with_a_wrong_file(tmp_path, damage):
    bad = PACKED[NAMES[1]][:-9] if damage == "truncated" else gzip.compress(idx_bytes(np.zeros(300, np.uint8)))
    source = write_all(tmp_path / "source", {**PACKED, NAMES[1]: bad})
    with pytest.raises(DataError, match=re.escape(f"{source / NAMES[1]}: ")):
        fetch([], tmp_path / "to", source)
    assert listing(tmp_path / "to") == {FIRST: PACKED[FIRST]}


def test_from_the_destination_itself(tmp_path):
    write_all(tmp_path, PACKED)
    fetch([], tmp_path, tmp_path)
    assert listing(tmp_path) == PACKED


def test_an_interrupted_copy_leaves_nothing_half_written(tmp_path):
    def interrupt(name, done, total):
        if name == NAMES[2] and done:
            raise KeyboardInterrupt

    source = write_all(tmp_path / "source", PACKED)
    with pytest.raises(KeyboardInterrupt):
        fetch([], tmp_path / "to", source, interrupt)
    assert listing(tmp_path / "to") == {name: PACKED[name] for name in NAMES[:2]}


def test_a_file_that_changes_while_it_is_copied_is_refused(tmp_path):
    source = write_all(tmp_path / "source", PACKED)

    def meddle(name, done, total):
        if name == FIRST and done == 0:
            shutil.copyfile(source / NAMES[1], source / FIRST)

    with pytest.raises(DataError):
        fetch([], tmp_path / "to", source, meddle)
    assert listing(tmp_path / "to") == {}


def test_no_disk_space_is_an_error_of_ours(tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    source = write_all(tmp_path / "source", PACKED)
    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(DataError, match="No space left on device"):
        fetch([], tmp_path / "to", source)


# --- batches -------------------------------------------------------------------------------------------


def test_as_float():
    for flat, shape in ((True, (5, 784)), (False, (5, 1, 28, 28))):
        scaled = batches.as_float(DIGITS, flat=flat)
        assert scaled.shape == shape
        assert scaled.dtype == np.float32
        np.testing.assert_allclose(scaled.ravel(), DIGITS.ravel() / 255, rtol=1e-7)
    assert batches.as_float(np.full((1, 2, 2), 255, np.uint8)).max() == 1
    assert batches.as_float(DIGITS[:0]).shape == (0, 784)
    with pytest.raises(ArgumentError, match=r"got float32 of shape \(5, 784\)"):
        batches.as_float(batches.as_float(DIGITS))


@pytest.mark.parametrize(("n", "batch_size"), [(10, 3), (9, 3), (2, 5), (0, 4), (7, 1)])
def test_minibatches_visit_everything_once(n, batch_size):
    parts = list(batches.minibatches(np.random.default_rng(0), n, batch_size))
    assert [len(part) for part in parts] == [batch_size] * (n // batch_size) + [n % batch_size] * (n % batch_size > 0)
    assert sorted(i for part in parts for i in part) == list(range(n))
    kept = list(batches.minibatches(np.random.default_rng(0), n, batch_size, drop_last=True))
    assert [len(part) for part in kept] == [batch_size] * (n // batch_size)


def test_minibatches_follow_the_generator():
    def order(rng):
        return np.concatenate(list(batches.minibatches(rng, 100, 7))).tolist()

    rng = np.random.default_rng(5)
    first, second = order(rng), order(rng)
    assert first != second
    assert first != sorted(first)
    assert first == order(np.random.default_rng(5))
    for n, batch_size in ((10, 0), (-1, 2)):
        with pytest.raises(ArgumentError, match="batch_size"):
            batches.minibatches(np.random.default_rng(5), n, batch_size)


# --- the package ---------------------------------------------------------------------------------------


def test_errors_are_ours():
    assert issubclass(DataError, MinigradError)


def test_importing_the_loader_imports_nothing_heavy():
    code = (
        "import sys, lessons.data.mnist, lessons.data.download;"
        "print([m for m in ('numba', 'matplotlib', 'torch') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.strip() == "[]", result.stdout + result.stderr
