from __future__ import annotations

from pathlib import Path

import pytest

from sim2real.errors import UserError
from sim2real.folders import check_replaceable, complete_directory, replaced_directory, write_text


def test_a_directory_is_replaced_whole(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "before").write_text("")
    with replaced_directory(tmp_path / "x") as new:
        (new / "after").write_text("")
        assert [file.name for file in (tmp_path / "x").iterdir()] == ["before"]
    assert [file.name for file in (tmp_path / "x").iterdir()] == ["after"]
    assert list(tmp_path.iterdir()) == [tmp_path / "x"]


def test_an_error_while_writing_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "before").write_text("")
    with pytest.raises(MemoryError), replaced_directory(tmp_path / "x") as new:
        (new / "half").write_text("")
        raise MemoryError
    assert [file.name for file in (tmp_path / "x").iterdir()] == ["before"]
    assert list(tmp_path.iterdir()) == [tmp_path / "x"]


def test_complete_directory(tmp_path: Path) -> None:
    assert complete_directory(tmp_path / "x") is None
    (tmp_path / "x.old").mkdir()
    assert complete_directory(tmp_path / "x") == tmp_path / "x.old"
    (tmp_path / "x").mkdir()
    assert complete_directory(tmp_path / "x") == tmp_path / "x"


def test_a_file_is_replaced_in_one_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_text(tmp_path / "x.json", "before")
    with monkeypatch.context() as killed, pytest.raises(MemoryError):
        killed.setattr("os.replace", _killed)
        write_text(tmp_path / "x.json", "after")
    assert (tmp_path / "x.json").read_text() == "before"
    write_text(tmp_path / "x.json", "after")
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {"x.json": "after"}


def _killed(*_: object) -> None:
    raise MemoryError


def test_only_a_folder_of_the_same_kind_is_replaced(tmp_path: Path) -> None:
    check_replaceable(tmp_path / "new", ("a", "b"), "a bundle")
    (tmp_path / "a").write_text("")
    check_replaceable(tmp_path, ("a", "b"), "a bundle")
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(UserError, match=r"holds other things than a bundle \(thesis.tex\); give a new folder"):
        check_replaceable(tmp_path, ("a", "b"), "a bundle")
    with pytest.raises(UserError, match="is a file; give a folder"):
        check_replaceable(tmp_path / "a", ("a", "b"), "a bundle")
