"""Schema migrations; plain SQL operations that know nothing of the present tables."""
