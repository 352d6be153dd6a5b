"""Several hosts on one machine: each has its own network, processes, hostname, /tmp, /dev/shm, /run, HOME and sshd.

They share the machine's files, read by all as they are, and one folder under /mnt, which stands for network storage.
All of it is namespaces of the kernel's without a name, and lives as long as the processes in them: however this process
ends, they end with it and nothing is left. The hosts see each other and nobody else, and nobody else sees them, so
their addresses are theirs alone.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SHARED = Path("/mnt")
"""Where every host sees the shared folder."""
USER = "openmic"
HOME = Path("/tmp/home")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PROGRAMS = ("ip", "unshare", "nsenter", "setpriv", "sshd", "ssh", "ssh-keygen", "rsync")
PATIENCE_S = 30.0

# The first process of a host. What lies under /tmp and every host needs is mounted again in the new /tmp.
INIT = """
mount -t tmpfs tmpfs "$OWN/tmp"
for path in $NEEDED; do
    case $path in /tmp/*) mkdir -p "$OWN$path"; mount --rbind "$path" "$OWN$path";; esac
done
mount --bind "$OWN/passwd" /etc/passwd
mount --bind "$OWN/hosts" /etc/hosts
mount --rbind "$SHARE" /mnt
mkdir -p "$OWN/tmp/home/.ssh"
cp "$OWN/id_ed25519" "$OWN/tmp/home/.ssh/"
cp "$OWN/sshd_config" "$OWN/id_ed25519" "$OWN/id_ed25519.pub" "$OWN/tmp/home/"
ln -s "$ROOT" "$OWN/tmp/home/openmic"
chmod 1777 "$OWN/tmp"
mount --rbind "$OWN/tmp" /tmp
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs tmpfs /run
mkdir /run/sshd
echo "$NAME" > /proc/sys/kernel/hostname
exec /usr/sbin/sshd -D -e -f /tmp/home/sshd_config
"""
SSHD = """
HostKey /tmp/home/id_ed25519
AuthorizedKeysFile /tmp/home/id_ed25519.pub
StrictModes no
PasswordAuthentication no
UsePAM no
PidFile none
LogLevel QUIET
"""


def lacking() -> str | None:
    """Why there can be no hosts here; None where there can."""
    if not sys.platform.startswith("linux"):
        return "network namespaces are Linux's"
    if os.getuid() != 0:
        return "only root may make network namespaces"
    if missing := [name for name in PROGRAMS if shutil.which(name, path=PATH) is None]:
        return f"{', '.join(missing)} not installed (openssh-server, openssh-client, rsync, iproute2, util-linux)"
    wires = "ip link add bridge type bridge && ip link add one type veth peer name other && mount -t tmpfs tmpfs /mnt"
    tried = subprocess.run(
        ["unshare", "-n", "-m", "-p", "-u", "-f", "sh", "-c", wires], capture_output=True, text=True, check=False
    )
    return f"the kernel refuses what hosts are made of: {tried.stderr.strip()}" if tried.returncode else None


@dataclass(frozen=True)
class Host:
    """One host that is up."""

    name: str
    address: str
    first: int
    """Its first process, as the machine numbers it."""
    _outside: "subprocess.Popen[bytes]"
    _switch: int

    def command(self, *arguments: str | Path, env: Mapping[str, str] | None = None) -> list[str]:
        """The command, to be carried out on this host in its HOME."""
        variables = {"PATH": PATH, "HOME": str(HOME), "USER": USER, "LANG": "C.UTF-8", **(env or {})}
        enter = ["nsenter", "-t", str(self.first), "-m", "-u", "-n", "-p", "--", "env", "-i", "-C", str(HOME)]
        return [*enter, *(f"{name}={value}" for name, value in variables.items()), *map(str, arguments)]

    def run(self, *arguments: str | Path, timeout: float = 60, **env: str) -> "subprocess.CompletedProcess[str]":
        """Carry a command out here, to its end."""
        command = self.command(*arguments, env=env)
        return subprocess.run(
            command, check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout
        )

    def processes(self) -> list[str]:
        """The command line of every process."""
        script = "for file in /proc/[0-9]*/cmdline; do tr '\\0' ' ' < $file; echo; done"
        return [line.strip() for line in self.run("sh", "-c", script).stdout.splitlines() if line.strip()]

    @property
    def on(self) -> bool:
        """Whether it was not powered off."""
        return self._outside.poll() is None

    def unplug(self) -> None:
        """Take it off the network; nobody is told, as when a cable is pulled."""
        _ip(self._switch, "link", "set", self.name, "down")

    def power_off(self) -> None:
        """End all of its processes at once."""
        os.kill(self.first, signal.SIGKILL)  # the kernel ends the others with the first
        self._outside.wait(PATIENCE_S)


@contextmanager
def hosts(addresses: Mapping[str, str], folder: Path, share: Path) -> Iterator[dict[str, Host]]:
    """Hosts by their names (at most 15 letters), on one network, each of which lets the others' user in by its key.

    Args:
        addresses: Their names, and their addresses in one /24.
        folder: An empty folder to prepare them in.
        share: What all see as /mnt.
    """
    with _Processes() as processes:
        switch = processes.start(["unshare", "-n", "-f", "--kill-child", "sleep", "infinity"], {})[1]
        _ip(switch, "link", "add", "switch", "type", "bridge")
        _ip(switch, "link", "set", "switch", "up")
        key = folder / "id_ed25519"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
        up = {}
        for name, address in addresses.items():
            own = folder / name
            (own / "tmp").mkdir(parents=True)
            for file in (key, key.with_suffix(".pub")):
                shutil.copy(file, own)
            (own / "sshd_config").write_text(SSHD)
            passwd = Path("/etc/passwd").read_text(encoding="utf-8")
            (own / "passwd").write_text(f"{USER}:*:0:0::{HOME}:/bin/bash\n{passwd}", encoding="utf-8")
            names = "".join(f"{other} {known}\n" for known, other in addresses.items())
            (own / "hosts").write_text(f"127.0.0.1 localhost\n{names}", encoding="utf-8")
            needed = {str(path) for path in (ROOT, share, Path(sys.prefix), Path(sys.base_prefix))}
            variables = {"OWN": own, "SHARE": share, "ROOT": ROOT, "NAME": name, "NEEDED": " ".join(needed)}
            apart = ["unshare", "-n", "-m", "-u", "-p", "-f", "--kill-child", "--mount-proc"]
            outside, first = processes.start([*apart, "bash", "-euc", INIT], variables)
            _ip(switch, "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", str(first))
            _ip(switch, "link", "set", name, "master", "switch", "up")
            _ip(first, "link", "set", "lo", "up")
            _ip(first, "addr", "add", f"{address}/24", "dev", "eth0")
            _ip(first, "link", "set", "eth0", "up")
            up[name] = Host(name, address, first, outside, switch)
        for host in up.values():
            _wait_for_sshd(host)
        yield up


class _Processes:
    """Processes that end with this one, or with the block if that is sooner."""

    def __enter__(self) -> "_Processes":
        self._started: list[subprocess.Popen[bytes]] = []
        return self

    def start(self, command: list[str], variables: Mapping[str, Any]) -> "tuple[subprocess.Popen[bytes], int]":
        """Start one that forks a child of its own; returns it, and the child's number."""
        environment = {"PATH": PATH, **{name: str(value) for name, value in variables.items()}}
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *command], env=environment, stdin=subprocess.DEVNULL
        )
        self._started.append(process)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline and process.poll() is None:
            if found := children.read_text(encoding="utf-8").split():
                return process, int(found[0])
            time.sleep(0.01)
        raise RuntimeError(f"{command[0]} started no process")

    def __exit__(self, *_: object) -> None:
        for process in self._started:
            process.kill()  # what it started ends with it
        for process in self._started:
            process.wait(PATIENCE_S)


def _ip(process: int, *arguments: str) -> None:
    """Set up the network that a process is in."""
    command = ["nsenter", "-t", str(process), "-n", "ip", *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(arguments)}: {done.stderr.strip()}")


def _wait_for_sshd(host: Host) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while host.run("bash", "-c", f"exec 3<>/dev/tcp/{host.address}/22").returncode:
        if time.monotonic() > deadline:
            raise RuntimeError(f"sshd on {host.name} does not answer")
        time.sleep(0.05)


if __name__ == "__main__":
    sys.exit(lacking())
