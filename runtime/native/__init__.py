"""A door for C and C++: headers, a source that is compiled where it is used, and what that calls."""
