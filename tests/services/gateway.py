"""A real S3 server on this machine: `rgw.sh` from Python."""

import os
import re
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import fsspec

__all__ = ["ACCESS_KEY", "SECRET_KEY", "Gateway", "Request", "obstacle"]

ACCESS_KEY: Final = "test-access-key"
SECRET_KEY: Final = "test-secret-key"
_SCRIPT: Final = Path(__file__).with_name("rgw.sh")
_COMMANDS: Final = ("radosgw", "radosgw-admin", "ceph-mon", "ceph-osd", "ceph", "monmaptool", "curl")
_STARTS: Final = 3
"""Ports that were free may be taken a moment later."""
_MARKERS: Final = 2
"""A request is logged a moment after it was answered, by which time the next may have been, too."""
_PATIENCE_S: Final = 60.0
_REQUEST: Final = re.compile(r'beast: .* "(?P<method>[A-Z]+) (?P<target>\S+) HTTP/1\.1" (?P<status>\d+) ')


def obstacle() -> str | None:
    """Return why the server cannot be started here; None if it can."""
    missing = [command for command in _COMMANDS if shutil.which(command) is None]
    if missing:
        return f"{', '.join(missing)} not installed: make services (Debian: apt-get install radosgw ceph-mon ceph-osd)"
    return None


class Request(NamedTuple):
    """A line of the gateway's own log."""

    method: str
    target: str
    """Path and query."""
    status: int


class Gateway:
    """One gateway with its storage, in a folder.

    Parameters
    ----------
    folder
        Created, or gone on with.
    store
        `memstore` starts in two seconds and forgets everything when it is killed; `bluestore` survives.
    """

    def __init__(self, folder: Path, store: Literal["memstore", "bluestore"]) -> None:
        self._folder = folder
        self._store = store
        self.port = 0
        self._buckets = 0
        for attempt in range(_STARTS):
            self.port, monitor_port = _free_ports()
            done = self._run("start", str(self.port), str(monitor_port))
            if done.returncode == 0:
                break
            self.remove()
            if attempt == _STARTS - 1:
                raise RuntimeError(f"the gateway does not start: {done.stderr}")

    @property
    def url(self) -> str:
        """Where S3 is spoken."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def storage_options(self) -> dict[str, Any]:
        """What a user of ours would give."""
        return {"endpoint_url": self.url, "key": ACCESS_KEY, "secret": SECRET_KEY}

    def new_bucket(self) -> str:
        """Create a bucket and return its name."""
        self._buckets += 1
        name = f"bucket-{os.getpid()}-{self._buckets}"
        self.client().call_s3("create_bucket", Bucket=name)
        return name

    def client(self) -> Any:
        """Return plain s3fs, none of our own code."""
        return fsspec.filesystem("s3", **self.storage_options, use_listings_cache=False)

    def objects(self, bucket: str) -> dict[str, bytes]:
        """Return everything in a bucket by its key."""
        client = self.client()
        return {name.partition("/")[2]: client.cat_file(name) for name in client.find(bucket)}

    def uploads(self, bucket: str) -> list[str]:
        """Return the keys of unfinished uploads in parts."""
        answer = self.client().call_s3("list_multipart_uploads", Bucket=bucket)
        return [upload["Key"] for upload in answer.get("Uploads", ())]

    def requests(self, bucket: str) -> list[Request]:
        """Return the finished requests about a bucket in their order, as the gateway logged them."""
        for _ in range(_MARKERS):
            self._wait_for_log()
        found = (Request(one["method"], one["target"], int(one["status"])) for one in _REQUEST.finditer(self._log()))
        return [request for request in found if request.target.startswith((f"/{bucket}/", f"/{bucket}?"))]

    def _wait_for_log(self) -> None:
        """Have a request of our own logged, and with it what came before; a gateway that is gone logs nothing more."""
        marker = f"/logged-{uuid.uuid4().hex}"
        try:
            urllib.request.urlopen(f"{self.url}{marker}", timeout=_PATIENCE_S).close()  # noqa: S310 - our own address
        except urllib.error.HTTPError:
            pass  # it was refused, and that is logged, too
        except OSError:
            return
        give_up_s = time.monotonic() + _PATIENCE_S
        while marker not in self._log():
            if time.monotonic() > give_up_s:
                raise RuntimeError(f"the gateway has not logged {marker} in {_PATIENCE_S:.0f} s")
            time.sleep(0.01)

    def _log(self) -> str:
        return (self._folder / "log" / "client.rgw.log").read_text(errors="replace")

    def crash(self, which: Literal["rgw", "osd", "mon", "all"] = "all") -> None:
        """Kill with SIGKILL."""
        self._run("crash", which)

    def restart(self) -> None:
        """Start what was killed, at the same place."""
        done = self._run("start")
        if done.returncode:
            raise RuntimeError(f"the gateway does not start again: {done.stderr}")

    def remove(self) -> None:
        """Kill everything and remove the folder."""
        self.crash()
        with suppress(FileNotFoundError):
            shutil.rmtree(self._folder)

    def _run(self, command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(_SCRIPT), command, str(self._folder), *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            env=os.environ
            | {
                "RGW_STORE": self._store,
                "RGW_OWNER": str(os.getpid()),
                "RGW_ACCESS_KEY": ACCESS_KEY,
                "RGW_SECRET_KEY": SECRET_KEY,
            },
        )


@contextmanager
def running(folder: Path, store: Literal["memstore", "bluestore"]) -> Iterator[Gateway]:
    """Run a gateway for as long as it is needed."""
    gateway = Gateway(folder, store)
    try:
        yield gateway
    finally:
        gateway.remove()


def _free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as two:
        one.bind(("127.0.0.1", 0))
        two.bind(("127.0.0.1", 0))
        return one.getsockname()[1], two.getsockname()[1]
