"""Everything between a run and a page: records, grids, searches, tables, differences."""
