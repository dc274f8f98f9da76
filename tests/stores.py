"""An S3 server of the tests' own on loopback, and what is looked up in it."""

import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.request import Request, urlopen
from uuid import uuid4

from atal_ray.store.folder import Folder

SERVER = """
import sys, threading
from moto.s3.responses import S3Response
from moto.server import main

lock, put_object = threading.Lock(), S3Response.put_object

def put_in_one_step(self):  # as S3 does; moto looks at the condition of a write, and then writes
    with lock:
        return put_object(self)

S3Response.put_object = put_in_one_step
main(sys.argv[1:])
"""


@dataclass(frozen=True)
class Store:
    """The address of a running server."""

    address: str

    @property
    def query(self) -> str:
        return f"?endpoint_override={self.address}&scheme=http"

    def uri(self, path: str) -> str:
        return f"s3://{path}{self.query}"

    def bucket(self) -> str:
        """A new, empty bucket."""
        name = f"bucket-{uuid4().hex[:8]}"
        Folder(f"{self.uri(name)}&allow_bucket_creation=true").make()
        return name

    def folder(self) -> Folder:
        """A folder that was never made, in a bucket of its own."""
        return Folder(self.uri(f"{self.bucket()}/runs/first"))

    def upload(self, local: Path, name: str) -> str:
        """The URI of a copy of a local folder."""
        uri = self.uri(f"{self.bucket()}/{name}")
        Folder(uri).copy_tree(local)
        return uri

    def allow_without_credentials(self, requests: float) -> None:
        """From so many requests on, the server looks at credentials."""
        url, plain = f"http://{self.address}/moto-api/reset-auth", {"Content-Type": "text/plain"}
        urlopen(Request(url, str(requests).encode(), plain, method="POST")).close()


def start_server() -> "tuple[Store, subprocess.Popen[bytes]]":
    """Start moto's server on a free port and wait until it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-c", SERVER, "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while True:
        try:
            urlopen(f"http://127.0.0.1:{port}/moto-api/").close()
            return Store(f"127.0.0.1:{port}"), process
        except OSError:
            assert process.poll() is None, "the S3 server did not start"
            assert time.monotonic() < deadline, "the S3 server does not answer"
            time.sleep(0.1)
