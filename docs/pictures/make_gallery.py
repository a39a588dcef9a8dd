#!/usr/bin/env python3
"""Draws docs/gallery.md's pictures from the output of examples/gallery: make_gallery.py NUMBERS.json

Each picture except masks.svg has two panels: points in the plane, and features projected on their two main axes. Grey: the
queue and, in the plane, the origin and the unit circle. Rings: the rows. Dots: the augmented rows. Lines
connect some of the rows with their augmented rows. A series of dots is one path with round caps, so that a
picture of 300 dots has only a few KiB.
"""

import json
import pathlib
import sys

COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7"]  # from Okabe and Ito's palette
WIDTH, HEIGHT, GAP, TOP = 360, 300, 20, 34
INK, GREY = "#343a40", "#ced4da"
LINKED = 5  # every LINKED-th row has a line to its augmented row
PANELS = [("plane", "points in the plane"), ("fashion", "features of images")]


class Panel:
    """One panel of a picture: maps points to its coordinates and draws dots and lines."""

    def __init__(self, left, points):
        self.left = left
        lows = [min(point[axis] for point in points) for axis in (0, 1)]
        highs = [max(point[axis] for point in points) for axis in (0, 1)]
        self.centre = [(low + high) / 2 for low, high in zip(lows, highs)]
        room = zip((WIDTH, HEIGHT), lows, highs)
        self.scale = min((size - 24) / (high - low) for size, low, high in room)

    def at(self, point):
        x = self.left + WIDTH / 2 + (point[0] - self.centre[0]) * self.scale
        y = TOP + HEIGHT / 2 - (point[1] - self.centre[1]) * self.scale
        return f"{x:.1f} {y:.1f}"

    def dots(self, points, width, colour):
        path = "".join(f"M{self.at(point)}h0" for point in points)
        return f'<path d="{path}" stroke="{colour}" stroke-width="{width}" stroke-linecap="round"/>'

    def lines(self, pairs):
        path = "".join(f"M{self.at(a)}L{self.at(b)}" for a, b in pairs)
        return f'<path d="{path}" stroke="{INK}" stroke-width="1" fill="none"/>'


def panel(left, scene, name, circle):
    """The SVG of one panel."""
    rows, new, labels = scene["rows"], scene["augmented"][name], scene["labels"]
    on = Panel(left, rows + new + scene["queue"] + ([[0, 0]] if circle else []))
    frame = f'<rect x="{left}" y="{TOP}" width="{WIDTH}" height="{HEIGHT}" '
    svg = [frame + f'fill="none" stroke="{GREY}"/>']
    if circle:
        x, y = on.at([0, 0]).split()
        svg.append(
            f'<clipPath id="frame">{frame}/></clipPath><g clip-path="url(#frame)" stroke="{GREY}">'
            f'<circle cx="{x}" cy="{y}" r="{on.scale:.1f}" fill="none"/>'
            f'<path d="M{float(x) - 4:.1f} {y}h8M{x} {float(y) - 4:.1f}v8"/></g>'
        )
    svg.append(on.dots(scene["queue"], 3, GREY))
    for label in sorted(set(labels)):
        colour = COLOURS[label]
        of_label = [i for i, each in enumerate(labels) if each == label]
        svg.append(on.dots([rows[i] for i in of_label], 7, colour))
        svg.append(on.dots([rows[i] for i in of_label], 4.5, "white"))
        svg.append(on.dots([new[i] for i in of_label], 6, colour))
    svg.append(on.lines([(rows[i], new[i]) for i in range(0, len(rows), LINKED)]))
    return svg


def framed(width, height, body):
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'font-family="sans-serif" font-size="20"><rect width="{width}" height="{height}" fill="white"/>\n'
        + "\n".join(body)
        + "\n</svg>\n"
    )


def picture(numbers, name):
    width = 2 * WIDTH + 3 * GAP
    body = []
    for position, (scene, title) in enumerate(PANELS):
        left = GAP + position * (WIDTH + GAP)
        body.append(f'<text x="{left}" y="{TOP - 10}" fill="{INK}">{title}</text>')
        body += panel(left, numbers[scene], name, scene == "plane")
    return framed(width, TOP + HEIGHT + GAP, body)


def masks(kinds):
    """Draws the features that each mask keeps; a projection cannot show them."""
    body, cell, left = [], 4, GAP
    for name, rows in kinds.items():
        body.append(f'<text x="{left}" y="{TOP - 10}" fill="{INK}">{name}</text>')
        path = "".join(
            f"M{left + j * cell} {TOP + i * (cell + 1) + cell / 2}h{cell}"
            for i, row in enumerate(rows)
            for j, kept in enumerate(row)
            if kept == "1"
        )
        body.append(f'<path d="{path}" stroke="{COLOURS[0]}" stroke-width="{cell}"/>')
        left += cell * len(rows[0]) + GAP
    rows = len(next(iter(kinds.values())))
    return framed(left, TOP + rows * (cell + 1) + GAP, body)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    numbers = json.loads(pathlib.Path(sys.argv[1]).read_text(encoding="utf-8"))
    folder = pathlib.Path(__file__).with_name("gallery")
    folder.mkdir(exist_ok=True)
    for name in numbers["plane"]["augmented"]:
        (folder / f"{name}.svg").write_text(picture(numbers, name), encoding="utf-8")
    order = ["mask", "fixed_count_mask", "block_mask"]
    kinds = {name: numbers["masks"][name] for name in order}
    (folder / "masks.svg").write_text(masks(kinds), encoding="utf-8")


if __name__ == "__main__":
    main()
