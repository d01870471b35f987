"""fastopt.checkpoint: what comes back, what numpy.load sees, and that no damaged or forged file is read."""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest

import fastopt
import fastopt.train
from fastopt import _metadata, _npz
from fastopt.checkpoint import CheckpointError, read, write

META = {
    "format": "fastopt.optimizer",
    "param_groups": [{"lr": 0.1 + 0.2, "betas": [0.9, 0.999], "params": [0, 1], "schedule": None}],
    "text": 'Grüße, "quotes"\n\x00 \ud800',
    "big": 2**127,
    "true": True,
    "empty": {},
}


def some_arrays():
    rng = np.random.default_rng(3)
    return {
        "state.0.exp_avg": rng.standard_normal((3, 5)).astype("f4"),
        "state.0.step": np.array(7, "i8"),
        "empty": np.zeros((0, 4), "f2"),
        "ema.0/größe": rng.integers(0, 9, 11).astype("u1"),
    }


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.npz"


def assert_equal(found, expected):
    assert list(found) == list(expected)
    for name, array in expected.items():
        assert found[name].dtype == array.dtype
        assert found[name].shape == array.shape
        assert (
            found[name].tobytes() == array.tobytes()
        )  # bits, in logical C order; NaN payloads and -0.0 included


# --- what comes back ----------------------------------------------------------------------------------------


def test_arrays_and_metadata_come_back(path):
    write(path, some_arrays(), META)
    arrays, meta = read(str(path))
    assert_equal(arrays, some_arrays())
    assert meta == META
    assert math.copysign(1, meta["param_groups"][0]["lr"]) == 1
    for array in arrays.values():
        assert type(array) is np.ndarray
        assert array.flags.owndata
        assert array.flags.writeable
        assert array.flags.c_contiguous
        assert array.flags.aligned


@pytest.mark.parametrize("code", ["?", *"bBhHiIqQefdFD"])
@pytest.mark.parametrize("order", "<>")
def test_every_dtype_survives_in_both_byte_orders(path, code, order):
    dtype = np.dtype(code).newbyteorder(order)
    raw = np.random.default_rng(1).integers(0, 2 if code == "?" else 256, 24 * dtype.itemsize, dtype=np.uint8)
    array = raw.view(dtype).reshape(4, 6)  # any bits: NaNs, infinities, subnormals
    write(path, {"a": array}, {})
    assert_equal(read(path)[0], {"a": array})


@pytest.mark.parametrize(
    "make",
    [
        lambda a: a.T,
        np.asfortranarray,
        lambda a: a[::-2, 1::2],
        lambda a: np.broadcast_to(a[0], (3, 6)),
        lambda a: a[1, 2, ...],
        lambda a: a[:, :0],
        lambda a: a.reshape(1, 2, 1, 2, 6, 1),
        lambda a: np.frombuffer(bytes(8 * 4 + 1), "u1")[1:].view("f8"),
    ],
)
def test_every_layout_is_stored_in_logical_order(path, make):
    array = make(np.arange(24.0).reshape(4, 6))
    write(path, {"a": array}, {})
    assert_equal(read(path)[0], {"a": array})


def test_bfloat16_survives_and_numpy_sees_its_bits(path):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    array = np.arange(12).reshape(3, 4).astype(ml_dtypes.bfloat16).T
    scalar = np.array(1.5, ml_dtypes.bfloat16)
    write(path, {"a": array, "s": scalar}, {})
    assert_equal(read(path)[0], {"a": array, "s": scalar})
    np.testing.assert_array_equal(np.load(path)["a"], array.copy().view(np.uint16))


def test_a_memmap_is_stored_like_an_array(path, tmp_path):
    mapped = np.memmap(tmp_path / "m", "f4", "w+", shape=(5,))
    mapped[:] = np.arange(5)
    write(path, {"m": mapped}, {})
    assert_equal(read(path)[0], {"m": np.asarray(mapped)})


def test_tuples_come_back_as_lists_and_numpy_floats_as_floats(path):
    write(path, {}, {"betas": (0.9, np.float64(0.999))})
    arrays, meta = read(path)
    assert arrays == {}
    assert meta == {"betas": [0.9, 0.999]}
    assert type(meta["betas"][1]) is float


def test_numpy_and_zip_tools_read_the_file(path):
    write(path, some_arrays(), META)
    with np.load(path, allow_pickle=False) as loaded:
        assert set(loaded.files) == {"fastopt.json", *some_arrays()}
        assert_equal({name: loaded[name] for name in some_arrays()}, some_arrays())
        assert json.loads(loaded["fastopt.json"])["meta"] == META
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert archive.comment.startswith(b"fastopt sha256 ")
    # Python's zipfile does not look at the counts; other tools do.
    content = path.read_bytes()
    end64 = content.rindex(b"PK\x06\x06")
    assert struct.unpack_from("<QQ", content, end64 + 24) == (5, 5)


def test_equal_content_gives_equal_bytes(path, tmp_path):
    write(path, some_arrays(), META)
    write(tmp_path / "again.npz", some_arrays(), META)
    assert path.read_bytes() == (tmp_path / "again.npz").read_bytes()


# --- damage -------------------------------------------------------------------------------------------------


@pytest.fixture
def content(path):
    write(path, some_arrays(), {"lr": 0.1})
    content = path.read_bytes()
    assert 1500 < len(content) < 3000
    return content


def fresh(path, content):
    path.unlink(missing_ok=True)  # some file systems write a truncated file to disk at once, a new one later
    path.write_bytes(content)


def refused(path, content):
    fresh(path, content)
    with pytest.raises(CheckpointError, match=r"run\.npz: expected"):
        read(path)


def test_every_changed_byte_is_noticed(path, content):
    for position in range(len(content)):
        for change in (0x01, 0x20, 0x80, 0xFF):  # 0x20 is the case of a letter
            damaged = bytearray(content)
            damaged[position] ^= change
            refused(path, damaged)


def test_truncation_at_every_byte_is_noticed(path, content):
    for length in range(len(content)):
        refused(path, content[:length])


def test_additions_removals_and_repetitions_are_noticed(path, content):
    for addition in (b"\0", b"\n", content, content[-79:], bytes(5000)):
        refused(path, content + addition)
        refused(path, addition + content)
    for position in range(0, len(content), 13):
        refused(path, content[:position] + b"\0" + content[position:])
        refused(path, content[:position] + content[position + 1 :])


@pytest.mark.parametrize("kind", ["empty", "text", "savez", "savez_compressed", "npy"])
def test_other_files_are_refused(path, kind):
    buffer = io.BytesIO()
    if kind == "text":
        buffer.write(b"lr,loss\n" * 100)
    elif kind == "npy":
        np.save(buffer, np.eye(4))
    elif kind != "empty":
        getattr(np, kind)(buffer, w=np.zeros(1 << 20))
    refused(path, buffer.getvalue())


def test_missing_files_and_folders_are_reported_as_such(tmp_path):
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "none.npz")
    with pytest.raises(IsADirectoryError):
        read(tmp_path)


@pytest.mark.parametrize(
    "bad",
    [None, 3, {"w": np.ones(2)}, np.ones(2), io.BytesIO(), ["run.npz"], "run\0.npz"],
    ids=lambda bad: type(bad).__name__,
)
def test_what_is_no_path_is_refused_by_name(path, bad):
    opt = fastopt.SGD([np.ones(2)])
    calls = [
        lambda: write(bad, {}, {}),
        lambda: read(bad),
        lambda: fastopt.save(bad, {}),
        lambda: fastopt.load(bad),
        lambda: opt.save(bad),
        lambda: opt.load(bad),
        lambda: fastopt.train.load(bad),
        lambda: fastopt.train.read_data(bad),
    ]
    for call in calls:
        with pytest.raises((TypeError, ValueError), match=r"^path: expected "):
            call()


def test_a_path_that_is_empty_is_no_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for call in (lambda: write("", {}, {}), lambda: read("")):
        with pytest.raises(FileNotFoundError, match="''"):
            call()
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
def test_a_pipe_is_refused_without_waiting_for_its_other_end(path):
    os.mkfifo(path)
    with pytest.raises(CheckpointError, match="expected a regular file"):
        read(path)
    with pytest.raises(OSError, match="expected a regular file"):
        write(path, {}, {})


# --- forgery: the checksum is right, the content lies -------------------------------------------------------


def signed(content):
    return content + b"fastopt sha256 " + hashlib.sha256(content).hexdigest().encode()


def forged(arrays, text=None, *, data=b"", meta=None, **fields):
    """A file with this list of arrays (or JSON text), headers to match, and a right checksum."""
    document = {"format": "fastopt.checkpoint", "version": 1, "arrays": arrays, "meta": meta or {}} | fields
    text = json.dumps(document, separators=(",", ":")).encode() if text is None else text
    members, body = [_npz.Member(b"fastopt.json", 0, len(text))], text
    content = _npz.local_header(members[0]) + body
    for name, dtype, shape in arrays:
        header = _npz.npy_header(dtype, tuple(shape))
        members.append(_npz.Member(f"{name}.npy".encode(), 0, len(header) + len(data)))
        content += _npz.local_header(members[-1]) + header + data
    return signed(content + _npz.directory(members, 79))


def test_the_forger_can_make_good_files(path):
    path.write_bytes(forged([["a", "<u2", [2, 3]]], data=bytes(12), meta={"x": 1}))
    arrays, meta = read(path)
    assert_equal(arrays, {"a": np.zeros((2, 3), "u2")})
    assert meta == {"x": 1}


def test_with_a_right_checksum_only_data_and_metadata_can_differ(path, content):
    unsigned = content[:-79]
    free = set()
    for position in range(len(unsigned)):
        for change in (0x01, 0x80):
            damaged = bytearray(unsigned)
            damaged[position] ^= change
            fresh(path, signed(bytes(damaged)))
            try:
                read(path)
            except CheckpointError:
                continue
            free.add(position)
    elements = [array.tobytes() for array in some_arrays().values() if array.size]
    allowed = {i for e in elements for i in range(unsigned.index(e), unsigned.index(e) + len(e))}
    at = unsigned.index(b'{"lr":0.1}')
    assert allowed <= free
    assert free <= allowed | set(range(at, at + 10))


HUGE = [
    [["a", "<f4", [2**40]]],
    [["a", "<f4", [2**62, 2**62]]],  # overflows to 0 in 64 bits
    [["a", "<f4", [2**32, 2**32, 4]]],
    [["a", "<f4", [10**400]]],
    [["a", "<f4", [0, 2**62, 2**62]]],
    [["a", "<f4", [1] * 33]],
    [["a", "<f4", [-1]]],
    [["a", "<f4", [-1, -1]]],
    [["a", "<f4", [True]]],
    [["a", "<f4", [1.0]]],
]
LIES = [
    [["a", "|O", [1]]],
    [["a", "<U1", [1]]],
    [["a", "f4", [1]]],
    [["a", "<f16", [1]]],
    [["a", "<u4", [1]], ["a", "<u4", [1]]],
    [["../a", "<u4", [1]]],
    [["/a", "<u4", [1]]],
    [["a.npy", "<u4", [1]]],
    [["fastopt.json", "<u4", [1]]],
    [["", "<u4", [1]]],
    [["a\n", "<u4", [1]]],
]


@pytest.mark.parametrize("arrays", HUGE + LIES, ids=str)
def test_a_list_of_arrays_that_lies_is_refused_before_memory_is_taken(path, arrays):
    path.write_bytes(forged(arrays, data=bytes(4)))
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError):
            read(path)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


GOOD_TEXT = b'{"format":"fastopt.checkpoint","version":1,"arrays":[],"meta":{}}'


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"meta":' * 100_000,
        GOOD_TEXT.replace(b"{}", b"[" * 500 + b"]" * 500),
        GOOD_TEXT.replace(b"{}", b'{"a":' * 70 + b"1" + b"}" * 70),
        GOOD_TEXT.replace(b"{}", b'{"a":NaN}'),
        GOOD_TEXT.replace(b"{}", b'{"a":1e999}'),
        GOOD_TEXT.replace(b"{}", b'{"a":' + b"9" * 5000 + b"}"),
        GOOD_TEXT.replace(b"{}", b'{"a":1,"a":2}'),
        GOOD_TEXT.replace(b"{}", b"3"),
        GOOD_TEXT.replace(b"[]", b"{}"),
        GOOD_TEXT.replace(b"[]", b"[[]]"),
        GOOD_TEXT.replace(b"[]", b'["abc"]'),
        GOOD_TEXT.replace(b":1,", b":1.0,"),
        GOOD_TEXT.replace(b":1,", b":true,"),
        GOOD_TEXT.replace(b"checkpoint", b"optimizer"),
        GOOD_TEXT + b" ",
        GOOD_TEXT[:-1] + b',"more":1}',
        GOOD_TEXT.decode().encode("utf-16"),
    ],
    ids=range(22),
)
def test_metadata_that_is_not_as_we_write_it_is_refused(path, text):
    path.write_bytes(forged([], GOOD_TEXT))
    assert read(path) == ({}, {})
    path.write_bytes(forged([], text))
    with pytest.raises(CheckpointError):
        read(path)


def test_bytes_between_directory_and_checksum_are_refused(path):
    content = forged([], GOOD_TEXT)[:-79]
    path.write_bytes(signed(content + b"more"))
    with pytest.raises(CheckpointError, match="nothing behind the directory"):
        read(path)


def test_a_newer_version_is_named(path):
    path.write_bytes(forged([], version=2))
    with pytest.raises(CheckpointError, match="version: expected 1, the only one this fastopt reads, got 2"):
        read(path)


def test_a_compressed_member_is_refused(path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("fastopt.json", json.dumps({"arrays": [["a", "<u1", [10**8]]]}))
        archive.writestr("a.npy", bytes(10**6))
    refused(path, signed(buffer.getvalue()))


# --- what cannot be written ---------------------------------------------------------------------------------


def nested(levels):
    meta = {}
    for _ in range(levels):
        meta = {"a": meta}
    return meta


@pytest.mark.parametrize(
    ("arrays", "meta", "error", "message"),
    [
        ([np.eye(2)], {}, TypeError, "arrays: expected a dict of arrays, got list"),
        ({1: np.eye(2)}, {}, TypeError, "arrays: expected names of type str, got 1"),
        ({"w": [1.0]}, {}, TypeError, r"arrays\['w'\]: expected a NumPy array without mask, got list"),
        ({"w": np.ma.masked_array([1.0])}, {}, TypeError, r"arrays\['w'\]: .*got MaskedArray"),
        ({"w": np.array([None])}, {}, TypeError, r"arrays\['w'\]: expected booleans or numbers.*got object"),
        ({"w": np.array(["a"])}, {}, TypeError, r"arrays\['w'\]: expected booleans or numbers"),
        ({"w": np.zeros(1, "f4,i4")}, {}, TypeError, r"arrays\['w'\]: "),
        ({"w": np.zeros(1, "M8[s]")}, {}, TypeError, r"arrays\['w'\]: "),
        ({"": np.eye(2)}, {}, ValueError, "arrays: expected names of 1 to 60000 printable bytes, got ''"),
        ({"a" * 60001: np.eye(2)}, {}, ValueError, "arrays: expected names of 1 to"),
        ({"a\0": np.eye(2)}, {}, ValueError, "arrays: expected names of 1 to"),
        ({"\ud800": np.eye(2)}, {}, ValueError, "arrays: expected names of 1 to"),
        ({"a.npy": np.eye(2)}, {}, ValueError, "not ending in .npy"),
        ({"fastopt.json": np.eye(2)}, {}, ValueError, "names other than fastopt.json"),
        ({"../a": np.eye(2)}, {}, ValueError, "no path out of a folder"),
        ({"/a": np.eye(2)}, {}, ValueError, "no path out of a folder"),
        ({}, [], TypeError, "meta: expected a dict, got list"),
        ({}, {"a": {1: 2}}, TypeError, r"meta\['a'\]: expected keys of type str, got 1"),
        (
            {},
            {"a": [0, {2}]},
            TypeError,
            r"meta\['a'\]\[1\]: expected what JSON can hold, got \{2\} of type set",
        ),
        ({}, {"a": np.int64(1)}, TypeError, r"meta\['a'\]: expected what JSON can hold"),
        ({}, {"a": math.nan}, ValueError, r"meta\['a'\]: expected a finite number"),
        ({}, {"a": [math.inf]}, ValueError, r"meta\['a'\]\[0\]: expected a finite number"),
        ({}, nested(65), ValueError, "meta: expected at most 64 levels"),
    ],
)
def test_what_cannot_be_stored_is_refused_and_the_old_file_stays(path, arrays, meta, error, message):
    path.write_bytes(b"old")
    with pytest.raises(error, match=message):
        write(path, arrays, meta)
    assert path.read_bytes() == b"old"
    assert os.listdir(path.parent) == ["run.npz"]


def test_metadata_too_large_to_be_read_back_is_not_written(path, monkeypatch):
    write(path, {}, {"a": "x" * 1000})
    monkeypatch.setattr(_metadata, "MAX_JSON", 1000)
    with pytest.raises(ValueError, match="meta: expected at most 1000 bytes of JSON"):
        write(path, {}, {"a": "x" * 1000})
    with pytest.raises(CheckpointError, match="as first member"):
        read(path)


def test_a_schedule_and_a_loader_state_fit_into_metadata(path):
    schedule = fastopt.schedules.warmup_then(fastopt.schedules.step(0.1, milestones=[3, 9]), warmup=2)
    loader = fastopt.batches(np.arange(9), batch_size=2, seed=2**100, groups=np.arange(9) // 2)
    next(loader)
    write(path, {}, {"schedule": schedule.describe(), "loader": loader.state_dict()})
    meta = read(path)[1]
    assert fastopt.schedules.from_description(meta["schedule"]) == schedule
    loader.load_state_dict(meta["loader"])
