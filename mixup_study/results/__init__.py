"""What trials measured: Parquet records, tables, SQL. Imports neither torch nor ray."""
