"""The reference backend, and what the other one borrows from it: importing this imports nothing."""
