"""Open matplotlib figures as pictures."""

from __future__ import annotations

import base64
import io
import sys

MAX_IMAGES = 16
MAX_BASE64 = 8 * 1024 * 1024
"""Characters of base64 in all: the reply must fit into one frame."""


def take_figures() -> list[str]:
    """Return the open figures as PNGs in base64, in the order of their numbers, and close them.

    Does nothing unless pyplot has been imported. What goes over `MAX_IMAGES` or `MAX_BASE64` is closed
    unseen, with a line on stderr.

    Raises:
        Exception: a figure could not be drawn (a typo in its mathematical text, say). All are closed even so.
    """
    pyplot = sys.modules.get("matplotlib.pyplot")
    if pyplot is None:
        return []
    images: list[str] = []
    unseen = 0
    try:
        for number in pyplot.get_fignums():
            picture = io.BytesIO()
            if len(images) < MAX_IMAGES:
                pyplot.figure(number).savefig(picture, format="png")
            image = base64.b64encode(picture.getvalue()).decode("ascii")
            if image and sum(map(len, images)) + len(image) <= MAX_BASE64:
                images.append(image)
            else:
                unseen += 1
    finally:
        pyplot.close("all")
    if unseen:
        sys.stderr.write(f"[figures left out, being too many or too large: {unseen}]\n")
    return images
