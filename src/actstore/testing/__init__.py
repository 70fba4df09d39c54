"""Shipped for users and for our own tests: conformance suites for the protocols, fakes, synthetic proteins."""
