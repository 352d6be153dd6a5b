"""Where vLLM is installed, and which."""

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from packaging.version import Version

from ....core.errors import ConfigError
from ....core.student_settings import VLLMSettings

OLDEST = "0.10.2"
"""It gives the ids of the tokens that it generated."""
_PROBE = "from importlib.metadata import version; print(version('vllm'))"
_PROBE_S = 60.0
_NOT_PASSED = ("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "VIRTUAL_ENV", "PYTHONDONTWRITEBYTECODE")
"""Variables that would mix this environment into another, or have three processes compile all of vLLM anew."""


@dataclass(frozen=True)
class InstalledVLLM:
    """An interpreter that has vLLM."""

    python: Path
    version: str

    @property
    def for_cpus(self) -> bool:
        """Whether it was built for CPUs alone."""
        return Version(self.version).local == "cpu"

    @property
    def command(self) -> Sequence[str]:
        """What `vllm serve` is."""
        return (str(self.python), "-m", "vllm.entrypoints.cli.main", "serve")

    def environment(self, threads: int) -> dict[str, str]:
        """The variables of this process, as its own environment needs them."""
        programs = self.python.parent
        found = {name: value for name, value in os.environ.items() if name not in _NOT_PASSED}
        found["PATH"] = f"{programs}{os.pathsep}{found.get('PATH', os.defpath)}"  # it compiles with programs of its own
        if self.for_cpus:
            found |= {"OMP_NUM_THREADS": str(threads), "VLLM_CPU_OMP_THREADS_BIND": "nobind"}
            # As threads are not bound, the worker need be no process beside the engine's, which it would wait for.
            found["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
            openmp = programs.parent / "lib" / "libiomp5.so"
            if openmp.is_file():
                found["LD_PRELOAD"] = str(openmp)
        return found


def vllm_is_installed(settings: VLLMSettings) -> bool:
    """Whether an environment is named, or this one has vLLM."""
    return settings.python is not None or _version_here() is not None


def installed_vllm(settings: VLLMSettings) -> InstalledVLLM:
    """The vLLM that the settings name.

    Raises:
        ConfigError: there is none, or it is too old.
    """
    python = settings.python or Path(sys.executable)
    found = _version_here() if settings.python is None else _version_of(settings.python)
    if found is None:
        raise ConfigError(
            f"student.engine=vllm: vLLM is not installed in the environment of {python}; install it into one of its "
            "own (python3 -m venv ~/vllm && ~/vllm/bin/pip install vllm) and set student.vllm.python=~/vllm/bin/python"
        )
    if Version(found) < Version(OLDEST):
        raise ConfigError(f"student.engine=vllm: {python} has vLLM {found}; it takes {OLDEST} or newer")
    return InstalledVLLM(python, found)


def _version_here() -> str | None:
    try:
        return version("vllm")
    except PackageNotFoundError:
        return None


def _version_of(python: Path) -> str | None:
    """The version that another interpreter has; None where it has none."""
    if not os.access(python, os.X_OK) or python.is_dir():
        raise ConfigError(f"student.vllm.python: {str(python)!r} is no interpreter; name an environment's bin/python")
    environment = {name: value for name, value in os.environ.items() if name not in _NOT_PASSED}
    asked = [str(python), "-c", _PROBE]
    try:
        done = subprocess.run(asked, env=environment, capture_output=True, text=True, timeout=_PROBE_S, check=False)  # noqa: S603 - the user's own interpreter
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConfigError(f"student.vllm.python: {str(python)!r} cannot be run: {error}") from error
    if done.returncode and "PackageNotFoundError" not in done.stderr:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise ConfigError(f"student.vllm.python: {str(python)!r} cannot be run: {last:.200}")
    return done.stdout.strip() or None
