"""Files that are written whole or not at all: what is in them, what a reader believes, and who may write."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import struct
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from damage import write_sealed
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

import layerkit as lk
from layerkit.errors import LayerkitWarning
from layerkit.files import DamagedError, disk, lock, read_about, sealed, tensors
from layerkit.files.image import Image
from layerkit.files.lock import InUseError, locked

DTYPES = ["bool", "uint8", "int32", "uint32", "float16", "float32", "float64"]


# -- arrays ----------------------------------------------------------------------------------------------------------

outlines = st.dictionaries(
    st.text(st.characters(min_codepoint=32), min_size=1, max_size=20).filter(lambda name: ".." not in name),
    st.tuples(st.sampled_from(DTYPES), st.lists(st.integers(0, 3), max_size=3)),
    max_size=4,
)


@pytest.mark.fuzz
@given(
    outlines, st.recursive(st.none() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x))
)
def test_what_is_written_is_read_here_and_by_others(outlines: dict[str, Any], about: Any) -> None:
    rng = np.random.default_rng(0)
    arrays = {name: rng.integers(0, 2, shape).astype(dtype) for name, (dtype, shape) in outlines.items()}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.safetensors"
        write_sealed(path, arrays, about)
        found, header = tensors.read(path)
        assert header.about == about == read_about(path)
        others = load_file(path) if all(name.isprintable() for name in arrays) else found
        for name, array in arrays.items():
            for theirs in (found[name], others[name]):
                assert (theirs.dtype, theirs.shape) == (array.dtype, array.shape)
                assert theirs.tobytes() == array.tobytes()
        assert found.keys() == arrays.keys()


@given(outlines)
def test_an_image_is_written_as_the_arrays_themselves_are(outlines: dict[str, Any]) -> None:
    rng = np.random.default_rng(0)
    arrays = {name: rng.integers(0, 2, shape).astype(dtype) for name, (dtype, shape) in outlines.items()}
    image = Image(arrays)
    with tempfile.TemporaryDirectory() as folder:
        for number in range(2):
            arrays = {name: np.asarray(array * number, array.dtype) for name, array in arrays.items()}
            assert image.fits(arrays)
            image.fill(arrays)
            path = Path(folder) / str(number)
            found = image.write(path)
            outlines_of, pieces = tensors.to_bytes(path, arrays)
            assert found == outlines_of
            assert path.read_bytes() == b"".join(bytes(piece) for piece in pieces)


def test_an_image_is_one_of_certain_arrays() -> None:
    image = Image({"a": np.zeros((2, 3)), "b": np.zeros(1)})
    assert image.fits({"b": np.ones(1), "a": np.ones((2, 3))})
    others = np.zeros(()), np.zeros(1, "float32")
    for other in ({"a": np.zeros((2, 3))}, *({"a": np.zeros((2, 3)), "b": b} for b in others)):
        assert not image.fits(other)


def test_arrays_that_do_not_lie_in_order(tmp_path: Path) -> None:
    array = np.arange(12.0).reshape(3, 4)
    write_sealed(
        tmp_path / "x", {"T": array.T, "reverse": array[::-1], "scalar": np.float32(3), "none": np.ones((0, 2))}
    )
    found, _ = tensors.read(tmp_path / "x")
    assert found["T"].tolist() == array.T.tolist()
    assert found["reverse"].tolist() == array[::-1].tolist()
    assert (found["scalar"], found["none"].shape) == (3.0, (0, 2))


def test_bfloat16_comes_back(tmp_path: Path) -> None:
    bfloat16 = lk.bf16(2).dtype
    write_sealed(tmp_path / "x", {"a": np.array([1.5, -2], bfloat16)})
    assert tensors.read(tmp_path / "x")[0]["a"].dtype == bfloat16
    assert tensors.read(tmp_path / "x")[0]["a"].tolist() == [1.5, -2]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"c": np.zeros(1, "complex64")}, "c has dtype complex64, which a safetensors file cannot hold"),
        ({"a\0b": np.zeros(1)}, "cannot be kept: its name has a control character"),
        ({"a/../b": np.zeros(1)}, "cannot be kept: its name has '..' in it"),
        ({"": np.zeros(1)}, "cannot be kept: its name has 0 characters"),
    ],
)
def test_arrays_that_cannot_be_kept(arrays: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(lk.LayerkitError, match=message):
        tensors.to_bytes(tmp_path / "x", arrays)


def header(**entries: Any) -> bytes:
    return raw(json.dumps(entries).encode(), 16)


def raw(text: bytes, room: int = 0, length: int | None = None) -> bytes:
    return struct.pack("<Q", len(text) if length is None else length) + text + bytes(room)


F32 = {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}

HOSTILE: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "0 bytes are no safetensors file"),
    "7 bytes": (bytes(7), "7 bytes are no safetensors file"),
    "header of 2**63": (raw(b"{}", length=2**63), "its header has 9,223,372,036,854,775,808 bytes, the file 10"),
    "header of 200 MB": (raw(b"{}", length=200 << 20), "its header has 209,715,200 bytes, the file 10"),
    "header one too long": (raw(b"{}", length=3), "its header has 3 bytes, the file 10"),
    "no header": (raw(b"", 16), "it is no JSON"),
    "a list": (raw(b"[]"), "its header is no JSON object"),
    "a text": (raw(b'"x"'), "its header is no JSON object"),
    "not text": (raw(b"\xff\xfe"), "it is no JSON, not even text"),
    "nested deep": (raw(b"[" * 100_000), "it is nested too deep"),
    "a key twice": (raw(b'{"a":{},"a":{}}'), "it has the key 'a' twice"),
    "a key twice inside": (raw(b'{"a":{"dtype":"F32","dtype":"F32"}}'), "it has the key 'dtype' twice"),
    "infinity": (raw(b'{"a":Infinity}'), "it has Infinity, which is no JSON"),
    "a huge number": (raw(b'{"a":' + b"9" * 5000 + b"}"), "integer string conversion"),
    "trailing bytes": (raw(json.dumps({"a": F32}).encode(), 17), "its arrays have 16 bytes, and there are 17"),
    "cut": (raw(json.dumps({"a": F32}).encode(), 15), "its arrays have 16 bytes, and there are 15"),
    "an overlap": (header(a=F32, b=F32), "the array b begins at byte 0, and the one before ends at 16"),
    "a hole": (header(a={**F32, "shape": [2], "data_offsets": [8, 16]}), "begins at byte 8, and the one before ends"),
    "shape overflow": (header(a={**F32, "shape": [2**32, 2**32]}), "and lies at bytes"),
    "shape overflow to its size": (header(a={**F32, "shape": [2**62 + 1, 4]}), "and lies at bytes"),
    "no numbers, absurd shape": (header(a={**F32, "shape": [0, 2**62], "data_offsets": [0, 0]}), "lies at bytes"),
    "a thousand axes": (header(a={**F32, "shape": [1] * 1000, "data_offsets": [0, 4]}), "and lies at bytes"),
    "negative": (header(a={**F32, "shape": [-4]}), "the array a has shape [-4] and lies at [0, 16]"),
    "offsets turned round": (header(a={**F32, "data_offsets": [16, 0]}), "and lies at bytes [16, 0]"),
    "beyond the file": (header(a={**F32, "data_offsets": [16, 32]}), "begins at byte 16, and the one before ends at 0"),
    "three offsets": (header(a={**F32, "data_offsets": [0, 16, 16]}), "and lies at bytes [0, 16, 16]"),
    "a fraction": (header(a={**F32, "shape": [4.0]}), "the array a has shape [4.0]"),
    "true": (header(a={**F32, "shape": [True]}), "the array a has shape [True]"),
    "shape a text": (header(a={**F32, "shape": "4"}), "the array a has shape '4'"),
    "unknown dtype": (header(a={**F32, "dtype": "O"}), "the array a has the unknown dtype 'O'"),
    "dtype a list": (header(a={**F32, "dtype": ["F32"]}), "the array a has the unknown dtype ['F32']"),
    "more words": (header(a={**F32, "x": 1}), "the array a is described by {"),
    "fewer words": (header(a={"dtype": "F32"}), "the array a is described by {'dtype': 'F32'}"),
    "an array a number": (header(a=3), "the array a is described by 3"),
    "remarks a list": (header(__metadata__=[]), "its remarks are no texts"),
    "remarks no texts": (header(__metadata__={"a": 1}), "its remarks are no texts"),
    "name ../../x": (header(**{"../../x": F32}), "the name '../../x' has '..' in it"),
    "NUL in a name": (header(**{"a\0": F32}), "the name 'a\\x00' has a control character"),
    "no name": (header(**{"": F32}), "the name '' has 0 characters"),
    "a long name": (header(**{"x" * 70_000: F32}), "has 70,000 characters"),
    "a boolean of 7": (raw(json.dumps({"a": {"dtype": "BOOL", "shape": [1], "data_offsets": [0, 1]}}).encode()) + b"\7",
                       "the array a of booleans has other values than 0 and 1"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_before_there_is_room_made_for_it(name: str, tmp_path: Path) -> None:
    content, message = HOSTILE[name]
    path = tmp_path / "x"
    path.write_bytes(content)
    for need_seal in (False, True):
        with pytest.raises(DamagedError) as caught:
            tensors.read(path, need_seal)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)
        assert message in str(caught.value) or (need_seal and "checksum of its header" in str(caught.value))


def test_a_file_of_another_program_is_read_where_it_is_asked_for(tmp_path: Path) -> None:
    save_file({"a": np.arange(3.0), "b": np.ones((2, 1), "uint8")}, tmp_path / "x", {"format": "pt"})
    found, header = tensors.read(tmp_path / "x", need_seal=False)
    assert (found["a"].tolist(), found["b"].tolist(), header.is_sealed) == ([0.0, 1.0, 2.0], [[1], [1]], False)
    with pytest.raises(DamagedError, match="the checksum of its header is another"):
        tensors.read(tmp_path / "x")


@pytest.mark.fuzz
@given(st.data())
def test_no_change_of_a_sealed_file_is_read(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x"
        write_sealed(path, {"a": np.arange(6.0).reshape(2, 3), "b": np.array([True, False])}, {"words": ["x", "y"]})
        whole = path.read_bytes()
        start = data.draw(st.integers(0, len(whole)))
        end = data.draw(st.integers(start, min(start + 9, len(whole))))
        changed = whole[:start] + data.draw(st.binary(max_size=9)) + whole[end:]
        path.write_bytes(changed)
        if changed == whole:
            tensors.read(path)
        else:
            with pytest.raises(DamagedError):
                tensors.read(path)


headers = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**65), 2**65) | st.floats() | st.text(max_size=5),
    lambda values: (
        st.lists(values, max_size=4)
        | st.dictionaries(st.sampled_from(["dtype", "shape", "data_offsets", "__metadata__", "a", "..", "\0"]), values)
        | st.fixed_dictionaries(
            {
                "dtype": st.sampled_from(["F32", "BOOL", "U8", "F64"]) | values,
                "shape": st.lists(st.integers(0, 3), max_size=3) | values,
                "data_offsets": st.lists(st.integers(0, 40), min_size=2, max_size=2) | values,
            }
        )
    ),
    max_leaves=20,
)


@pytest.mark.fuzz
@given(headers, st.binary(max_size=40))
def test_any_header_is_read_as_its_library_reads_it_or_refused(contents: Any, data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x"
        text = json.dumps(contents).encode()
        path.write_bytes(struct.pack("<Q", len(text)) + text + data)
        try:
            found, _ = tensors.read(path, need_seal=False)
        except DamagedError as error:
            if "\n" in str(error):
                raise AssertionError("more than one line") from error
            return
        theirs = load_file(path)
        assert {name: a.tobytes() for name, a in found.items()} == {name: a.tobytes() for name, a in theirs.items()}


# -- sealed JSON -----------------------------------------------------------------------------------------------------

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@pytest.mark.fuzz
@given(
    st.dictionaries(st.text(min_size=1).filter(lambda key: key not in ("kind", "format", "sha256")), values), st.data()
)
def test_sealed_json_comes_back_and_no_change_of_it_does(contents: dict[str, Any], data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x"
        sealed.write(path, "test", 1, contents)
        assert sealed.read(path, "test", 1) == contents
        whole = bytearray(path.read_bytes())
        bit = data.draw(st.integers(0, 8 * len(whole) - 1))
        whole[bit // 8] ^= 1 << bit % 8
        path.write_bytes(whole)
        with pytest.raises(lk.LayerkitError):
            sealed.read(path, "test", 1)


@pytest.mark.fuzz
@given(st.binary() | values.map(lambda value: json.dumps(value).encode()))
def test_anything_else_is_refused_in_one_line(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x"
        path.write_bytes(content)
        with pytest.raises(lk.LayerkitError) as caught:
            sealed.read(path, "test", 1)
        assert "\n" not in str(caught.value)


def test_numbers_that_json_does_not_know_are_text() -> None:
    assert sealed.parse(sealed.dump({"a": float("nan"), 3: (float("inf"),)})) == {"a": "nan", "3": ["inf"]}


def test_a_file_too_large_to_be_read_again_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealed, "MOST", 100)
    with pytest.raises(lk.LayerkitError, match=r"a test of 1,0\d\d bytes is too large: log and evaluate less often"):
        sealed.write(tmp_path / "x", "test", 1, {"a": "x" * 1000})
    (tmp_path / "x").write_bytes(bytes(101))
    with pytest.raises(DamagedError, match="x is damaged: it has 101 bytes, and at most 100 make sense"):
        sealed.read(tmp_path / "x", "test", 1)


# -- the disk --------------------------------------------------------------------------------------------------------


def test_what_cannot_be_replaced_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x"
    disk.replace(path, [b"old"])

    def full(handle: int, data: Any) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space left"):
        disk.replace(path, [b"new"])
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("x", b"old")]


def test_a_write_that_takes_only_some_bytes_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write, readv = os.write, os.readv
    monkeypatch.setattr(os, "write", lambda handle, data: write(handle, data[:3]))
    monkeypatch.setattr(os, "readv", lambda handle, views: readv(handle, [views[0][:5]]))
    disk.replace(tmp_path / "x", [b"a long", b" text", np.arange(3, dtype="uint8")])
    assert disk.read(tmp_path / "x", 100) == b"a long text\0\1\2"


def test_a_file_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x"
    disk.replace(path, [b"text"])

    def broken(handle: int, views: Any) -> int:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "readv", broken)
    with pytest.raises(DamagedError, match="x cannot be read: input/output error"):
        disk.read(path, 100)
    monkeypatch.setattr(os, "readv", lambda handle, views: 0)
    with pytest.raises(DamagedError, match="x is damaged: it ends before it should"):
        disk.read(path, 100)


def test_a_draft_of_a_dead_process_with_the_same_number_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / f".x.{os.getpid()}.draft").write_text("half")
    disk.replace(tmp_path / "x", [b"whole"])
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


@contextlib.contextmanager
def direct(works: bool) -> Iterator[list[int]]:
    """In the ``with`` block disks do, or do not, take bytes from a program's memory; lists what they were asked."""
    fcntl = pytest.importorskip("fcntl")
    asked: list[int] = []

    def switch(handle: int, command: int, value: int = 0) -> int:
        if command == fcntl.F_SETFL:
            asked.append(value & os.O_DIRECT)
            if not works:
                raise OSError(errno.EINVAL, "Invalid argument")
        return 0

    with mock.patch.object(fcntl, "fcntl", switch):
        yield asked


@pytest.mark.skipif(not hasattr(os, "O_DIRECT"), reason="there is no other way to write")
@pytest.mark.parametrize("works", [True, False])
@pytest.mark.parametrize("at_once", [100, disk.PAGE, 1 << 20])
def test_pages_are_written_to_any_disk_in_any_pieces(
    works: bool, at_once: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that takes bytes from memory takes whole pages; where it refuses, they go the way of all others."""
    write, pages = os.write, os.urandom(3 * disk.PAGE)
    with direct(works) as asked:

        def some(handle: int, data: Any) -> int:
            if asked[-1] and works and at_once % disk.PAGE:
                raise OSError(errno.EINVAL, "Invalid argument")
            return write(handle, data[:at_once])

        monkeypatch.setattr(os, "write", some)
        disk.write_pages(tmp_path / "x", memoryview(pages), 2 * disk.PAGE + 5)
    assert (tmp_path / "x").read_bytes() == pages[: 2 * disk.PAGE + 5]
    assert len(asked) == (2 if works and at_once % disk.PAGE else 1)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EINVAL])
def test_a_disk_that_takes_no_pages_at_all(code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int, data: Any) -> int:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match=os.strerror(code)):
        disk.write_pages(tmp_path / "x", memoryview(bytes(disk.PAGE)), 5)


# -- the lock --------------------------------------------------------------------------------------------------------

HOLD = """
import sys, time
from pathlib import Path
from layerkit.files.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def holder(folder: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_two_processes_are_kept_apart_and_a_dead_one_leaves_nothing_locked(tmp_path: Path) -> None:
    process = holder(tmp_path)
    try:
        with pytest.raises(InUseError) as caught, locked(tmp_path):
            pytest.fail("two at once")
        assert f"{tmp_path} is in use by process {process.pid} on " in str(caught.value)
        assert str(caught.value).endswith(": wait until it has ended, or give another folder")
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
    assert (tmp_path / lock.NAME).exists()
    with locked(tmp_path):
        assert (tmp_path / lock.NAME).read_text().startswith(f"{os.getpid()} on ")
    assert list(tmp_path.iterdir()) == []


def test_the_same_process_comes_in_again_and_others_wait_for_the_last_to_leave(tmp_path: Path) -> None:
    code = (
        f"from pathlib import Path\nfrom layerkit.files.lock import locked\nwith locked(Path({str(tmp_path)!r})): pass"
    )
    other = lambda: subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    with locked(tmp_path):
        with locked(tmp_path / "." / "x" / ".."):
            pass
        assert "is in use by process" in other().stderr
    assert other().returncode == 0
    assert list(tmp_path.iterdir()) == []


def test_a_fork_has_not_its_parents_lock(tmp_path: Path) -> None:
    with locked(tmp_path):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of threads that other tests have left running
            child = os.fork()
        if not child:
            try:
                with locked(tmp_path):
                    os._exit(1)
            except InUseError:
                os._exit(7)
            os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def test_a_folder_that_cannot_be_written_to(tmp_path: Path) -> None:
    with pytest.raises(lk.LayerkitError, match="nowhere cannot be written to: no such"), locked(tmp_path / "nowhere"):
        pytest.fail("locked")


def test_a_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fcntl

    def none(handle: int, how: int) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "lockf", none)
    message = r"cannot be locked \(no locks available\): see to it that no other process writes there"
    with pytest.warns(LayerkitWarning, match=message), locked(tmp_path):
        assert (tmp_path / lock.NAME).exists()
