"""The engine `vllm`: a server that a student's process starts, feeds, watches and ends."""
