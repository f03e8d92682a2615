"""One file a resource. A route is 8 to 15 lines; what it does is in `holdfast`."""
