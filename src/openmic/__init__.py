"""openmic: feedback-driven distillation.

A large language model teaches a small one a skill that imitation alone does not transfer, by also being its critic.
"""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("openmic")
except PackageNotFoundError:  # a source tree on the path, not installed
    __version__ = "unknown (run from source)"

__all__ = ["__version__"]
