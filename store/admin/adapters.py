"""Copies of the adapters that lie beside a store's file, which a copy of the file alone would lack."""

import shutil
from pathlib import Path

from ...core.errors import StoreFaultError
from ...core.files.private import private_folder
from ..places import is_relative, located
from ..store import Store
from ..tables.training import Adapter


def copy_adapters(store: Path, copy: Path) -> int:
    """Copy the adapters of a SQLite store to where its copy will look for them; says how many.

    Those that are there already, and those that have a place of their own, are left as they are.

    Raises:
        StoreFaultError: one cannot be read or written.
    """
    with Store.open_readonly(str(store)) as reader:
        places = {row.uri for row in reader.select(Adapter) if row.uri and is_relative(row.uri)}
    copied = 0
    for place in sorted(places):
        source, target = (Path(located(str(beside), place)) for beside in (store, copy))
        if target.exists() or not source.exists():
            continue
        unfinished = target.with_name(f".{target.name}.unfinished")
        try:
            private_folder(target.parent)
            shutil.rmtree(unfinished, ignore_errors=True)
            shutil.copytree(source, unfinished)
            unfinished.rename(target)
        except OSError as error:
            raise StoreFaultError(f"the adapter {str(source)!r} cannot be copied: {error}") from error
        copied += 1
    return copied
