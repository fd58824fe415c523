"""The embedded Reber grammar."""
