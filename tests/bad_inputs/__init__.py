"""Everything that can be wrong with what comes from outside: a row for each case, a room for each place it comes in by.

A row says what is done, what is said, and the exit code: 2 for a request that is off, 1 for what went wrong, 0 for what
works after all, by the policy that the row spells out.
"""
