"""Empty, since `import iq_acme` is enough; the name stays for a release."""
