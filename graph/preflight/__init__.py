"""Everything that can be known to be wrong before anything is loaded, paid for or written."""
