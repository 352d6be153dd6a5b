"""What is known of endpoints below all rooms: how they are reached, what is kept secret, what faults they have."""
