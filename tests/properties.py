"""How properties are tested: the same examples each time, and with patience for a busy machine."""

from hypothesis import HealthCheck, settings

steady = settings(derandomize=True, database=None, deadline=None, suppress_health_check=[HealthCheck.too_slow])
