"""A model as one ONNX graph: scorer.onnx of the artefact's contract."""

from dataclasses import dataclass

import numpy as np
from onnx import helper

from beckon.learning.graph import BOOL, FLOAT, INT32, INT64, Graph
from beckon.learning.model import Model
from beckon.learning.sparse import SparseRows

# A history item of so small a share of the whole weight changes no 32-bit score, and is not read.
NEGLIGIBLE = 1e-8


def scorer_onnx(model: Model) -> bytes:
    """Return scorer.onnx.

    Inputs: history int64 [B, L] (−1 pads; unknown indices count as padding), weight float [B, L] (event weight ×
    recency, applied by the caller), need float [B, D], allow bool [B, N], extra float [C, D], k int64.
    Outputs, K = min(k, the most eligible of a row): items int64 [B, K] (extras are N, N+1, …; −1 pads),
    score float [B, K] (−inf pads), probability float [B, K] (NaN until calibrated), reasons float [B, K, L+2].

    s_j = Σ_l (v_l·M[h_l, j] + t_l·w·σ·F[h_l]·F[j] + v_l·|v_l|·r·σ·[h_l = j]) + w·σ·need·E[j] + π·σ·trend_j,
    v_l = weight_l and t_l = sign(v_l)·|v_l|^γ, and for an extra item x
    s = w·σ (Σ_l t_l·E[h_l] + need)·x. Equal scores: the lower index first.
    Cost: the cells of the history's rows and rare tokens, and items × common tokens.
    """
    writer = _Writer(model)
    writer.history()
    chosen = writer.choose(writer.warm_scores(), writer.extra_scores())
    writer.answer(chosen)
    return writer.to_bytes()


@dataclass(frozen=True, slots=True)
class _Ragged:
    """Sparse rows in the file, an empty row behind them for padding, and a last cell that is nobody's."""

    starts: str
    lengths: str
    columns: str
    values: str
    longest: int
    nobody: int


@dataclass(frozen=True, slots=True)
class _Chosen:
    index: str
    score: str
    is_real: str


class _Writer:
    """Writes the graph part by part; names are of tensors, [B, L] history, [B, N] items, [B, K] chosen."""

    def __init__(self, model: Model) -> None:
        self.g = g = Graph()
        self.n = len(model.ids)
        self.tokens = model.content.rows.width
        self.dense_size = model.content.dense.shape[1]
        self.common = model.content.common
        zeros = np.zeros((1, self.n), dtype=np.float32)  # for the tokens that are not common
        self.common_values = g.store("common_values", np.concatenate((model.content.common_values, zeros)))
        with_postings = _with_postings(model.rows, model.content.postings)
        self.rows = _ragged(g, "neighbours", with_postings, self.n, int(model.rows.lengths.max(initial=0)))
        widest = int(model.content.rows.lengths.max(initial=0))
        self.described = _ragged(g, "tokens", model.content.rows, self.tokens, widest)
        spare = np.zeros((1, self.dense_size), dtype=np.float32)
        self.dense = g.store("dense", np.concatenate((model.content.dense.astype(np.float32), spare)))
        self.prior = g.store("prior", np.append(model.prior, np.float32(0)))
        self.prior_of_items = g.op("Slice", self.prior, g.ints(0), g.ints(self.n))
        self.dense_of_items = g.op("Slice", self.dense, g.ints(0), g.ints(self.n))
        self.content_scale = g.number(model.content_scale)
        self.taste_power = g.number(model.recipe.taste)
        self.repeat_scale = g.number(model.repeat_scale)
        self.calibration = model.calibration

    def history(self) -> None:
        """The history with padding sent to the empty row, and how large everything is."""
        g = self.g
        self.batch, self.length = g.size("history", 0), g.size("history", 1)
        outside = g.op("Or", g.op("Less", "history", g.whole(0)), g.op("GreaterOrEqual", "history", g.whole(self.n)))
        tasted = g.op("Pow", g.op("Abs", "weight"), self.taste_power)  # taste outlasts the next step
        is_slight, is_tasteless = self._negligible(g.op("Abs", "weight")), self._negligible(tasted)
        outside = g.op("Or", outside, g.op("And", is_slight, is_tasteless))
        self.seen = g.where(outside, g.whole(self.n), "history")  # [B, L]
        self.weight = g.where(outside, g.number(0.0), "weight")
        self.flat_followed = g.shape(g.where(is_slight, g.whole(self.n), self.seen), -1)  # whose neighbours are read
        self.flat_seen = g.shape(self.seen, -1)
        self.flat_weight = g.shape(self.weight, -1)
        self.taste = g.where(outside, g.number(0.0), g.mul(g.op("Sign", "weight"), tasted))
        self.own = g.mul(g.mul(self.weight, g.op("Abs", self.weight)), self.repeat_scale)  # what each adds to itself
        places = g.op("Range", g.whole(0), g.scalar(g.mul(self.batch, self.length)), g.whole(1))  # across rows
        self.user_of_place = g.op("Div", places, g.op("Max", g.scalar(self.length), g.whole(1)))

    def _negligible(self, size: str) -> str:
        """Which of sizes [B, L] are as good as nothing beside their row's sum."""
        whole = self.g.op("ReduceSum", size, self.g.ints(1), keepdims=1)
        return self.g.op("LessOrEqual", size, self.g.mul(whole, self.g.number(NEGLIGIBLE)))

    def warm_scores(self) -> str:
        """The score of every item of the model [B, N]."""
        g = self.g
        tokens, values = self._tokens_of(self.flat_seen)
        values = g.mul(g.mul(values, self.content_scale), g.axis(g.shape(self.taste, -1), 1))
        total = g.add(self._scattered(tokens, values), self._by_common_tokens(tokens, values))
        # Most requests name no need, and items × D multiplications are the dearest thing here: only when asked.
        is_asked = g.op("Greater", g.op("ReduceMax", g.op("Abs", "need"), keepdims=0), g.number(0.0))
        asked = g.branch()
        needed = asked.mul(asked.op("Gemm", "need", self.dense_of_items, transB=1), self.content_scale)
        return g.choice(is_asked, (asked, asked.add(total, needed)), (plain := g.branch(), plain.op("Identity", total)))

    def extra_scores(self) -> str:
        """The score of items newer than the model [B, C]."""
        g = self.g
        seen = g.gather(self.dense, self.seen)  # [B, L, D]
        taste = g.sum(g.mul(seen, g.axis(self.taste, 2)), 1)
        wanted = g.mul(g.add(taste, "need"), self.content_scale)
        return g.op("MatMul", wanted, g.op("Transpose", "extra", perm=[1, 0]))

    def choose(self, warm: str, extra: str) -> _Chosen:
        """The best allowed items of each row, K of them."""
        g = self.g
        never = g.number(-np.inf)
        scores = g.op("Concat", g.where("allow", warm, never), extra, axis=1)
        allowed = g.cast(g.sum(g.cast("allow", FLOAT), 1), INT64)  # exact up to 2²⁴ items, and vectorised
        eligible = g.op("ReduceMax", allowed, g.ints(0), keepdims=1)
        wanted = g.op("Min", g.shape("k", 1), g.add(eligible, g.size("extra", 0)))
        count = g.op("Max", wanted, g.ints(0))
        score, index = g.ops("TopK", 2, scores, count, axis=1, largest=1, sorted=1)
        return _Chosen(index, score, g.op("Greater", score, never))

    def answer(self, chosen: _Chosen) -> None:
        """The four outputs."""
        g = self.g
        g.output("items", g.where(chosen.is_real, chosen.index, g.whole(-1)))
        g.output("score", chosen.score)
        unknown = g.filled(FLOAT, float("nan"), g.op("Shape", chosen.score))
        chance = unknown if self.calibration is None else self.calibration.write(g, chosen.score, self.n)
        g.output("probability", g.where(chosen.is_real, chance, unknown))
        g.output("reasons", self._reasons(chosen))

    def to_bytes(self) -> bytes:
        """The file."""
        d = self.dense_size
        value = helper.make_tensor_value_info
        inputs = [
            value("history", INT64, ["B", "L"]),
            value("weight", FLOAT, ["B", "L"]),
            value("need", FLOAT, ["B", d]),
            value("allow", BOOL, ["B", self.n]),
            value("extra", FLOAT, ["C", d]),
            value("k", INT64, []),
        ]
        outputs = [
            value("items", INT64, ["B", "K"]),
            value("score", FLOAT, ["B", "K"]),
            value("probability", FLOAT, ["B", "K"]),
            value("reasons", FLOAT, ["B", "K", None]),
        ]
        return self.g.to_bytes("beckon_scorer", inputs, outputs)

    def _scattered(self, tokens: str, values: str) -> str:
        """π·σ·trend + Σ_l weight_l·M[h_l] + what rare tokens share [B, N].

        The rows of the history's items and the postings of their rare tokens are one list of rows; their cells are
        read one after another and each is added where it belongs.
        """
        g = self.g
        postings = g.shape(g.add(tokens, g.whole(self.n + 1)), -1)
        rows = g.op("Concat", self.flat_followed, postings, axis=0)
        weights = g.op("Concat", self.flat_weight, g.shape(values, -1), axis=0)
        token_users = g.op("Expand", g.axis(self.user_of_place, 1), g.op("Shape", tokens))
        users = g.op("Concat", self.user_of_place, g.shape(token_users, -1), axis=0)
        lengths = g.gather(self.rows.lengths, rows)
        ends = g.op("CumSum", lengths, g.whole(0))
        total = g.sum(lengths, 0)
        marks = g.filled(INT64, 0, g.add(g.shape(total, 1), g.ints(1)))
        ones = g.filled(INT64, 1, g.op("Shape", ends))
        passed = g.op("CumSum", g.scatter_add(marks, ends, ones), g.whole(0))
        place = g.op("Slice", passed, g.ints(0), g.shape(total, 1))  # of each cell: which of the rows it is read for
        shift = g.sub(g.gather(self.rows.starts, rows), g.sub(ends, lengths))
        cell = g.add(g.op("Range", g.whole(0), total, g.whole(1)), g.gather(shift, place))
        base = g.gather(g.mul(users, g.whole(self.n)), place)
        target = g.add(base, g.cast(g.gather(self.rows.columns, cell), INT64))
        terms = g.mul(g.gather(self.rows.values, cell), g.gather(weights, place))
        prior = g.shape(g.op("Expand", self.prior_of_items, g.sizes(self.batch, self.n)), -1)
        own = g.op("Min", self.flat_seen, g.whole(self.n - 1))  # padding adds nothing, wherever it is put
        own = g.add(g.mul(self.user_of_place, g.whole(self.n)), own)
        prior = g.scatter_add(prior, own, g.shape(self.own, -1))
        return g.shape(g.scatter_add(prior, target, terms), self.batch, self.n)

    def _by_common_tokens(self, tokens: str, values: str) -> str:
        """What tokens share that many items have [B, N]: a small dense product."""
        g = self.g
        width = len(self.common) + 1
        place = np.full(self.tokens + 1, len(self.common), dtype=np.int64)
        place[self.common] = np.arange(len(self.common))
        column = g.gather(g.store("common_places", place), tokens)
        target = g.add(g.axis(g.mul(self.user_of_place, g.whole(width)), 1), column)
        zeros = g.filled(FLOAT, 0.0, g.mul(self.batch, g.ints(width)))
        taste = g.scatter_add(zeros, g.shape(target, -1), g.shape(values, -1))
        return g.op("MatMul", g.shape(taste, self.batch, width), self.common_values)

    def _tokens_of(self, items: str) -> tuple[str, str]:
        """Tokens and values of items [n], padded to the widest [n, W]; the padding is token `self.tokens`, value 0."""
        g = self.g
        steps = g.ints(*range(max(1, self.described.longest)))
        inside = g.op("Less", steps, g.axis(g.gather(self.described.lengths, items), 1))
        cell = g.add(g.axis(g.gather(self.described.starts, items), 1), steps)
        cell = g.where(inside, cell, g.whole(self.described.nobody))
        return g.cast(g.gather(self.described.columns, cell), INT64), g.gather(self.described.values, cell)

    def _reasons(self, chosen: _Chosen) -> str:
        """[B, K, L+2]: what each history item, the need and the prior add to each chosen item's score."""
        g = self.g
        is_warm = g.op("And", chosen.is_real, g.op("Less", chosen.index, g.whole(self.n)))
        warm = g.where(is_warm, chosen.index, g.whole(self.n))  # [B, K]
        is_extra = g.op("And", chosen.is_real, g.op("GreaterOrEqual", chosen.index, g.whole(self.n)))
        extra = g.where(is_extra, g.sub(chosen.index, g.whole(self.n)), g.size("extra", 0))
        spare = g.filled(FLOAT, 0.0, 1, self.dense_size)
        extra_dense = g.gather(g.op("Concat", "extra", spare, axis=0), extra)  # [B, K, D], zeros for warm items
        seen_dense = g.op("Transpose", g.gather(self.dense, self.seen), perm=[0, 2, 1])
        alike = g.add(self._shared_tokens(warm), g.op("MatMul", extra_dense, seen_dense))
        alike = g.mul(g.mul(alike, self.content_scale), g.axis(self.taste, 1))
        parts = g.add(g.mul(self._neighbour_values(warm), g.axis(self.weight, 1)), alike)
        is_own = g.op("Equal", g.axis(self.seen, 1), g.axis(warm, 2))
        parts = g.add(parts, g.where(is_own, g.axis(self.own, 1), g.number(0.0)))
        own = g.add(g.gather(self.dense, warm), extra_dense)
        needed = g.mul(g.sum(g.mul(own, g.axis("need", 1)), 2), self.content_scale)
        return g.op("Concat", parts, g.axis(needed, 2), g.axis(g.gather(self.prior, warm), 2), axis=2)

    def _neighbour_values(self, warm: str) -> str:
        """M[h_l, chosen_k] [B, K, L], found by halving each history item's row until one cell is left."""
        g = self.g
        wanted = g.axis(g.cast(warm, INT32), 2)  # [B, K, 1]
        left = g.axis(g.gather(self.rows.lengths, self.seen), 1)  # [B, 1, L]
        has_any = g.op("Greater", left, g.whole(0))
        base = g.axis(g.gather(self.rows.starts, self.seen), 1)
        base = g.op("Expand", base, g.sizes(self.batch, g.size(warm, 1), self.length))
        for _ in range(max(0, self.rows.longest - 1).bit_length()):
            half = g.op("Div", left, g.whole(2))
            middle = g.add(base, half)
            not_after = g.op("LessOrEqual", g.gather(self.rows.columns, middle), wanted)
            base = g.where(not_after, middle, base)
            left = g.sub(left, half)
        found = g.op("And", g.op("Equal", g.gather(self.rows.columns, base), wanted), has_any)
        return g.where(found, g.gather(self.rows.values, base), g.number(0.0))

    def _shared_tokens(self, warm: str) -> str:
        """F[h_l]·F[chosen_k] [B, K, L].

        Each token of a row's history gets a slot (of its occurrences, the last); a small table [slots, L] holds every
        history item's value of it; chosen items look their own tokens up there.
        """
        g = self.g
        width = self.tokens + 1
        wide = max(1, self.described.longest)
        tokens, values = self._tokens_of(self.flat_seen)  # [B·L, W]
        per_row = g.mul(self.length, g.ints(wide))
        flat = g.shape(g.add(g.axis(g.mul(self.user_of_place, g.whole(width)), 1), tokens), -1)
        order = g.op("Range", g.whole(1), g.scalar(g.add(g.mul(per_row, self.batch), g.ints(1))), g.whole(1))
        empty = g.filled(INT64, 0, g.mul(self.batch, g.ints(width)))
        slots = g.op("ScatterElements", empty, flat, order, axis=0, reduction="max")  # [B·width], 0: not in the history
        slots_and_none = g.add(g.mul(per_row, self.batch), g.ints(1))
        table = g.filled(FLOAT, 0.0, g.mul(slots_and_none, self.length))
        place = g.op("Range", g.whole(0), g.scalar(g.mul(self.batch, self.length)), g.whole(1))
        column = g.op("Mod", place, g.op("Max", g.scalar(self.length), g.whole(1)))
        row = g.mul(g.gather(slots, flat), self.length)
        wide_column = g.op("Expand", g.axis(column, 1), g.op("Shape", tokens))
        target = g.add(row, g.shape(wide_column, -1))
        table = g.shape(g.scatter_add(table, target, g.shape(values, -1)), slots_and_none, self.length)
        own, own_values = self._tokens_of(g.shape(warm, -1))  # [B·K, W]
        count = g.size(warm, 1)
        own = g.shape(own, self.batch, count, wide)
        users = g.op("Range", g.whole(0), g.scalar(self.batch), g.whole(1))
        slot = g.gather(slots, g.add(g.axis(g.mul(users, g.whole(width)), 1, 2), own))
        shared = g.mul(g.gather(table, slot), g.shape(own_values, self.batch, count, wide, 1))  # [B, K, W, L]
        return g.sum(shared, 2)


def _ragged(g: Graph, name: str, rows: SparseRows, nobody: int, longest: int) -> _Ragged:
    """Store sparse rows, an empty row behind them, and a last cell of column `nobody` and value 0."""
    return _Ragged(
        starts=g.store(f"{name}_starts", rows.starts),
        lengths=g.store(f"{name}_lengths", np.append(rows.lengths, 0)),
        columns=g.store(f"{name}_columns", np.append(rows.columns, nobody).astype(np.int32)),
        values=g.store(f"{name}_values", np.append(rows.values, 0).astype(np.float32)),
        longest=longest,
        nobody=len(rows.columns),
    )


def _with_postings(rows: SparseRows, postings: SparseRows) -> SparseRows:
    """Return the neighbour rows, an empty row for padding, and the items of every token that is not common."""
    starts = np.concatenate((rows.starts[:-1], rows.starts[-1] + np.append([0], postings.starts)))
    columns = np.concatenate((rows.columns, postings.columns))
    return SparseRows(starts, columns, np.concatenate((rows.values, postings.values)), rows.width)
