"""A checkpoint on its way to whoever reads it: merged, loaded, named in a plan."""
