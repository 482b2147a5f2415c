"""Django's backend for PostgreSQL with a cheaper check of the connections of the pool, see `base`."""
