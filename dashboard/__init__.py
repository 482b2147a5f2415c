"""Pages for people: the fleet, a charger, transactions and commands, live. They read what the apps keep, and ask as
the API does."""
