"""The reference backend, and what the other one borrows from it: importing this imports nothing.

To be read in this order:

- the language: ``backend``, ``namespace``, ``precision`` and ``silence`` (32 bits, no warnings), ``arrays``,
  ``einsum``, ``special``, ``convolution``, ``rows``, ``control``, ``measures``
- random numbers: ``random``, ``threefry``, ``xla``
- gradients: ``boxes``, ``gradients``; of each function: ``elementwise``, ``reductions``, ``shapes``, ``products``,
  ``indexing``, ``row_gradients``, ``window_gradients``, ``methods``; ``lent`` has the rest
- ``jit``, which records calls and plays them: ``replaying``, ``stand_ins``, ``recording``, ``records``, ``constants``
"""
