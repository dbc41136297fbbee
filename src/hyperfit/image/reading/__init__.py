"""Files, folders, arrays, tables and data sets → pictures of one size."""
