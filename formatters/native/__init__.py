"""AutoDL data sets as uploads: where they are, the deprecated TFRecord format, and the formatter."""
