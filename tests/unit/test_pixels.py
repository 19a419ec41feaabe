# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What counts as red in a picture of a graph: the pixel test of the marks of alerts rests on it."""

from __future__ import annotations

import pytest
from PIL import Image, ImageDraw

from lab.pixels import red_share

# Backgrounds of Grafana's themes, and its reds.
DARK, LIGHT = "#181b1f", "#ffffff"
REDS = ("#f2495c", "#e02f44", "#ff0000", "#c4162a")


def graph(background, **lines):
    """A picture of 200 by 100 pixels with vertical lines of two pixels: colour -> how many."""
    picture = Image.new("RGB", (200, 100), background)
    drawn, x = ImageDraw.Draw(picture), 0
    for colour, count in lines.items():
        for _ in range(count):
            drawn.rectangle((x, 0, x + 1, 99), fill="#" + colour)
            x += 4
    return picture


@pytest.mark.parametrize("background", [DARK, LIGHT])
@pytest.mark.parametrize("red", REDS)
def test_lines_are_counted_by_their_area(background, red):
    assert red_share(graph(background)) == 0
    assert red_share(graph(background, **{red[1:]: 1})) == 0.01
    assert red_share(graph(background, **{red[1:]: 30})) == 0.3


@pytest.mark.parametrize("background", [DARK, LIGHT])
def test_a_region_is_as_red_as_a_line_though_it_is_pale(background):
    red = Image.new("RGB", (200, 100), REDS[0])
    pale = Image.blend(Image.new("RGB", (200, 100), background), red, 0.1)
    assert red_share(pale) == 1


@pytest.mark.parametrize("background", [DARK, LIGHT])
@pytest.mark.parametrize("other", ["ff9830", "ffad26", "fade2a", "73bf69", "5794f2", "b877d9", "8e8e8e", "ccccdc"])
def test_other_colours_of_graphs_are_not_red(background, other):
    assert red_share(graph(background, **{other: 40})) == 0
