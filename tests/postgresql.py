"""A PostgreSQL server of the tests' own, in a temporary folder, run by a user without privileges."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

USER, PASSWORD = "teller", "s3cret/@:word"
PLACES = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql*/bin")
SETTINGS = (
    "fsync=off",  # what it holds need not survive the machine
    "full_page_writes=off",
    "unix_socket_directories=",
    "max_connections=100",
)


@dataclass(frozen=True)
class Server:
    """A running server; it may be stopped and started again."""

    binaries: Path
    folder: Path
    port: int
    host: str = "127.0.0.1"

    def url(self, database: str, password: str | None = PASSWORD) -> str:
        """The address of a database on it, or without a password where that is None."""
        secret = "" if password is None else f":{quote(password, safe='')}"
        return f"postgresql://{USER}{secret}@{self.host}:{self.port}/{database}"

    def sql(self, statement: str, database: str = "postgres") -> str:
        """What a statement returns, as plain text."""
        command = [
            str(self.binaries / "psql"),
            "-XAtq",
            "-v",
            "ON_ERROR_STOP=1",
            "-d",
            self.url(database),
            "-c",
            statement,
        ]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        options = " ".join(
            f"-c {setting}" for setting in (*SETTINGS, f"listen_addresses={self.host}", f"port={self.port}")
        )
        self._control("start", "-o", options, "-l", str(self.folder / "log"))

    def stop(self) -> None:
        """End it, and every connection with it."""
        self._control("stop", "-m", "immediate")

    def _control(self, *arguments: str) -> None:
        _as_nobody(self.binaries / "pg_ctl", "-D", self.folder / "data", "-w", *arguments)


@contextmanager
def running(host: str = "127.0.0.1") -> Iterator[Server]:
    """A new server with an empty cluster, whose locale is not the one in which openmic compares text.

    It listens at `host`, and lets in who knows the password from this machine and its networks.
    """
    binaries = find_binaries()
    # Not under pytest's own folder, which only the user who runs the tests can enter.
    folder = Path(tempfile.mkdtemp(prefix="openmic-postgresql-"))
    try:
        (folder / "password").write_text(PASSWORD)
        if os.getuid() == 0:
            for path in (folder, folder / "password"):
                shutil.chown(path, _unprivileged())
        access = (f"--username={USER}", "--auth=scram-sha-256", f"--pwfile={folder / 'password'}", "--no-sync")
        _as_nobody(binaries / "initdb", "-D", folder / "data", *_locale(binaries), *access)
        with (folder / "data" / "pg_hba.conf").open("a") as access_file:
            access_file.write("host all all samenet scram-sha-256\n")
        server = Server(binaries, folder, _free_port(host), host)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def find_binaries() -> Path:
    """The folder of initdb and pg_ctl.

    Raises:
        RuntimeError: PostgreSQL's server is not installed.
    """
    on_path = shutil.which("initdb")
    if on_path:
        return Path(on_path).resolve().parent
    for place in PLACES:
        found = sorted(Path("/").glob(f"{place.lstrip('/')}/initdb"))
        if found:
            return found[-1].parent
    raise RuntimeError(
        "the tests start a PostgreSQL server of their own, and its programs (initdb, pg_ctl) are not installed: "
        "`apt-get install postgresql` on Debian, or put them on the PATH"
    )


def _locale(binaries: Path) -> list[str]:
    """English, which orders letters before their case, as many a database does; not before PostgreSQL 15."""
    known = subprocess.run([binaries / "initdb", "--help"], check=True, capture_output=True, text=True).stdout
    icu = ["--locale-provider=icu", "--icu-locale=en-US"] if "--icu-locale" in known else []
    return ["--encoding=UTF8", "--locale=C.UTF-8", *icu]


def _unprivileged() -> str:
    return "postgres" if "\npostgres:" in Path("/etc/passwd").read_text() else "nobody"


def _as_nobody(*command: str | Path) -> None:
    # The server refuses to run as root.
    user = _unprivileged() if os.getuid() == 0 else None
    done = subprocess.run(
        [str(part) for part in command],
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        user=user,
        cwd="/",
    )
    if done.returncode:
        raise RuntimeError(f"{Path(command[0]).name} failed: {done.stdout}")


def _free_port(host: str) -> int:
    with socket.socket() as listening:
        listening.bind((host, 0))
        return int(listening.getsockname()[1])
