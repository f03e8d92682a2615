"""One file a resource. A route is 8 to 15 lines; what it does is in `holdfast`."""

from service.paging import register_convertors

register_convertors()  # every route's path may hold an id, so none can be made before
