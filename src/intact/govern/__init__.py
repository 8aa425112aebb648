"""Policies become kernel maps, marks and filters; what was asked is kept apart from what is in effect."""
