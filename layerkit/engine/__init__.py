"""What happens when a layer is made, initialized and called. Users see ``layerkit.layer``; this stands behind it.

To be read in this order:

- a layer is made: ``making`` (with what)
- a call: ``bare`` (how arrays travel), ``frames`` (what one call runs with), ``calls``, ``sharing`` (of a layer that
  stands in several places)
- the first weights: ``initializing``, ``storing`` (between calls)
- what goes wrong: ``layer_error``, ``sources`` (where inputs came from), ``naming``, ``plain_words``
"""
