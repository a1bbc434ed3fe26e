"""What the attributes are (`prospect`), what they are worth (`semantics`), and the same in SQL."""
