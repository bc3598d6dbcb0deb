"""What lets dm-acme 0.4.0 and its libraries run today."""
