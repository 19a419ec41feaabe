"""How red a picture is: what marks of firing alerts do to a graph that they bury."""

from __future__ import annotations

from PIL import Image, ImageChops

# Pillow's hues go from 0 to 255. Marks are Grafana's red, and its tenth over the background where they are regions.
_BELOW, _ABOVE = 11, 232
# The difference between the largest and the smallest of red, green and blue: less is gray, and the smoothing of letters.
_COLOURED = 10


def red_share(picture: Image.Image) -> float:
    """The share of a picture's pixels that are red, however pale."""
    hue, saturation, value = picture.convert("RGB").convert("HSV").split()
    is_red = hue.point(lambda found: 255 if found <= _BELOW or found >= _ABOVE else 0)
    is_coloured = ImageChops.multiply(saturation, value).point(lambda found: 255 if found >= _COLOURED else 0)
    marked = ImageChops.darker(is_red, is_coloured).histogram()[255]
    return marked / (picture.width * picture.height)
