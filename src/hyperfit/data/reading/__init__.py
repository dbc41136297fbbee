"""Files, folders, tables and data sets → documents."""
