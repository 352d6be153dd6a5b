"""What every other room may rely on: configuration, errors, ids and the plain records that cross rooms."""
