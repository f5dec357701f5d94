"""Does it hold from outside? Scenarios through the real command and the real library only, nothing from within."""
