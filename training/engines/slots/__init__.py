"""The `slots` engine: fixed shapes in a static key-value cache, so that a GPU replays its steps as CUDA graphs."""
