"""Complementary image regions for weakly supervised object localization (Babar and Das, WACV 2021)."""

__version__ = "0.1.0"
