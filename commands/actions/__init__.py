"""What may be asked of a charger: `table` has a row for each action, the others what a subject needs."""
