"""Care of a whole store: migrations, copies, checks and pruning."""
