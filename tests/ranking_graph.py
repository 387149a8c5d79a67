"""The small shop of `tests.ranking_shop` as a real graph, by learning's exporter."""

import numpy as np

from beckon.learning.content import Content
from beckon.learning.export import scorer_onnx
from beckon.learning.model import Model
from beckon.learning.recipe import Recipe
from beckon.learning.sparse import SparseRows
from tests.ranking_shop import CONTENT_SCALE, DENSE, IDS, PARTS, PRIOR, ROWS, TOKENS


def graph(prior: np.ndarray = PRIOR, calibration: tuple[float, float] | None = None) -> bytes:
    at, to = np.nonzero(ROWS)
    rows = SparseRows.from_cells(at, to, ROWS[at, to], ROWS.shape)
    described = SparseRows.from_cells(np.arange(6), np.array(PARTS), np.ones(6), (6, 3))
    content = Content(described, TOKENS, np.ones(3), np.eye(3), DENSE.astype(np.float32))
    # The exporter multiplies: content w·σ, prior π·σ·trend.
    recipe = Recipe(content=1.0, prior=1.0)
    model = Model(IDS, rows, content, (prior / CONTENT_SCALE).astype(np.float32), CONTENT_SCALE, recipe, calibration)
    return scorer_onnx(model)
