"""Activations that torch lacks: learnable, gated and modern ones, for Fulmen.

Configs name them (``activation: snake``, ``activation: {name: swish, beta: 1.5}``); Python finds the layers in
:mod:`~fulmen_activations.fixed`, :mod:`~fulmen_activations.learnable`, :mod:`~fulmen_activations.rectifiers`,
:mod:`~fulmen_activations.rational` and :mod:`~fulmen_activations.gated`, and the maths alone in
:mod:`~fulmen_activations.functional`.
"""
