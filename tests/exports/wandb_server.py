"""A stand-in for the server of Weights & Biases that keeps what ``wandb sync`` reads in the runs and sends."""

from __future__ import annotations

import contextlib
import json
import threading
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class SentRun:
    """What the server has of a run."""

    variables: dict[str, Any] = field(default_factory=dict)
    """Of the call that creates it: project, group, display name, tags and configuration."""
    history: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    exit_code: int | None = None


@dataclass(frozen=True)
class WandbServer:
    """A running server."""

    url: str
    runs: dict[str, SentRun]
    """By their id."""


@contextlib.contextmanager
def serve_wandb() -> Iterator[WandbServer]:
    runs: dict[str, SentRun] = defaultdict(SentRun)

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *arguments: object) -> None:
            pass

        def answer(self, content: object) -> None:
            body = json.dumps(content).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.path == "/graphql":
                self.answer({"data": answer_graphql(runs, body["operationName"], body["variables"])})
                return
            *_, run_id, _ = self.path.split("/")  # /files/entity/project/run_id/file_stream
            receive_stream(runs[run_id], body)
            self.answer({})

        def do_PUT(self) -> None:  # a file of the run
            self.rfile.read(int(self.headers["Content-Length"]))
            self.answer({})

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    url = f"http://127.0.0.1:{server.server_port}"

    def answer_graphql(runs: dict[str, SentRun], operation: str, variables: dict[str, Any]) -> dict[str, Any]:
        if operation == "UpsertBucket":
            run = runs[variables["name"]]
            run.variables |= {name: value for name, value in variables.items() if value is not None}
            project = {"id": "p", "name": variables["project"], "entity": {"id": "e", "name": "entity"}}
            bucket = {"id": "b", "name": variables["name"], "config": "{}", "historyLineCount": 0, "project": project}
            return {"upsertBucket": {"bucket": bucket, "inserted": True}}
        if operation == "CreateRunFiles":
            files = [{"name": name, "uploadUrl": f"{url}/upload/{name}"} for name in variables["files"]]
            return {"createRunFiles": {"runID": "b", "uploadHeaders": [], "files": files}}
        return {}

    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    try:
        yield WandbServer(url, runs)
    finally:
        server.shutdown()
        server.server_close()
        serving.join()


def receive_stream(run: SentRun, body: dict[str, Any]) -> None:
    for name, chunk in body.get("files", {}).items():
        lines = [json.loads(line) for line in chunk["content"]] if name.startswith("wandb-") else []
        if name == "wandb-history.jsonl":
            run.history += lines
        elif name == "wandb-summary.json":
            run.summary = lines[-1]
    if body.get("complete"):
        run.exit_code = body["exitcode"]
