"""Dashboard for operators: live pages of the fleet, chargers, transactions and commands."""
