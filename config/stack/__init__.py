"""`make run`: everything the product needs on one machine, started in order and stopped in reverse."""
