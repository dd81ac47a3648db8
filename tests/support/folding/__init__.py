"""Folding as tests see it: by itself, on a cluster, with bugs in it, by workers that die; and what must hold afterwards."""
