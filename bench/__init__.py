"""How fast it is, in figures that anyone can check. Not part of the distribution."""
