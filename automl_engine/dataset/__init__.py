"""AutoDL data sets: records on disk, examples in memory.  Imports neither torch nor tensorflow."""
