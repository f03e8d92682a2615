"""Renders one verdict in many formats, with extras that are no part of it."""
