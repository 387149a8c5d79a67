"""Tables to Parquet bytes and back: rows once, in order, small."""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from beckon.lake.schema import Dataset, conform


class CorruptObject(ValueError):
    """An object that is not the Parquet it should be."""


def decode(content: bytes, dataset: Dataset, columns: Sequence[str]) -> pa.Table:
    """Return the `columns` of a Parquet file, whichever version of the schema wrote it.

    pyarrow.parquet.read_table would import pyarrow.dataset, a second of every cold start; ParquetFile does not.

    Raises:
        CorruptObject: not Parquet, cut short, or a required column is absent, null or of another type.
    """
    schema = pa.schema([dataset.schema.field(name) for name in columns], metadata=dataset.schema.metadata)
    try:
        file = pq.ParquetFile(pa.BufferReader(content))
        present = set(file.schema_arrow.names)
        table = conform(file.read(columns=[name for name in columns if name in present]), schema)
    except (pa.ArrowException, OSError, ValueError) as fault:
        raise CorruptObject(f"not readable as Parquet of {dataset.name}: {fault}") from None
    for name in dataset.required:
        if name in columns and table.column(name).null_count:
            raise CorruptObject(f"column {name} of {dataset.name} is absent or has nulls")
    return table


def encode(table: pa.Table, dataset: Dataset, level: int = 3) -> bytes:
    """Return the table as Parquet: zstd, dictionaries where values repeat, deltas where they grow.

    The same rows give the same bytes.
    """
    deltas = [name for name in ("ts", "original_ts", "received_ts") if name in table.column_names]
    unique = [name for name in ("message_id", "digest", "source") if name in table.column_names]
    plain = {*deltas, *unique}
    sink = pa.BufferOutputStream()
    pq.write_table(
        table,
        sink,
        compression="zstd",
        compression_level=level,
        use_dictionary=_dictionary_columns(dataset, plain),
        column_encoding=dict.fromkeys(deltas, "DELTA_BINARY_PACKED") | dict.fromkeys(unique, "DELTA_LENGTH_BYTE_ARRAY"),
        data_page_version="2.0",
    )
    return bytes(sink.getvalue())


def once(table: pa.Table, dataset: Dataset) -> pa.Table:
    """Return each row once by the dataset's key, the first that came kept, in the dataset's order.

    Cost: one sort of the rows, two where some are there more than once. Ties are broken by all other columns, so that
    the result does not depend on the order in which the objects were read.
    """
    if len(table) == 0:
        return table
    plain = [one.name for one in table.schema if not pa.types.is_nested(one.type)]
    by_key = list(dict.fromkeys((*dataset.key, dataset.first_by, *dataset.order, *plain)))
    if len(dataset.key) > 1 or pc.count_distinct(table.column(dataset.key[0])).as_py() < len(table):
        table = table.take(pc.sort_indices(table, sort_keys=[(name, "ascending") for name in by_key]))
        table = table.filter(_is_first(table.select(dataset.key)))
    order = pc.sort_indices(table, sort_keys=[(name, "ascending") for name in dataset.order])
    return table.take(order).combine_chunks()


def needed(dataset: Dataset, columns: Sequence[str] | None) -> list[str]:
    """Return the columns to read so that `columns` can be given once and in order."""
    if columns is None:
        return list(dataset.schema.names)
    unknown = sorted(set(columns) - set(dataset.schema.names))
    if unknown:
        raise ValueError(f"{dataset.name} has no column {', '.join(unknown)}; it has {dataset.schema.names}")
    wanted = {*columns, *dataset.key, *dataset.order, dataset.first_by}
    return [name for name in dataset.schema.names if name in wanted]


def empty(dataset: Dataset, columns: Sequence[str]) -> pa.Table:
    """Return no rows of the `columns`."""
    schema = pa.schema([dataset.schema.field(name) for name in columns], metadata=dataset.schema.metadata)
    return schema.empty_table()


def _is_first(keys: pa.Table) -> pa.Array:
    """Return for each row of sorted `keys` [rows, columns] whether it differs from the row before it."""
    changed = pa.array([False] * (len(keys) - 1), pa.bool_())
    for column in keys.columns:
        changed = pc.or_(changed, pc.not_equal(column.slice(1), column.slice(0, len(column) - 1)).combine_chunks())
    return pa.concat_arrays([pa.array([True]), changed])


def _dictionary_columns(dataset: Dataset, plain: set[str]) -> list[str]:
    """Return the text columns whose values repeat, nested ones by the path Parquet gives them."""
    flat = [f.name for f in dataset.schema if f.type == pa.string() and f.name not in plain]
    nested = [
        f"{f.name}.list.element.{inner.name}"
        for f in dataset.schema
        if pa.types.is_list(f.type)
        for inner in f.type.value_type
        if inner.type == pa.string()
    ]
    return flat + nested
