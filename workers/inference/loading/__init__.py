"""Whether a folder can be loaded: seen from its files and the machine, before an engine tries."""
