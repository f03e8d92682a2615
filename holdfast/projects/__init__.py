"""A project: what it demands, what was waived in it, and the record of every act."""
