"""The student pool: Ray actors that generate, and the driver's end of them."""
