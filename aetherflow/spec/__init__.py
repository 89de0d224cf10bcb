"""From the text of a file to typed, frozen Structs with positions."""
