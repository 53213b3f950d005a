"""What happens when a layer is made, initialized and called: frames, errors with paths, shared layers.

Users see ``layerkit.layer``; this is what stands behind it.
"""
