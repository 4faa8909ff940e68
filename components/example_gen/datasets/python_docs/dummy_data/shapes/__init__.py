"""Shapes in the plane.

All lengths are in metres.
"""


class Square:
    """A square."""

    def area(self):
        """Its area in square metres."""
