"""An app of no use but its migration, which needs a table of the product for itself alone for a moment."""
