"""A picture -> the largest square in its middle, found as if it were a face: where no face is looked for."""

from typing import Literal

from emotrace.media import VideoFrame
from emotrace.recipe import Recipe
from emotrace.types import Face


class WholePicture:
    """Finds one face in every picture, black ones too, for the crop to be the largest square in the picture's middle.

    What lies to the left and right of that square, or above and below it, is not seen. The box follows from the
    recipe's geometry for boxes of "haar", which is why this detector goes by that name.
    """

    name: Literal["haar"] = "haar"
    is_free: Literal[True] = True

    def __init__(self, recipe: Recipe) -> None:
        self._geometry = recipe.video.haar_geometry

    def detect(self, frame: VideoFrame, near: Face | None = None) -> list[Face]:
        """Return the box from which the recipe's geometry cuts out exactly the square."""
        # Rounded up, the crop would be larger than the square, and be cut out at twice the size and blurred.
        side = min(frame.width, frame.height) / self._geometry.scale * (1 - 1e-9)
        top = frame.height / 2 - side / 2 - self._geometry.shift_y * side
        return [Face(frame.width / 2 - side / 2, top, side, side, confidence=1.0)]
