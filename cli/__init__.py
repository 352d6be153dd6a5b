"""The command line: thin commands over the other rooms. Data on stdout, progress and errors on stderr."""
