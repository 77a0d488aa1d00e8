"""Saving and loading: exact, safe against interruption, and clear about damaged files."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import errors


def state() -> dict[str, mg.Tensor]:
    rng = np.random.default_rng(0)
    return {
        "weight": mg.tensor(rng.normal(size=(3, 4)), requires_grad=True),
        "layer.0.bias": mg.tensor([1.5, -0.0, float("nan"), float("inf")]),
        "count": mg.tensor(7),
        "mask": mg.tensor([True, False]),
        "small": mg.tensor([1, 2], dtype=mg.uint8),
        "half": mg.tensor([0.5], dtype=mg.float16),
        "empty": mg.zeros(0, 3),
        "transposed": mg.arange(6).reshape(2, 3).t(),
        "file": mg.ones(1),  # np.savez would take this name for its own argument
        "a/b.npy": mg.ones(2),
        "größe": mg.ones(1),
    }


def test_the_round_trip_is_exact(tmp_path: Path) -> None:
    before = state()
    mg.save(before, tmp_path / "state.npz")
    after = mg.load(tmp_path / "state.npz")
    assert list(after) == list(before)
    for name, tensor in before.items():
        assert (after[name].shape, after[name].dtype) == (tensor.shape, tensor.dtype)
        assert np.array_equal(after[name].numpy(), tensor.detach().numpy(), equal_nan=tensor.dtype.kind == "f")
        assert not after[name].requires_grad
    assert np.signbit(after["layer.0.bias"].numpy()[1])


def test_numpy_reads_the_file_and_nothing_in_it_is_code(tmp_path: Path) -> None:
    mg.save(state(), str(tmp_path / "state.npz"))
    with np.load(tmp_path / "state.npz", allow_pickle=False) as archive:
        assert archive["weight"].shape == (3, 4)


def test_the_name_is_taken_as_it_is_and_nothing_else_is_left_behind(tmp_path: Path) -> None:
    mg.save(state(), tmp_path / "model.ckpt")
    assert [p.name for p in tmp_path.iterdir()] == ["model.ckpt"]
    mask = os.umask(0o022)
    os.umask(mask)
    assert (tmp_path / "model.ckpt").stat().st_mode & 0o777 == 0o666 & ~mask


@pytest.mark.parametrize("stop", [KeyboardInterrupt, OSError, MemoryError])
def test_an_interrupted_save_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: type[BaseException]
) -> None:
    path = tmp_path / "state.npz"
    mg.save({"a": mg.ones(2)}, path)
    write, calls = np.lib.format.write_array, []

    def interrupted(*args: Any, **kwargs: Any) -> None:
        calls.append(1)
        if len(calls) == 2:
            raise stop
        write(*args, **kwargs)

    monkeypatch.setattr(np.lib.format, "write_array", interrupted)
    with pytest.raises(stop):
        mg.save({"a": mg.zeros(2), "b": mg.zeros(2)}, path)
    assert [p.name for p in tmp_path.iterdir()] == ["state.npz"]
    assert mg.load(path)["a"].tolist() == [1.0, 1.0]


def test_a_save_that_cannot_replace_its_target_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "folder" / "inside").mkdir(parents=True)
    with pytest.raises(OSError, match="folder"):
        mg.save({"a": mg.ones(2)}, tmp_path / "folder")
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]


@pytest.mark.parametrize("what", [mg.ones(2), {"a": np.ones(2)}, {1: mg.ones(2)}, [mg.ones(2)], None])
def test_only_named_tensors_are_saved(tmp_path: Path, what: Any) -> None:
    with pytest.raises(errors.ArgumentTypeError, match=r"save: expected a mapping from names to Tensors.*state_dict"):
        mg.save(what, tmp_path / "state.npz")
    assert list(tmp_path.iterdir()) == []


def damaged_files() -> dict[str, bytes]:
    single, pickled, text, packed = io.BytesIO(), io.BytesIO(), io.BytesIO(), io.BytesIO()
    np.save(single, np.ones(3))
    np.savez(pickled, a=np.array([{}, []], dtype=object))
    np.savez_compressed(packed, a=np.arange(200.0))
    with zipfile.ZipFile(text, "w") as archive:
        archive.writestr("readme.txt", "not an array")
    good = packed.getvalue()
    return {
        "empty": b"",
        "text": b"hello, this is not a zip file at all",
        "half a zip": good[: len(good) // 2],
        "no end": good[:-30],
        "noise inside": good[:90] + bytes(b ^ 0x5A for b in good[90:140]) + good[140:],
        "a single array": single.getvalue(),
        "objects": pickled.getvalue(),
        "a pickle": pickle.dumps({"a": 1}),
    }


@pytest.mark.parametrize("kind", damaged_files())
def test_damaged_files_are_refused_by_name(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "damaged.npz"
    path.write_bytes(damaged_files()[kind])
    with pytest.raises(errors.ArgumentError, match=r"load: .*damaged\.npz"):
        mg.load(path)


def test_every_cut_and_every_changed_byte_is_noticed_or_harmless(tmp_path: Path) -> None:
    path = tmp_path / "state.npz"
    before = {"a": mg.tensor([1.0, 2.0, 3.0]), "b": mg.tensor([[4, 5]])}
    mg.save(before, path)
    good = path.read_bytes()
    refused = 0
    variants = [good[:n] for n in range(0, len(good), 5)]
    variants += [good[:n] + bytes([good[n] ^ 0xFF]) + good[n + 1 :] for n in range(0, len(good), 3)]
    for damaged in variants:
        path.write_bytes(damaged)
        try:
            after = mg.load(path)
        except errors.MinigradError:
            refused += 1
            continue
        # What was changed was a date or a flag of the archive, or the name of an array; values are never wrong.
        for name, tensor in after.items():
            if name in before:
                assert mg.equal(tensor, before[name])
    assert refused > len(variants) / 3


@pytest.mark.parametrize("array", [np.array(["x"]), np.array([1j]), np.ones(2, np.uint16)])
def test_arrays_that_no_tensor_can_hold_are_refused(tmp_path: Path, array: np.ndarray) -> None:
    np.savez(tmp_path / "other.npz", a=array)
    with pytest.raises(errors.DtypeError):
        mg.load(tmp_path / "other.npz")


def test_a_missing_file_is_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        mg.load(tmp_path / "nothing.npz")
    with pytest.raises(FileNotFoundError):
        mg.save({"a": mg.ones(1)}, tmp_path / "no folder" / "state.npz")


def test_loaded_tensors_are_independent(tmp_path: Path) -> None:
    mg.save({"a": mg.ones(2)}, tmp_path / "state.npz")
    first, second = mg.load(tmp_path / "state.npz"), mg.load(tmp_path / "state.npz")
    first["a"].zero_()
    assert second["a"].tolist() == [1.0, 1.0]
