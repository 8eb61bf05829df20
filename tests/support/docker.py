"""A Docker daemon of a test's own: Debian's dockerd on a private socket, without bridge or firewall rules."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Docker", "docker_daemon"]


@dataclass(frozen=True)
class Docker:
    """A client of a running daemon."""

    program: str
    environment: Mapping[str, str]

    def __call__(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
        """Run ``docker`` with these arguments; the caller looks at the exit status."""
        settings = {**self.environment, **environment}
        return subprocess.run([self.program, *arguments], env=settings, capture_output=True, timeout=300, check=False)


@contextlib.contextmanager
def docker_daemon() -> Iterator[Docker]:
    """A running daemon, gone at the end; FileNotFoundError with the reason where it cannot be had."""
    daemon = shutil.which("dockerd", path=f"{os.environ['PATH']}:/usr/sbin")
    # Debian's own client comes first: it brings BuildKit, which newer ones have in a plug-in
    client = shutil.which("docker", path=f"/usr/bin:{os.environ['PATH']}")
    if daemon is None or client is None:
        raise FileNotFoundError("dockerd is not installed (apt-get install docker.io)")
    with tempfile.TemporaryDirectory(prefix="mc-docker-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        command = [
            daemon, "--iptables=false", "--ip6tables=false", "--bridge=none", "--host", f"unix://{folder}/socket",
            "--data-root", f"{folder}/data", "--exec-root", f"{folder}/exec", "--pidfile", f"{folder}/pid",
        ]  # fmt: skip
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
        settings = {"PATH": os.environ["PATH"], "DOCKER_HOST": f"unix://{folder}/socket", "DOCKER_CONFIG": name}
        docker = Docker(client, settings)
        try:
            _wait(docker, process, folder / "log")
            yield docker
        finally:
            process.terminate()
            process.wait()


def _wait(docker: Docker, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None:
        if docker("version").returncode == 0:
            return
        threading.Event().wait(0.2)
    raise FileNotFoundError(f"this machine does not let dockerd start: {log.read_text(errors='replace')[-300:]}")
