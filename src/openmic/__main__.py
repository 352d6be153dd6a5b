"""`python -m openmic` is the `openmic` command."""

from .cli.app import main

if __name__ == "__main__":
    main()
