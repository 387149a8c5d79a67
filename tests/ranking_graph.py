"""The small shop of `tests.ranking_shop` as a real graph, by learning's exporter."""

from dataclasses import replace

import numpy as np

from beckon.learning.chances import Calibration
from beckon.learning.content import content_of
from beckon.learning.export import scorer_onnx
from beckon.learning.model import Model
from beckon.learning.recipe import Recipe
from beckon.learning.sparse import SparseRows
from tests.ranking_shop import CONTENT_SCALE, DENSE, IDS, PARTS, PRIOR, ROWS, TOKENS


def graph(prior: np.ndarray = PRIOR, calibration: Calibration | None = None) -> bytes:
    at, to = np.nonzero(ROWS)
    tokens = {item: [TOKENS[part]] for item, part in zip(IDS, PARTS, strict=True)}
    content = content_of(IDS, tokens, 3)  # its dense space is the tokens in another order; the plan has them in theirs
    model = Model(
        ids=IDS,
        rows=SparseRows.from_cells(at, to, ROWS[at, to], ROWS.shape),
        content=replace(content, directions=np.eye(3), dense=DENSE.astype(np.float32)),
        trend=(prior / CONTENT_SCALE).astype(np.float32),  # the exporter multiplies: π·σ·trend, and w·σ for content
        scale=CONTENT_SCALE,
        recipe=Recipe(taste=1.0, content=1.0, prior=1.0),
        calibration=calibration,
    )
    return scorer_onnx(model)
