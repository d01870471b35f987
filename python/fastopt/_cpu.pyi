def level() -> int:
    """The psABI level of this x86-64 processor (1 to 4); 0 elsewhere."""
