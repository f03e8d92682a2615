"""What a checkpoint must show before it may ship: a policy, its budget and its waivers."""
