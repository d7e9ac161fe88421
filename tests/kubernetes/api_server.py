"""The part of a Kubernetes API that Snakemake's plugin calls. A job's command is run on this machine.

This is no cluster: it makes no container, and it knows no queue. It keeps the specs of the jobs.
"""

import base64
import json
import os
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlparse


class Api(ThreadingHTTPServer):
    """The API server.

    Attributes:
        specs: The jobs in the order in which they came, as the plugin sent them.
        logs: What their commands printed.
    """

    daemon_threads = True

    def __init__(self, folder: Path, environment: dict[str, str]):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder, self.environment = folder, environment
        self.secrets: dict[str, dict] = {}
        self.specs: list[dict] = []
        self.status: dict[str, dict] = {}
        self.logs: list[str] = []

    def config(self) -> Path:
        """Write a kubeconfig that names this server. Returns its path."""
        server = {"server": f"http://127.0.0.1:{self.server_address[1]}"}
        text = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "here", "cluster": server}],
            "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
            "users": [{"name": "me", "user": {}}],
            "current-context": "here",
        }
        path = self.folder / "kubeconfig"
        path.write_text(json.dumps(text))
        return path

    def submit(self, job: dict) -> None:
        """Keep the spec of a job, and run the command of its container in an empty folder."""
        self.specs.append(job)
        name = job["metadata"]["name"]
        self.status[name] = {"active": 1}
        threading.Thread(target=self._run, args=(name, job), daemon=True).start()

    def _run(self, name: str, job: dict) -> None:
        container = job["spec"]["template"]["spec"]["containers"][0]
        variables = {}
        for variable in container["env"]:
            key = variable["valueFrom"]["secretKeyRef"]
            value = self.secrets[key["name"]]["data"][key["key"]]
            variables[variable["name"]] = base64.b64decode(value).decode()
        where = self.folder / name
        where.mkdir()
        done = subprocess.run(
            [*container["command"], *container["args"]],
            cwd=where,
            env=self.environment | variables,
            capture_output=True,
            text=True,
            check=False,
        )
        self.logs.append(done.stdout + done.stderr)
        self.status[name] = {"succeeded": 1} if done.returncode == 0 else {"failed": 1}


class _Handler(BaseHTTPRequestHandler):
    server: Api

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path.split("?")[0].endswith("/jobs"):
            self.server.submit(body)
        else:
            self.server.secrets[body["metadata"]["name"]] = body
        self._answer(201, body)

    def do_GET(self):
        path = urlparse(self.path).path
        if path.endswith("/pods"):
            return self._answer(200, {"kind": "PodList", "apiVersion": "v1", "items": []})
        name = path.removesuffix("/status").rsplit("/", 1)[-1]
        return self._answer(200, {"metadata": {"name": name}, "status": self.server.status[name]})

    def do_DELETE(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self._answer(200, {"kind": "Status", "apiVersion": "v1", "status": "Success"})

    def _answer(self, code, body):
        text = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


def without_pip(folder: Path) -> dict[str, str]:
    """This process's environment with a `pip` that does nothing: the plugins are there, as in the image."""
    pip = folder / "bin" / "pip"
    pip.parent.mkdir()
    pip.write_text("#!/bin/sh\n")
    pip.chmod(0o755)
    return os.environ | {"PATH": f"{pip.parent}:{os.environ['PATH']}"}
