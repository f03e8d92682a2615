"""Holdfast inside other people's programs: each module needs only the library it is named after."""
