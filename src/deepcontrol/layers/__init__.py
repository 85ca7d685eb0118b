"""The layers the methods are built of, usable on their own in any network."""
