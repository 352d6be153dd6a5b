"""A PostgreSQL server on one of the hosts: `python -m tests.cluster.database ADDRESS`, carried out there.

Prints the address of an empty database on a line of its own, and serves until its standard input ends.
"""

import sys

from ..postgresql import running

NAME = "openmic"

if __name__ == "__main__":
    with running(sys.argv[1]) as server:
        server.sql(f"CREATE DATABASE {NAME}")
        print(server.url(NAME), flush=True)  # noqa: T201 - read by the process that started this one
        sys.stdin.read()
