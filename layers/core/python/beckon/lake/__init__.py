"""The Parquet lake: schemas, writing, compaction, reading."""
