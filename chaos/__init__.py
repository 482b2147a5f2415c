"""What may fail is made to fail under load, and chargers' own books are compared with the database (`make chaos`)."""
