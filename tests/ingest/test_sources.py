"""Files, folders, URLs and standard input; ids; what is left out."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import fsspec
import pytest
from tests.ingest.conftest import Write

from m3kit.ingest import Reject, SourceDocument, SourceError, find_sources, read_sources, strict


def ids(*paths: str | Path, **options: str) -> list[str]:
    return [document.id for document in strict(read_sources(paths, **options))]  # type: ignore[arg-type]  # options are of several types


class TestIds:
    def test_they_are_below_what_is_given(
        self, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write("docs/sub/a.txt", "one\n\ntwo")
        write("docs/b.md", "x")
        expected = ["b.md#1", "sub/a.txt#1", "sub/a.txt#2"]
        for directory, given in [
            (tmp_path, "docs"),
            (tmp_path, "./docs/"),
            (tmp_path, str(tmp_path / "docs")),
            (tmp_path / "docs", "."),
            (tmp_path / "docs/sub", ".."),
            (Path("/"), str(tmp_path / "docs")),
        ]:
            monkeypatch.chdir(directory)
            assert ids(given) == expected
        assert ids(tmp_path / "docs/sub/a.txt") == ["a.txt#1", "a.txt#2"]

    def test_two_files_of_one_name_are_refused(self, write: Write, tmp_path: Path) -> None:
        write("v1/a.txt", "x")
        write("v2/a.txt", "y")
        with pytest.raises(SourceError, match=r"v1/a\.txt and .*v2/a\.txt are both 'a\.txt'"):
            find_sources([tmp_path / "v1", tmp_path / "v2"])
        assert ids(tmp_path) == ["v1/a.txt#1", "v2/a.txt#1"]
        assert ids(tmp_path / "v2", prefix="v2") == ["v2/a.txt#1"]

    def test_a_file_that_is_given_twice_is_read_once(
        self, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file = write("a.txt", "x")
        monkeypatch.chdir(tmp_path)
        assert ids("a.txt", file, tmp_path) == ["a.txt#1"]

    def test_a_name_that_is_no_unicode_is_written_out(self, tmp_path: Path) -> None:
        path = os.fsencode(tmp_path) + b"/\xfc.txt"
        try:
            Path(os.fsdecode(path)).write_text("x")
        except OSError:
            pytest.skip("this file system takes no such names")
        assert ids(tmp_path) == ["\\xfc.txt#1"]


class TestFolders:
    def test_what_is_left_out_is_counted_and_named(
        self, write: Write, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        for name in ("b.md", "sub/a.txt", "a.JSONL", "x.png", "sub/y.png", "README"):
            write(name, "" if name.endswith("JSONL") else "x")
        for name in (".git/x.txt", ".x.txt", "index/m3kit.json", "index/a.json"):
            write(name, "{}")
        for name in ("lite.db/LOCK", "lite.db/collections/a.json", "lite.db.c.rejects.jsonl"):
            write(name, "{}")
        (tmp_path / "link").symlink_to(tmp_path / "sub")
        (tmp_path / "gone.txt").symlink_to(tmp_path / "nowhere")
        os.mkfifo(tmp_path / "pipe.txt")
        sources = find_sources([tmp_path])
        assert [file.name for file in sources.files] == ["a.JSONL", "b.md", "sub/a.txt"]
        skipped = {
            Path(entry.location).relative_to(tmp_path).as_posix(): entry.reason
            for entry in sources.skipped
        }
        assert skipped == {
            ".git": "hidden",
            ".x.txt": "hidden",
            "README": "without suffix",
            "gone.txt": "broken links",
            "index": "indexes",
            "link": "linked folders",
            "lite.db": "indexes",
            "lite.db.c.rejects.jsonl": "rejects",
            "pipe.txt": "special",
            "sub/y.png": ".png",
            "x.png": ".png",
        }
        list(read_sources(sources))
        assert caplog.messages[0].startswith("skipped 11 in folders (2 hidden, 2 indexes, 2 .png, ")

    def test_a_folder_without_any_such_file_is_an_error(self, write: Write, tmp_path: Path) -> None:
        write("a.py", "")
        with pytest.raises(SourceError, match=r"no file in this folder ends with \.jsonl"):
            find_sources([tmp_path])

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may read every folder")
    def test_a_folder_that_cannot_be_read_is_rejected(self, write: Write, tmp_path: Path) -> None:
        write("a.txt", "x")
        write("closed/b.txt", "x").parent.chmod(0)
        items = list(read_sources([tmp_path]))
        (tmp_path / "closed").chmod(0o700)
        assert [str(item) for item in items if isinstance(item, Reject)] == [
            "closed/: Permission denied"
        ]

    def test_a_file_that_vanishes_is_rejected(self, write: Write, tmp_path: Path) -> None:
        write("a.txt", "x")
        path = write("b.txt", "y")
        sources = find_sources([tmp_path])
        path.unlink()
        first, second = read_sources(sources)
        assert isinstance(first, SourceDocument)
        assert str(second) == "b.txt: No such file or directory"


class TestFormats:
    def test_an_unknown_suffix_asks_for_the_format(self, write: Write) -> None:
        file = write("a.log", "x")
        with pytest.raises(SourceError, match="give it with --format"):
            find_sources([file])
        assert ids(file, format="txt") == ["a.log#1"]
        with pytest.raises(SourceError, match="'doc' is no format; write one of jsonl"):
            find_sources([file], format="doc")

    def test_a_file_that_is_not_there_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(SourceError, match=r"no\.txt: there is no such file"):
            find_sources([tmp_path / "no.txt"])

    def test_a_single_path_is_no_list(self) -> None:
        with pytest.raises(TypeError, match=r"give a list of paths, such as \['docs'\]"):
            read_sources("docs")

    def test_strict_stops_at_the_first_reject(self, write: Write) -> None:
        file = write("a.jsonl", '{"text": "x"}\n{}\n')
        documents = strict(read_sources([file]))
        assert next(documents).text == "x"
        with pytest.raises(SourceError, match=r"^a\.jsonl:2: no field 'text'"):
            next(documents)

    def test_a_reader_is_imported_for_its_format_alone(self, write: Write) -> None:
        write("a.txt", "x")
        write("b.md", "# x\ny")
        file = write("c.csv", "text\nx\n")
        code = (
            "import sys; from m3kit.ingest import read_sources; "
            f"assert len(list(read_sources([{str(file.parent)!r}]))) == 3; "
            "print({'bs4', 'docx', 'fsspec', 'lxml', 'pyarrow', 'pypdf', 'yaml', 'torch', "
            "'semantic_text_splitter'} & sys.modules.keys())"
        )
        result = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
        assert result.stdout == b"set()\n"

    def test_a_reader_that_is_not_installed_is_named_before_anything_is_read(
        self, write: Write, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "pypdf", None)
        monkeypatch.delitem(sys.modules, "m3kit.ingest.readers.pdf", raising=False)
        with pytest.raises(SourceError, match=r"reading PDF needs pypdf: pip install 'm3kit\[in"):
            read_sources([write("a.txt", "x"), write("a.pdf", "x")])


class TestStdin:
    @pytest.mark.parametrize(
        ("format_", "content"),
        [
            (None, '{"text": "Öl"}'.encode()),
            ("csv", "text\nÖl\n".encode()),
            ("txt", "Öl".encode("utf-16")),
            ("html", "<p>Öl</p>".encode()),
        ],
    )
    def test_it_is_read_from_a_pipe(
        self, monkeypatch: pytest.MonkeyPatch, format_: str | None, content: bytes
    ) -> None:
        reading, writing = os.pipe()
        os.write(writing, content)
        os.close(writing)
        with io.TextIOWrapper(io.BufferedReader(io.FileIO(reading))) as stdin:
            monkeypatch.setattr("sys.stdin", stdin)
            (document,) = strict(read_sources(["-"], format=format_))
            assert (document.id, document.text) == ("stdin#1", "Öl")
            assert not stdin.closed

    def test_lines_are_documents_as_they_come(self, monkeypatch: pytest.MonkeyPatch) -> None:
        reading, writing = os.pipe()
        with io.TextIOWrapper(io.BufferedReader(io.FileIO(reading))) as stdin:
            monkeypatch.setattr("sys.stdin", stdin)
            os.write(writing, b'{"text": "first"}\n')
            documents = strict(read_sources(["-"]))
            os.write(writing, b'{"text": "second"}\n' * 8)
            assert next(documents).text == "first"
            os.close(writing)
            assert len(list(documents)) == 8


class TestProgress:
    @pytest.mark.parametrize("name", ["a.txt", "a.csv", "a.jsonl", "a.md", "a.json"])
    def test_what_is_read_adds_up_to_the_size(self, write: Write, name: str) -> None:
        content = {"a.jsonl": '{"text": "Öl"}\n', "a.json": '{"text": "Öl"}'}
        file = write(name, content.get(name, "text\n\nÖl\n"))
        counts: list[int] = []
        assert list(read_sources([file], on_bytes=counts.append))
        (source,) = find_sources([file]).files
        assert sum(counts) == source.size == file.stat().st_size


class SilentHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


class TestUrls:
    @pytest.fixture
    def server(self, write: Write, tmp_path: Path) -> Iterator[str]:
        write("docs/a.jsonl", '{"text": "over HTTP"}')
        write("docs/b.csv", "text,n\nx,1\n")
        handler = partial(SilentHandler, directory=str(tmp_path))
        with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
            Thread(target=server.serve_forever, daemon=True).start()
            yield f"http://127.0.0.1:{server.server_port}/docs"
            server.shutdown()

    def test_a_page_of_http_is_a_file(self, server: str) -> None:
        items = list(strict(read_sources([f"{server}/a.jsonl?token=x", f"{server}/b.csv"])))
        assert [(item.id, item.text, item.metadata) for item in items] == [
            ("a.jsonl#1", "over HTTP", {}),
            ("b.csv#1", "x", {"n": 1}),
        ]

    def test_what_is_not_there_is_named_without_secrets(self, server: str) -> None:
        url = server.replace("http://", "http://user:secret@")
        with pytest.raises(SourceError) as caught:
            find_sources([f"{url}/no.txt?token=secret"])
        assert str(caught.value) == f"{server}/no.txt: there is no such file"

    def test_a_folder_is_all_files_in_it(self) -> None:
        files = fsspec.filesystem("memory")
        for name in ("a.txt", "sub/b.txt", "sub/.hidden/c.txt", "x.png"):
            files.pipe(f"/m3kit-docs/{name}", b"text")
        try:
            sources = find_sources(["memory://m3kit-docs"])
            assert ids("memory://m3kit-docs/") == ["a.txt#1", "sub/b.txt#1"]
            assert ids("memory://m3kit-docs/sub/b.txt") == ["b.txt#1"]
        finally:
            files.rm("/m3kit-docs", recursive=True)
        assert [(entry.location, entry.reason) for entry in sources.skipped] == [
            ("memory://m3kit-docs/sub/.hidden/c.txt", "hidden"),
            ("memory://m3kit-docs/x.png", ".png"),
        ]

    def test_a_local_url_is_a_folder_like_any(self, write: Write, tmp_path: Path) -> None:
        write("sub/a.txt", "x")
        assert ids(tmp_path.as_uri()) == ["sub/a.txt#1"]

    def test_a_file_system_that_is_not_installed_is_named(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "s3fs", None)
        with pytest.raises(SourceError, match="s3://bucket/docs: Install s3fs to access S3"):
            find_sources(["s3://bucket/docs"])
        with pytest.raises(SourceError, match="nope://x cannot be read: Protocol not known: nope"):
            find_sources(["nope://x"])

    def test_fsspec_that_is_not_installed_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in [name for name in sys.modules if name.split(".")[0] == "fsspec"]:
            monkeypatch.setitem(sys.modules, name, None)
        monkeypatch.delitem(sys.modules, "m3kit.ingest.urls", raising=False)
        with pytest.raises(SourceError, match=r"URLs need fsspec.*pip install 'm3kit\[ingest\]'"):
            find_sources(["s3://bucket/docs"])
