// Source of the precompiled headers of the tests; contains no code.
