"""What tells arms apart in every figure, for a grey printer and a colour-blind reader too."""

from __future__ import annotations

COLOURS = ("#000000", "#BB5566", "#DDAA33", "#004488", "#009E73", "#56B4E9", "#CC79A7")
"""Paul Tol's high-contrast colours and black, which differ in luminance, then some of Okabe and Ito's."""
DASHES: tuple[tuple[float, ...], ...] = ((), (5, 1.5), (1, 1), (6, 1.5, 1, 1.5))
"""Lengths of strokes and gaps, in widths of the line; none of a solid one."""
MARKERS = ("o", "^", "s", "D", "v", "X", "P", "<", ">")
"""As matplotlib names them."""
DARK, LIGHT = "#004488", "#DDAA33"
"""Two colours that are apart in luminance as well as in hue."""
