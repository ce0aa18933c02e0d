"""What may be read as a secret, what is refused, and that no error says what was read."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from pillion.errors import RefusedError
from pillion.secrets.catalogue import MOST_FILES, Catalogue, Source
from pillion.secrets.handed import Handed
from pillion.secrets.reading import (
    VALUE_BYTES,
    AbsentError,
    UnusableError,
    Value,
    read_value,
    signature,
)
from pillion.secrets.versions import Versions

if TYPE_CHECKING:
    from pathlib import Path


def nothing(_: str) -> bytes | None:
    return None


def test_a_file_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_bytes(b"hunter2\n")
    value = read_value(Source("db", "file", str(path)).at({}), nothing)
    assert value.data == b"hunter2\n"
    assert value.changed_s == path.stat().st_mtime
    assert "hunter2" not in repr(value)


def test_an_empty_file_is_a_value(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert read_value(Source("e", "file", str(tmp_path / "empty")).at({}), nothing).data == b""


@pytest.mark.parametrize("size", [VALUE_BYTES, VALUE_BYTES + 1])
def test_the_bound_is_one_mebibyte(tmp_path: Path, size: int) -> None:
    path = tmp_path / "large"
    path.write_bytes(b"x" * size)
    place = Source("large", "file", str(path)).at({})
    if size == VALUE_BYTES:
        assert len(read_value(place, nothing).data) == size
    else:
        with pytest.raises(UnusableError, match="holds more than 1048576 bytes"):
            read_value(place, nothing)


def test_a_variable_has_the_same_bound() -> None:
    place = Source("v", "env", "V").at({})
    assert read_value(place, lambda _: b"x" * VALUE_BYTES).changed_s is None
    with pytest.raises(UnusableError):
        read_value(place, lambda _: b"x" * (VALUE_BYTES + 1))
    with pytest.raises(AbsentError, match="the variable V is not there"):
        read_value(place, nothing)


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    before_s = time.monotonic()
    with pytest.raises(UnusableError, match="is not a regular file"):
        read_value(Source("p", "file", str(tmp_path / "pipe")).at({}), nothing)
    assert time.monotonic() - before_s < 5


@pytest.mark.parametrize("path", ["/dev/zero", "/tmp"])
def test_devices_and_directories_are_refused(path: str) -> None:
    with pytest.raises(UnusableError):
        read_value(Source("d", "file", path).at({}), nothing)


@pytest.mark.parametrize("path", ["missing", "file/below", "dangling"])
def test_what_is_not_there_is_absent(tmp_path: Path, path: str) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "dangling").symlink_to("nowhere")
    with pytest.raises(AbsentError) as caught:
        read_value(Source("a", "file", str(tmp_path / path)).at({}), nothing)
    assert caught.value.status == 404


def test_a_loop_of_links_is_unusable(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(UnusableError):
        read_value(Source("l", "file", str(tmp_path / "a")).at({}), nothing)


def test_a_credential_is_in_systemds_directory(tmp_path: Path) -> None:
    (tmp_path / "db").write_text("pw")
    source = Source("db", "credential", "db")
    assert read_value(source.at({"CREDENTIALS_DIRECTORY": str(tmp_path)}), nothing).data == b"pw"
    with pytest.raises(AbsentError, match="CREDENTIALS_DIRECTORY, which is not set"):
        read_value(source.at({}), nothing)


def test_the_files_of_a_mount_are_secrets(tmp_path: Path) -> None:
    version = tmp_path / "..2026_01_01"
    version.mkdir()
    (version / "user").write_text("shop")
    (version / "password").write_text("pw")
    (tmp_path / "..data").symlink_to(version.name)
    for name in ("user", "password"):
        (tmp_path / name).symlink_to(f"..data/{name}")
    (tmp_path / "folder").mkdir()
    catalogue = Catalogue((Source("db", "directory", str(tmp_path), operator_only=True),), {})
    assert [place.name for place in catalogue.all()] == ["db/password", "db/user"]
    place = catalogue.find("db/user")
    assert place.operator_only
    assert read_value(place, nothing).data == b"shop"


@pytest.mark.parametrize(
    "name",
    ["", "db", "db/", "db/..", "db/..data", "db/../etc", "db/a/b", "db/a\0", "other", "/db/a"],
)
def test_no_name_leaves_the_directory(tmp_path: Path, name: str) -> None:
    catalogue = Catalogue((Source("db", "directory", str(tmp_path)),), {})
    with pytest.raises(RefusedError) as caught:
        catalogue.find(name)
    assert caught.value.status == 404


def test_a_directory_of_many_is_bounded(tmp_path: Path) -> None:
    for number in range(MOST_FILES + 20):
        (tmp_path / f"{number:05d}").touch()
    assert len(Catalogue((Source("d", "directory", str(tmp_path)),), {}).all()) == MOST_FILES


def test_a_missing_directory_has_no_secrets(tmp_path: Path) -> None:
    catalogue = Catalogue((Source("d", "directory", str(tmp_path / "no")),), {})
    assert catalogue.all() == []


def test_errors_name_the_place_and_not_the_content(tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(b"s3cret" * 200_000)
    with pytest.raises(UnusableError) as caught:
        read_value(Source("large", "file", str(path)).at({}), nothing)
    assert str(path) in caught.value.detail
    assert "s3cret" not in str(caught.value) + repr(caught.value) + caught.value.detail


def test_a_version_tells_values_apart_and_nothing_else() -> None:
    versions = Versions(b"operator's token")
    first = versions.of("db", b"one")
    assert first == Versions(b"operator's token").of("db", b"one"), (
        "each agent of a run says the same"
    )
    others = [
        versions.of("db", b"two"),
        versions.of("other", b"one"),
        Versions(b"another").of("db", b"one"),
        versions.of("d", b"bone"),
    ]
    assert first not in others
    assert len(first) == 24


def test_handed_variables_come_before_our_own(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = os.memfd_create("test")
    os.write(memory, b"A=one\0AB=two\0EMPTY=\0RAW=\xff\xfe=x\0")
    handed = Handed(memory)
    monkeypatch.setenv("A", "ours")
    monkeypatch.setenv("LATER", "named by a reload")
    assert [handed.variable(name) for name in ("A", "AB", "EMPTY", "RAW")] == [
        b"one",
        b"two",
        b"",
        b"\xff\xfe=x",
    ]
    assert handed.variable("LATER") == b"named by a reload"
    assert handed.variable("B") is None
    handed.close()
    handed.close()
    assert handed.variable("A") == b"ours"


def test_a_signature_changes_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "f"
    assert signature(str(path)) is None
    path.write_text("a")
    first = signature(str(path))
    path.unlink()
    path.write_text("bb")
    assert signature(str(path)) not in (None, first)


def test_a_value_has_no_text_form() -> None:
    assert "s3cret" not in f"{Value(b's3cret', None)}"
