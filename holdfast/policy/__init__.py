"""The policy that a checkpoint must meet before it may ship, with its budget and its waivers."""
