"""Stands where the patches of Acme were until 0.1; they are in `iq_acme.compat`."""

from iq_acme.compat import acme_names  # noqa: F401
