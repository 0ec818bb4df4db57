"""A stand-in for the Hugging Face Hub on loopback: as much of its interface as its own client asks for."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

_API = re.compile(r"/api/models/(?P<repo>[^/]+/[^/]+)(?:/(?P<what>[a-z]+)/(?P<revision>[^/]+))?")
_FILE = re.compile(r"/(?P<repo>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<path>.+)")


class Hub:
    """Repositories as files by path, in commits; ``requests`` is what was asked."""

    def __init__(self) -> None:
        self.commits: dict[tuple[str, str], dict[str, bytes]] = {}
        self.branches: dict[tuple[str, str], str] = {}
        self.requests: list[str] = []
        self.created: list[dict] = []
        self.withheld = ""
        """A file that the hub refuses to hand out."""
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.server.daemon_threads = True
        self.server.block_on_close = False  # the client keeps its connections
        self.endpoint = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def commit(self, repo: str, files: dict[str, bytes], branch: str = "main") -> str:
        """Put files where a branch is now, and return the commit."""
        oid = hashlib.sha1(repr((repo, len(self.commits), sorted(files))).encode()).hexdigest()
        self.commits[repo, oid], self.branches[repo, branch] = files, oid
        return oid

    def found(self, repo: str, revision: str) -> tuple[str, dict[str, bytes]] | None:
        """The commit that a revision is, and its files."""
        oid = self.branches.get((repo, revision), revision)
        files = self.commits.get((repo, oid))
        return None if files is None else (oid, files)

    def close(self) -> None:
        """End it; whoever asks then finds nobody."""
        self.is_closed = True
        self.server.shutdown()
        self.server.server_close()

    is_closed = False


def _handler(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def answer(self, code, content=b"", **headers):
            if hub.is_closed:  # on a connection that was kept
                self.close_connection = True
                return
            body = json.dumps(content).encode() if isinstance(content, (dict, list)) else content
            self.send_response(code)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def do_GET(self):
            path = unquote(urlsplit(self.path).path)
            hub.requests.append(f"{self.command} {path}")
            if match := _FILE.fullmatch(path):
                return self.file(**match.groupdict())
            match = _API.fullmatch(path)
            if match is None:
                return self.answer(404, {"error": path})
            repo, what = match["repo"], match["what"]
            found = hub.found(repo, match["revision"] or "main")
            if found is None:
                is_known = any(name == repo for name, _ in hub.commits)
                code = "RevisionNotFound" if is_known else "RepoNotFound"
                return self.answer(404, {"error": code}, X_Error_Code=code)
            oid, files = found
            if what == "tree":
                return self.answer(200, [_entry(name, content) for name, content in files.items()])
            siblings = [{"rfilename": name} for name in files]
            return self.answer(200, {"id": repo, "modelId": repo, "sha": oid, "siblings": siblings})

        do_HEAD = do_GET  # noqa: N815 - as http.server calls it

        def file(self, repo, revision, path):
            found = hub.found(repo, revision)
            if found is None or path not in found[1]:
                return self.answer(404, {"error": path}, X_Error_Code="EntryNotFound")
            if path == hub.withheld:
                return self.answer(403, {"error": path})
            content = found[1][path]
            etag = f'"{hashlib.sha1(content).hexdigest()}"'
            return self.answer(200, content, ETag=etag, X_Repo_Commit=found[0])

        def do_POST(self):
            path = unquote(urlsplit(self.path).path)
            hub.requests.append(f"POST {path}")
            body = self.body()
            if path == "/api/repos/create":
                hub.created.append(json.loads(body))
                name = "{organization}/{name}".format(**hub.created[-1])
                return self.answer(200, {"url": f"{hub.endpoint}/{name}"})
            if path == "/api/validate-yaml":
                return self.answer(200, {"errors": [], "warnings": []})
            match = _API.fullmatch(path)
            if match["what"] == "preupload":
                asked = [file["path"] for file in json.loads(body)["files"]]
                files = [{"path": each, "uploadMode": "regular", "shouldIgnore": False} for each in asked]
                return self.answer(200, {"files": files})
            lines = [json.loads(line) for line in body.splitlines()]
            added = {
                line["value"]["path"]: base64.b64decode(line["value"]["content"])
                for line in lines
                if line["key"] == "file"
            }
            oid = hub.commit(match["repo"], added, match["revision"])
            url = f"{hub.endpoint}/{match['repo']}/commit/{oid}"
            return self.answer(200, {"success": True, "commitOid": oid, "commitUrl": url})

        def body(self):
            if self.headers.get("Transfer-Encoding") != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length", 0)))
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)

    return Handler


def _entry(name: str, content: bytes) -> dict:
    return {"type": "file", "path": name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
