"""Everything that a whole run leaves behind is for its owner alone."""

import os
from pathlib import Path

import pytest

from ..whole_run import finished_run


@pytest.mark.slow
def test_nobody_else_can_read_what_a_run_leaves(tiny_causal: Path) -> None:
    home = finished_run(tiny_causal).home
    open_to_others = [
        str(path.relative_to(home)) for path in (home, *home.rglob("*")) if os.lstat(path).st_mode & 0o077
    ]
    assert open_to_others == []
