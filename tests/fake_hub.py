"""A Hugging Face Hub on this machine: the part of its HTTP interface that publishing and fetching a model uses.

It speaks what `huggingface_hub` speaks: repositories, branches, commits as lines of JSON, large files by git LFS,
errors by status and ``X-Error-Code``. Repositories and what was asked are open to the tests.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

TOKEN = "hf_of_the_owner"
OWNER = "lab"
LARGE = (".onnx", ".safetensors", ".npz", ".pyz")
"""Ends of names that the Hub wants by LFS."""


@dataclass
class Repository:
    private: bool = False
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    """Hash -> all files at that commit."""
    branches: dict[str, str] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)

    def add(self, files: dict[str, bytes], branch: str = "main", message: str = "") -> str:
        """Commit ``files`` on top of the branch; returns the hash."""
        everything = {**self.commits.get(self.branches.get(branch, ""), {}), **files}
        commit = hashlib.sha1(f"{len(self.commits)}{sorted(everything)}".encode()).hexdigest()
        self.commits[commit], self.branches[branch] = everything, commit
        self.messages.append(message)
        return commit

    def files(self, branch: str = "main") -> dict[str, bytes]:
        """What the branch holds now."""
        return self.commits[self.branches[branch]]


class RefusedError(Exception):
    """An answer with an error status."""

    def __init__(self, status: int, code: str = "", message: str = "") -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


@dataclass
class FakeHub:
    repositories: dict[str, Repository] = field(default_factory=dict)
    stored: dict[str, bytes] = field(default_factory=dict)
    """sha256 -> content of large files."""
    requests: list[str] = field(default_factory=list)
    """``METHOD path`` of everything that was asked."""
    ignored: set[str] = field(default_factory=set)
    """Names that the repository's .gitignore keeps out."""
    url: str = ""

    def create(self, body: Any, token: str) -> Any:
        if token != TOKEN:
            raise RefusedError(401, message="Invalid username or password.")
        namespace = body.get("organization") or OWNER
        if namespace != OWNER:
            raise RefusedError(403, message="You don't have the rights to create a model under this namespace")
        repo_id = f"{namespace}/{body['name']}"
        if repo_id in self.repositories:
            status, answer = 409, {"error": "You already created this model repo", "url": f"{self.url}/{repo_id}"}
            raise RefusedError(status, message=json.dumps(answer))
        repository = self.repositories[repo_id] = Repository(private=body.get("visibility") == "private")
        repository.add({".gitattributes": b"*.onnx filter=lfs\n"})
        return {"url": f"{self.url}/{repo_id}", "name": repo_id}

    def repository(self, repo_id: str, token: str, *, write: bool = False) -> Repository:
        """The repository, if whoever has ``token`` may see it, or write to it."""
        found = self.repositories.get(repo_id)
        if found is None or (found.private and token != TOKEN):
            raise RefusedError(404 if token == TOKEN else 401, "RepoNotFound", "Repository not found")
        if write and (token != TOKEN or not repo_id.startswith(f"{OWNER}/")):
            raise RefusedError(403, message="Forbidden: pass a token with write access")
        return found

    def commit_of(self, repository: Repository, revision: str) -> str:
        commit = repository.branches.get(revision, revision)
        if commit not in repository.commits:
            raise RefusedError(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return commit

    def info(self, repo_id: str, revision: str, token: str) -> Any:
        repository = self.repository(repo_id, token)
        commit = self.commit_of(repository, revision)
        files = [{"rfilename": name} for name in repository.commits[commit]]
        return {"id": repo_id, "sha": commit, "private": repository.private, "siblings": files, "tags": []}

    def preupload(self, body: Any) -> Any:
        modes = [
            {
                "path": file["path"],
                "uploadMode": "lfs" if file["path"].endswith(LARGE) else "regular",
                "shouldIgnore": file["path"] in self.ignored,
                "oid": None,
            }
            for file in body["files"]
        ]
        return {"files": modes}

    def lfs_batch(self, body: Any) -> Any:
        objects = []
        for wanted in body["objects"]:
            actions = {"upload": {"href": f"{self.url}/lfs/{wanted['oid']}"}}
            objects.append({**wanted, **({} if wanted["oid"] in self.stored else {"actions": actions})})
        return {"transfer": "basic", "objects": objects}

    def commit(self, repo_id: str, branch: str, lines: list[Any], token: str) -> Any:
        repository = self.repository(repo_id, token, write=True)
        if branch not in repository.branches:
            raise RefusedError(404, "RevisionNotFound", f"Invalid rev id: {branch}")
        files, message = {}, ""
        for line in lines:
            value = line["value"]
            if line["key"] == "header":
                message = value["summary"]
            elif line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.stored[value["oid"]]
            else:
                raise RefusedError(400, message=f"unknown operation {line['key']}")
        commit = repository.add(files, branch, message)
        return {"success": True, "commitOid": commit, "commitUrl": f"{self.url}/{repo_id}/commit/{commit}"}


class Handler(BaseHTTPRequestHandler):
    hub: FakeHub
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: Any) -> None:
        """Nothing on the terminal."""

    def answer(self) -> None:
        """Any method: find what was asked, and say it or what is wrong."""
        length = int(self.headers.get("Content-Length") or 0)
        chunked = self.headers.get("Transfer-Encoding") == "chunked"
        body = b"".join(self.chunks()) if chunked else self.rfile.read(length)
        # A slash in the name of a branch comes quoted.
        parts = [unquote(part) for part in urlsplit(self.path).path.strip("/").split("/")]
        self.hub.requests.append(f"{self.command} {self.path}")
        try:
            content, headers = self.route(parts, body)
            self.reply(200, content, headers)
        except RefusedError as error:
            is_json = error.message.startswith("{")
            content = (error.message if is_json else json.dumps({"error": error.message})).encode()
            self.reply(error.status, content, {"X-Error-Code": error.code, "X-Error-Message": error.message})

    do_GET = do_HEAD = do_POST = do_PUT = answer  # noqa: N815 - http.server looks for these names

    def chunks(self) -> Iterator[bytes]:
        while size := int(self.rfile.readline(), 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def reply(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def route(self, parts: list[str], body: bytes) -> tuple[bytes, dict[str, str]]:
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        match [self.command, *parts]:
            case [_, owner, name, "resolve", revision, *file]:
                return self.resolve(f"{owner}/{name}", revision, "/".join(file), token)
            case ["PUT", "lfs", oid]:
                if hashlib.sha256(body).hexdigest() != oid:
                    raise RefusedError(400, message="the content is not that of its oid")
                self.hub.stored[oid] = body
                return b"", {}
            case ["POST", "api", "models", owner, name, "commit", branch]:
                lines = [json.loads(line) for line in body.splitlines()]
                return as_json(self.hub.commit(f"{owner}/{name}", branch, lines, token))
        return as_json(self.data(parts, json.loads(body or b"{}"), token))

    def data(self, parts: list[str], body: Any, token: str) -> Any:
        hub = self.hub
        match [self.command, *parts]:
            case ["POST", "api", "repos", "create"]:
                return hub.create(body, token)
            case ["POST", "api", "validate-yaml"]:
                if not body["content"].startswith("---\n"):
                    raise RefusedError(400, message=json.dumps({"errors": [{"message": "no metadata"}]}))
                return {"errors": [], "warnings": []}
            case ["GET", "api", "models", owner, name]:
                return hub.info(f"{owner}/{name}", "main", token)
            case ["GET", "api", "models", owner, name, "revision", revision]:
                return hub.info(f"{owner}/{name}", revision, token)
            case ["POST", "api", "models", owner, name, "branch", branch]:
                repository = hub.repository(f"{owner}/{name}", token, write=True)
                if branch in repository.branches:
                    raise RefusedError(409, message="Reference already exists")
                repository.branches[branch] = repository.branches["main"]
                return {}
            case ["POST", "api", "models", owner, name, "preupload", _]:
                hub.repository(f"{owner}/{name}", token, write=True)
                return hub.preupload(body)
            case ["POST", owner, name, "info", "lfs", "objects", "batch"]:
                hub.repository(f"{owner}/{name.removesuffix('.git')}", token, write=True)
                return hub.lfs_batch(body)
        raise RefusedError(404, message=f"{self.command} {self.path} is not known here")

    def resolve(self, repo_id: str, revision: str, file: str, token: str) -> tuple[bytes, dict[str, str]]:
        repository = self.hub.repository(repo_id, token)
        commit = self.hub.commit_of(repository, revision)
        if file not in repository.commits[commit]:
            raise RefusedError(404, "EntryNotFound", "Entry not found")
        content = repository.commits[commit][file]
        return content, {"X-Repo-Commit": commit, "ETag": f'"{hashlib.sha1(content).hexdigest()}"'}


def as_json(data: Any) -> tuple[bytes, dict[str, str]]:
    return json.dumps(data).encode(), {"Content-Type": "application/json"}


@contextmanager
def serving() -> Iterator[FakeHub]:
    """A Hub that answers at its ``url`` until the end of the block."""
    hub = FakeHub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("OwnHandler", (Handler,), {"hub": hub}))
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
