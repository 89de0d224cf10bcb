"""Read files into typed, frozen Structs that know the position of every key."""
